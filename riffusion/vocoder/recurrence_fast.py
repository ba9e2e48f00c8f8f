"""The phase recurrence of ``recurrence``, with all that does not depend on the frame before it
computed for whole blocks.

Sums over lower and higher bins are made at once: the second row of an array holds the bins in
reverse order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from riffusion.vocoder.recurrence import FADING, FAINTEST, REACH, TINY, Spectrum


def unroll_block(
    magnitudes: npt.NDArray[np.float32], advance: Spectrum, slope: Spectrum, before: Spectrum
) -> Spectrum:
    """Return what ``recurrence.unroll_phases`` returns, to rounding."""
    sizes = np.maximum(magnitudes, np.float32(FAINTEST))
    spectra = np.empty(sizes.shape, np.complex64)
    if not len(sizes):
        return spectra
    # How large the frame before arrives: its spectrum has the sizes of its frame.
    ahead = np.concatenate([np.abs(before)[None], sizes[:-1]]) * np.abs(advance)
    ratio = ahead / sizes
    steps = advance * (sizes / (ahead + np.float32(TINY)))
    spans = _both_ways(slope)
    sums = np.empty((2, sizes.shape[1]), np.complex64)
    added, size = np.empty_like(sums), np.empty(sizes.shape[1], np.float32)
    for frame, (step, weight, wanted) in enumerate(zip(steps, ratio - 2, sizes, strict=True)):
        own, total = np.multiply(before, step, out=sums[0]), spectra[frame]
        sums[1] = own[::-1]
        np.multiply(own, weight, out=total)
        for bins, phasors in spans:
            part = added[:, bins:]
            np.multiply(sums[:, :-bins], phasors[frame], out=part)
            sums[:, bins:] += part
        total += sums[0]
        total += sums[1, ::-1]
        np.abs(total, out=size)
        size += np.float32(TINY)
        np.divide(wanted, size, out=size)
        before = np.multiply(total, size, out=total)
    return spectra


def _both_ways(slope: Spectrum) -> list[tuple[int, Spectrum]]:
    """Return phasors of the steps over 1, 2, 4 bins, (frames, 2, bins - that many) each."""
    up = np.complex64(FADING) * slope[:, :-1]
    steps = np.stack([up, up[:, ::-1].conj()], 1)
    spans = [(1, steps)]
    while (bins := 2 * spans[-1][0]) < REACH:
        half, steps = spans[-1]
        spans.append((bins, steps[..., :-half] * steps[..., half:]))
    return spans
