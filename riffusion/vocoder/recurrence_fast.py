"""The phase recurrence of ``recurrence``, with all that does not depend on the frame before it
computed for whole blocks."""

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
    lower, higher, added = (np.empty(sizes.shape[1], np.complex64) for _ in range(3))
    size = np.empty(sizes.shape[1], np.float32)
    for frame, (step, weight, wanted) in enumerate(zip(steps, ratio - 2, sizes, strict=True)):
        total = spectra[frame]
        np.multiply(before, step, out=lower)
        higher[:] = lower
        np.multiply(lower, weight, out=total)
        for bins, up, down in spans:
            part = added[bins:]
            lower[bins:] += np.multiply(lower[:-bins], up[frame], out=part)
            higher[:-bins] += np.multiply(higher[bins:], down[frame], out=part)
        total += lower
        total += higher
        np.abs(total, out=size)
        size += np.float32(TINY)
        np.divide(wanted, size, out=size)
        before = np.multiply(total, size, out=total)
    return spectra


def _both_ways(slope: Spectrum) -> list[tuple[int, Spectrum, Spectrum]]:
    """Return phasors of the steps over 1, 2, 4 bins, upwards and downwards, as (frames, bins less
    that many)."""
    steps = np.complex64(FADING) * slope[:, :-1]
    spans = [(1, steps, steps.conj())]
    while (bins := 2 * spans[-1][0]) < REACH:
        half, steps, _ = spans[-1]
        steps = steps[:, :-half] * steps[:, half:]
        spans.append((bins, steps, steps.conj()))
    return spans
