"""Recording: an audio file that grows while a jam plays."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from riffusion.audio.track import MAX_WAV, as_written, to_pcm
from riffusion.audio.waveform import WRITTEN_AS
from riffusion.errors import StorageError
from riffusion.storage import Closing

PCM_BYTES = 2


class Recording(Closing):
    """An audio file that 16-bit samples are appended to; closed at any moment, it is whole.

    A jam that is spliced while it plays needs a ``TrackFile`` instead.
    """

    def __init__(
        self, path: str | os.PathLike[str], sample_rate: int, channels: int, samples: int
    ) -> None:
        """Open ``path``, whose suffix names the format, for at most ``samples`` samples.

        Raises StorageError where it cannot be written.
        """
        self.path = Path(path)
        self.sample_rate = sample_rate
        self.length = 0
        form, self._subtype = WRITTEN_AS[self.path.suffix.lower()]
        if form == "WAV" and samples * channels * PCM_BYTES > MAX_WAV:
            form = "RF64"
        try:
            self._file = soundfile.SoundFile(
                self.path, "w", sample_rate, channels, self._subtype, format=form
            )
        except soundfile.LibsndfileError as error:
            raise StorageError(
                f"could not write {self.path}: {error}; choose another folder"
            ) from error

    def write(self, samples: npt.NDArray[np.float32]) -> None:
        """Append samples, float32 (channels, n). Raises StorageError where the disk is full."""
        try:
            self._file.write(as_written(to_pcm(samples), self._subtype))
        except soundfile.LibsndfileError as error:
            raise StorageError(
                f"could not write all of {self.path}, is the disk full? "
                f"It holds the first {self.duration_s:.1f} s; free some space and start again"
            ) from error
        self.length += samples.shape[1]

    @property
    def duration_s(self) -> float:
        """The seconds so far."""
        return self.length / self.sample_rate

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
