"""Loudness and true peaks of broadcasting, measured in one pass that can stop anywhere.

ITU-R BS.1770-4, "Algorithms to measure audio programme loudness and true-peak audio level",
annexes 1 and 2.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import lfilter, upfirdn

FloatArray = npt.NDArray[np.float64]

OFFSET_LUFS = -0.691  # makes a full-scale sine of 997 Hz in one channel -3.01 LUFS
FILTER_MEMORY = 4  # numbers a channel in the state of the K-weighting filter

# The two filters of annex 1 as the analogue filters behind its table for 48 kHz, so that they can
# be made at any rate: (Hz, Q, dB). B. De Man, "Evaluation of implementations of the EBU R128
# loudness measurement", AES 145, 2018.
SHELF = (1681.974450955533, 0.7071752369554196, 3.999843853973347)
SHELF_SLOPE = 0.4996667741545416
HIGH_PASS = (38.13547087602444, 0.5003270373238773)

# Annex 2: the phases of four times oversampling.
TRUE_PEAK_TAPS = np.array(
    [
        [
            0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000,
            -0.0594482421875, 0.1373291015625, 0.9721679687500, -0.1022949218750,
            0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
        ],
        [
            -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250,
            -0.1665039062500, 0.4650878906250, 0.7797851562500, -0.2003173828125,
            0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
        ],
        [
            -0.0189208984375, 0.0330810546875, -0.0582275390625, 0.1015625000000,
            -0.2003173828125, 0.7797851562500, 0.4650878906250, -0.1665039062500,
            0.0891113281250, -0.0517578125000, 0.0292968750000, -0.0291748046875,
        ],
        [
            -0.0083007812500, 0.0148925781250, -0.0266113281250, 0.0476074218750,
            -0.1022949218750, 0.9721679687500, 0.1373291015625, -0.0594482421875,
            0.0332031250000, -0.0196533203125, 0.0109863281250, 0.0017089843750,
        ],
    ]
)  # fmt: skip
INTERLEAVED_TAPS = TRUE_PEAK_TAPS.T.reshape(-1).astype(np.float32)
# No true peak is higher than the highest sample around it times this; a little more for rounding.
HIGHEST_OVERSHOOT = 1.001 * float(np.abs(TRUE_PEAK_TAPS).sum(axis=1).max())
TRUE_PEAK_REACH = 6  # samples that the filter sees on either side


def weighted(
    samples: npt.NDArray[np.floating], memory: FloatArray, rate: int
) -> tuple[FloatArray, FloatArray]:
    """Return K-weighted ``samples`` (channels, n), and the filter state to continue with.

    ``memory`` (channels, ``FILTER_MEMORY``) is the filter state, zeros at first. How samples are
    cut into blocks changes no bit.
    """
    numerator, denominator = k_weighting(rate)
    made, after = lfilter(numerator, denominator, samples.astype(np.float64), axis=1, zi=memory)
    return made, after


@lru_cache(maxsize=8)
def k_weighting(rate: int) -> tuple[FloatArray, FloatArray]:
    """Return the two filters of annex 1 as one: (numerator, denominator) at ``rate`` Hz."""
    shelf_hz, shelf_q, dB = SHELF
    k, gain = math.tan(math.pi * shelf_hz / rate), 10 ** (dB / 20)
    damping, middle = k / shelf_q, gain**SHELF_SLOPE * k / shelf_q
    shelf = np.array([gain + middle + k * k, 2 * (k * k - gain), gain - middle + k * k])
    shelf_scale = 1 + damping + k * k
    shelf_poles = _poles(k, damping)
    pass_hz, pass_q = HIGH_PASS
    k = math.tan(math.pi * pass_hz / rate)
    high_pass = np.array([1.0, -2.0, 1.0])
    numerator = np.convolve(shelf / shelf_scale, high_pass)
    return numerator, np.convolve(shelf_poles, _poles(k, k / pass_q))


def _poles(k: float, damping: float) -> FloatArray:
    """Return the denominator of a second-order filter."""
    scale = 1 + damping + k * k
    return np.array([1.0, 2 * (k * k - 1) / scale, (1 - damping + k * k) / scale])


def lufs(power: float) -> float:
    """Return the loudness in LUFS of a K-weighted mean square, summed over the channels."""
    return OFFSET_LUFS + 10 * math.log10(power)


def lufs_to_power(loudness_lufs: float) -> float:
    """Return the K-weighted mean square of a loudness: the inverse of ``lufs``."""
    return float(10 ** ((loudness_lufs - OFFSET_LUFS) / 10))


def true_peaks(
    samples: npt.NDArray[np.float32], size: int, matters: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Return the true peak of each run of ``size`` samples, over all channels, (runs,).

    ``samples`` is (channels, runs * size + 2 ``TRUE_PEAK_REACH``), with the samples around the
    runs. ``matters`` (runs,) are levels from which a peak matters: where a true peak cannot reach
    that, the result is the highest sample, which takes a small part of the time.
    """
    reach, phases = TRUE_PEAK_REACH, len(TRUE_PEAK_TAPS)
    around = sliding_window_view(samples, size + 2 * reach, axis=1)[:, ::size]
    heights = np.maximum(around.max(axis=2), -around.min(axis=2)).max(axis=0)
    inside = around[:, :, reach:-reach]
    highest = np.maximum(inside.max(axis=2), -inside.min(axis=2)).max(axis=0)
    loud = np.flatnonzero(heights * HIGHEST_OVERSHOOT >= matters)
    if len(loud):
        dense = upfirdn(INTERLEAVED_TAPS, around[:, loud], up=phases, axis=2)
        # The filter answers six samples late.
        between = dense[:, :, phases * 2 * reach : phases * (size + 2 * reach)]
        peaks = np.maximum(between.max(axis=(0, 2)), -between.min(axis=(0, 2)))
        highest[loud] = np.maximum(peaks, highest[loud])
    return np.asarray(highest, np.float32)
