"""Scalar features of log-mel frames: onset density, brightness and drum activity.

All functions take float32 (frames, channels, bands) in base-10 logarithms of mel magnitudes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from riffusion.engines.compact.engine import COMPACT_PARAMS

FloatArray = npt.NDArray[np.float32]

# An onset is a rise of an eighth of the bands by more than 4 dB in one frame (0.2 of a decade of
# magnitude); rises within the same five frames count once.
ONSET_PARTS, MIN_RISE, ONSET_SLOT = 8, 0.2, 5


def measure_brightness(frames: FloatArray) -> float:
    """Return the centre of mass of the magnitudes over the mel bands, as a band index."""
    magnitudes = np.power(10.0, frames)
    bands = np.arange(frames.shape[-1])
    return float((magnitudes @ bands).sum() / magnitudes.sum())


def measure_density(frames: FloatArray) -> float:
    """Return the number of onsets a second, at most one in each 50 ms.

    An onset is a peak of the rise of any eighth of the bands that exceeds a threshold.
    """
    rise = np.maximum(0.0, np.diff(frames.mean(1), axis=0))
    parts = rise.reshape(len(rise), ONSET_PARTS, -1).mean(2)
    peaks = (parts[1:-1] > parts[:-2]) & (parts[1:-1] >= parts[2:]) & (parts[1:-1] > MIN_RISE)
    slots = np.unique(np.flatnonzero(peaks.any(1)) // ONSET_SLOT)
    return len(slots) / (len(frames) * COMPACT_PARAMS.frame_s)


def measure_drumming(frames: FloatArray) -> float:
    """Return the mean rise a frame in the highest third of the bands.

    Cymbals, snares and sticks sound there.
    """
    treble = frames.mean(1)[:, -(frames.shape[-1] // 3) :]
    return float(np.maximum(0.0, np.diff(treble, axis=0)).mean())
