"""TrackFile: the samples that a jam has played so far, on disk."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from riffusion.audio.waveform import INT16_SCALE, WRITTEN_AS
from riffusion.errors import InvalidAudio, InvalidInput, StorageError
from riffusion.storage import Closing

Pcm = npt.NDArray[np.int16]
Samples = npt.NDArray[np.float32]

PCM = np.dtype("<i2")
# A WAV header counts bytes in 32 bits; RF64 is WAV with 64.
MAX_WAV = 2**32 - 2**16
MORE_SPACE = "free some space, or point TMPDIR to a disk that has some, and go on"


def to_pcm(samples: Samples) -> Pcm:
    """Return 16-bit samples, rounded to the nearest and clipped, without random dither."""
    scaled = np.rint(samples.astype(np.float64) * INT16_SCALE)
    return np.clip(scaled, -INT16_SCALE, INT16_SCALE - 1).astype(np.int16)


def as_written(pcm: Pcm, subtype: str) -> Pcm | Samples:
    """Return 16-bit samples (channels, n) as libsndfile needs them, (n, channels).

    They are integers for files of integers and floats for compressed files: libsndfile mixes up
    the channels of integers on their way to MP3.
    """
    if subtype == "PCM_16":
        return pcm.T
    return (pcm.T / INT16_SCALE).astype(np.float32)


class TrackFile(Closing):
    """A growing track of 16-bit samples in a temporary file, which closing deletes.

    Memory does not grow with the track. One thread may write while others read and export.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    channels : int
        The number of channels of all blocks.
    folder : str or path, optional
        Where the temporary file lies; the system's folder for temporary files if not given.

    Raises
    ------
    StorageError
        Where the file cannot be made.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> with riffusion.TrackFile(44100, 2) as track:
    ...     track.write(0, np.zeros((2, 44100), np.float32))
    ...     track.write(22050, np.ones((2, 44100), np.float32))  # replaces the second half
    ...     track.export("track.wav")
    ...     track.duration_s
    1.5
    """

    def __init__(
        self, sample_rate: int, channels: int, folder: str | os.PathLike[str] | None = None
    ) -> None:
        """Make an empty track."""
        self.sample_rate = sample_rate
        self.channels = channels
        self._frame_bytes = PCM.itemsize * channels
        self._length = 0
        try:
            # Open for as long as this object is.
            self._file = tempfile.TemporaryFile(buffering=0, dir=folder)  # noqa: SIM115
        except OSError as error:
            raise _storage_error("a new track", error) from error

    def close(self) -> None:
        """Delete the temporary file. Exported files stay."""
        self._file.close()

    @property
    def length(self) -> int:
        """The number of samples so far."""
        return self._length

    @property
    def duration_s(self) -> float:
        """The seconds so far."""
        return self._length / self.sample_rate

    def write(self, start: int, samples: Samples) -> None:
        """Write samples, float32 (channels, n), at absolute sample ``start``; they end the track.

        Starting before the end is a splice: what was there from ``start`` on is replaced. Raises
        InvalidInput where ``start`` lies beyond the end, InvalidAudio for another shape, and
        StorageError where the disk is full: the track then ends at ``start``, and the same block
        can be written again.
        """
        if not 0 <= start <= self._length:
            hint = f"the track has {self._length} samples; write without gaps"
            raise InvalidInput("block start", start, hint)
        if samples.ndim != 2 or samples.shape[0] != self.channels:
            raise InvalidAudio("block shape", samples.shape, f"needs ({self.channels}, samples)")
        data = memoryview(to_pcm(samples).T.astype(PCM).tobytes())
        self._length = start
        try:
            self._write_at(start * self._frame_bytes, data)
        except OSError as error:
            raise _storage_error("the track", error) from error
        self._length = start + samples.shape[1]

    def read(self, start: int, stop: int) -> Pcm:
        """Return int16 samples (channels, n) from ``start`` to ``stop`` or the end of the track."""
        start, stop = max(0, start), min(stop, self._length)
        count = max(0, stop - start)
        data = os.pread(self._file.fileno(), count * self._frame_bytes, start * self._frame_bytes)
        return np.frombuffer(data, PCM).reshape(-1, self.channels).T.astype(np.int16)

    def export(self, path: str | os.PathLike[str], start: int = 0, stop: int | None = None) -> None:
        """Write samples ``start`` to ``stop`` (all if not given) as WAV, FLAC, MP3 or OGG.

        The suffix of ``path`` decides. Memory does not grow with the track, and a file that was
        there is replaced only by a whole one. Raises InvalidAudio for another suffix, InvalidInput
        where the track has no samples there, StorageError where the file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() not in WRITTEN_AS:
            raise InvalidAudio("audio file", path.name, "end it in " + ", ".join(WRITTEN_AS))
        stop = self.end_of_part(start, stop)
        form, subtype = WRITTEN_AS[path.suffix.lower()]
        if form == "WAV" and (stop - start) * self._frame_bytes > MAX_WAV:
            form = "RF64"
        with (
            _whole_file(path) as sink,
            soundfile.SoundFile(
                sink, "w", self.sample_rate, self.channels, subtype, format=form
            ) as audio,
        ):
            for first in range(start, stop, self.sample_rate):
                pcm = self.read(first, min(first + self.sample_rate, stop))
                audio.write(as_written(pcm, subtype))
                sink.check()

    def end_of_part(self, start: int, stop: int | None) -> int:
        """Return ``stop``, or the end of the track where that is None or comes first.

        Raises InvalidInput where the track has no samples from ``start`` to there.
        """
        stop = self._length if stop is None else min(stop, self._length)
        if not 0 <= start < stop:
            hint = f"nothing has been played there yet; the track has {self._length} samples"
            raise InvalidInput("part of the track", (start, stop), hint)
        return stop

    def _write_at(self, offset: int, data: memoryview) -> None:
        """Write all of ``data`` at a byte offset. Raises OSError where the disk is full."""
        while data:
            written = os.pwrite(self._file.fileno(), data, offset)
            if written == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            offset, data = offset + written, data[written:]


class _Sink(io.FileIO):
    """A file for libsndfile that keeps its first error for ``check``: callbacks cannot raise."""

    error: OSError | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        view = memoryview(data)
        try:
            while view and self.error is None:
                view = view[super().write(view) :]
        except OSError as error:
            self.error = error
        return len(data)

    def check(self) -> None:
        if self.error is not None:
            raise self.error


@contextmanager
def _whole_file(path: Path) -> Iterator[_Sink]:
    """Yield a file that replaces ``path`` once it is whole. Raises StorageError on failure."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with _Sink(part, "w+") as sink:
                yield sink
                sink.check()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise _storage_error(str(path), error) from error


def _storage_error(what: str, error: OSError) -> StorageError:
    """Return the error that says why ``what`` could not be written and what to do."""
    return StorageError(f"could not write {what}: {error.strerror or error}; {MORE_SPACE}")
