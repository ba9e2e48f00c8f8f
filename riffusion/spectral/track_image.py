"""The spectrogram image of a track on disk."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import INT16_SCALE
from riffusion.spectral.image import ImageInfo
from riffusion.spectral.long_image import write_sound_image
from riffusion.spectral.spectrogram import RIFFUSION


def write_track_image(
    track: TrackFile,
    path: str | os.PathLike[str],
    info: ImageInfo | None = None,
    start: int = 0,
    stop: int | None = None,
) -> None:
    """Write the long image (512 rows, a column per 10 ms) of samples ``start`` to ``stop``.

    ``stop`` None is the end of the track. Memory does not grow with the track. Raises InvalidInput
    where the track has no samples there, InvalidImage beyond six hours of PNG or eleven minutes of
    JPEG, StorageError where the file cannot be written.
    """
    stop = track.end_of_part(start, stop)

    def read(first: int, last: int) -> npt.NDArray[np.float32]:
        return (track.read(start + first, start + last) / INT16_SCALE).astype(np.float32)

    write_sound_image(path, read, stop - start, RIFFUSION, info)
