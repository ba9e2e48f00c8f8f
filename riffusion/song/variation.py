"""Variation: engines that record the clips of a section, or start from them when it returns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from riffusion.engines.clip import ClipRequest
from riffusion.engines.prefetch import ClipTask, PrefetchingEngine
from riffusion.engines.protocol import Engine, never
from riffusion.errors import StorageError
from riffusion.spectral.spectrogram import Spectrogram


class ClipFile:
    """A temporary file with clips of one engine, by number."""

    def __init__(self, engine: Engine) -> None:
        self._params = engine.params
        self._shape = (engine.channels, engine.params.mel_bands, engine.frames)
        self.count = 0
        try:
            # The file stays open as long as this object.
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _storage_error(error) from error

    def add(self, clip: Spectrogram) -> None:
        """Append a clip. Raises StorageError where the disk is full."""
        data = memoryview(clip.magnitudes.numpy().astype(np.float32).tobytes())
        try:
            self._file.seek(self.count * len(data))
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise _storage_error(error) from error
        self.count += 1

    def read(self, number: int) -> Spectrogram:
        """Return the ``number``-th clip that was added, from 0."""
        count = int(np.prod(self._shape))
        self._file.seek(number * count * 4)
        magnitudes = np.frombuffer(self._file.read(count * 4), np.float32).reshape(self._shape)
        return Spectrogram(torch.from_numpy(magnitudes.copy()), self._params)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class RecordingEngine(PrefetchingEngine):
    """An engine whose clips are appended to a file once they are asked for."""

    def __init__(self, engine: Engine, file: ClipFile) -> None:
        super().__init__(engine)
        self._file = file

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """See ``Engine.generate``."""
        clips = super().generate(requests, interrupted=interrupted)
        for clip in clips:
            self._file.add(clip)
        return clips


class AnchoredEngine(PrefetchingEngine):
    """An engine that starts its first ``anchored`` clips from those in a file."""

    def __init__(self, engine: Engine, file: ClipFile, anchored: int, strength: float) -> None:
        super().__init__(engine)
        self._file, self._anchored, self._strength = file, anchored, strength
        self._count = 0

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """See ``Engine.generate``."""
        numbered = enumerate(requests, start=self._count)
        wanted = [self._with_anchor(request, number) for number, request in numbered]
        clips = super().generate(wanted, interrupted=interrupted)
        self._count += len(clips)
        return clips

    def prefetch(self, request: ClipRequest) -> ClipTask:
        """See ``PrefetchingEngine.prefetch``."""
        return super().prefetch(self._with_anchor(request, self._count))

    def _with_anchor(self, request: ClipRequest, number: int) -> ClipRequest:
        """Return the request for clip ``number``, from 0, with its anchor."""
        if number >= self._anchored:
            return request
        return replace(request, anchor=self._file.read(number), strength=self._strength)


def _storage_error(error: OSError) -> StorageError:
    return StorageError(
        f"could not keep the clips of a song: {error.strerror or error}; "
        "free some space, or point TMPDIR to a disk that has some"
    )
