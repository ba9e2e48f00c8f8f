"""Clips kept on disk, and engines that keep them or start from them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.errors import StorageError
from riffusion.spectral.spectrogram import Spectrogram


class ClipShelf:
    """Clips of one engine, on disk, by number."""

    def __init__(self, engine: Engine) -> None:
        self._params = engine.params
        self._shape = (engine.channels, engine.params.mel_bands, engine.frames)
        self.count = 0
        try:
            # Open for as long as this object is.
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _storage_error(error) from error

    def add(self, clip: Spectrogram) -> None:
        """Put a clip behind the others."""
        data = memoryview(clip.magnitudes.numpy().astype(np.float32).tobytes())
        try:
            self._file.seek(self.count * len(data))
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise _storage_error(error) from error
        self.count += 1

    def read(self, number: int) -> Spectrogram:
        """The clip that was added as the ``number``-th, from 0."""
        count = int(np.prod(self._shape))
        self._file.seek(number * count * 4)
        magnitudes = np.frombuffer(self._file.read(count * 4), np.float32).reshape(self._shape)
        return Spectrogram(torch.from_numpy(magnitudes.copy()), self._params)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class KeepingEngine(EngineWrapper):
    """An engine whose clips are put on a shelf."""

    def __init__(self, engine: Engine, shelf: ClipShelf) -> None:
        super().__init__(engine)
        self._shelf = shelf

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """See ``Engine.generate``."""
        clips = super().generate(requests, interrupted=interrupted)
        for clip in clips:
            self._shelf.add(clip)
        return clips


class AnchoredEngine(EngineWrapper):
    """An engine that starts its first ``anchored`` clips from those on a shelf."""

    def __init__(self, engine: Engine, shelf: ClipShelf, anchored: int, strength: float) -> None:
        super().__init__(engine)
        self._shelf, self._anchored, self._strength = shelf, anchored, strength
        self._made = 0

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """See ``Engine.generate``."""
        numbered = enumerate(requests, start=self._made)
        wanted = [self._with_anchor(request, number) for number, request in numbered]
        clips = super().generate(wanted, interrupted=interrupted)
        self._made += len(clips)
        return clips

    def _with_anchor(self, request: ClipRequest, number: int) -> ClipRequest:
        if number >= self._anchored:
            return request
        return replace(request, anchor=self._shelf.read(number), strength=self._strength)


def _storage_error(error: OSError) -> StorageError:
    return StorageError(
        f"could not keep the clips of a song: {error.strerror or error}; "
        "free some space, or point TMPDIR to a disk that has some"
    )
