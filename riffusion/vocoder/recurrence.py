"""Phases from their derivatives, frame by frame.

Each bin continues the frame before it and its neighbours, weighted by the certainty of either step.
Masuyama et al., "Phase Reconstruction Based on Recurrent Phase Unwrapping with Deep Neural
Networks", ICASSP 2020; here a sum of phasors, weighted by magnitude and certainty, takes the place
of their least-squares problem.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Spectrum = npt.NDArray[np.complex64]
FAINTEST = 1e-7
TINY = 1e-12
REACH = 8  # bins on each side that count for a bin, itself included
FADING = 0.8  # the weight of each further bin, relative to the one before


def unroll_phases(
    magnitudes: npt.NDArray[np.float32], advance: Spectrum, slope: Spectrum, before: Spectrum
) -> Spectrum:
    """Return spectra (frames, bins) of ``magnitudes`` whose phases continue those of ``before``.

    ``before`` (bins,) is the spectrum of the frame before the first. ``advance`` (frames, bins) are
    phasors of the whole phase step from the frame before, ``slope`` (frames, bins) of the step to
    the next bin; shorter phasors count less. Phases are those at the centre of the window. In
    silence they go on with magnitude ``FAINTEST``: without a past, all that follows would be
    silent too.
    """
    spectra = np.empty(magnitudes.shape, np.complex64)
    spans = _spans(slope)
    for frame, size in enumerate(np.maximum(magnitudes, np.float32(FAINTEST))):
        ahead = before * advance[frame]
        own = _with_size(ahead, size)
        lower, higher = own.copy(), own.copy()  # sums over the bins below and above each bin
        for bins, steps in spans:
            lower[bins:] += lower[:-bins] * steps[frame]
            higher[:-bins] += higher[bins:] * steps[frame].conj()
        total = ahead + (lower - own) + (higher - own)
        before = spectra[frame] = _with_size(total, size)
    return spectra


def _spans(slope: Spectrum) -> list[tuple[int, Spectrum]]:
    """Return phasors of the step over 1, 2, 4, ... bins, (frames, bins - that many) each.

    Where a hit begins, the frame before says nothing and the phases of neighbouring bins agree only
    through their slopes: the further they agree, the sharper the hit.
    """
    spans = [(1, np.complex64(FADING) * slope[:, :-1])]
    while (bins := 2 * spans[-1][0]) < REACH:
        half, steps = spans[-1]
        spans.append((bins, steps[:, :-half] * steps[:, half:]))
    return spans


def _with_size(spectrum: Spectrum, size: npt.NDArray[np.float32]) -> Spectrum:
    """Return ``spectrum`` scaled to the magnitudes ``size``."""
    return spectrum * (size / (np.abs(spectrum) + TINY))
