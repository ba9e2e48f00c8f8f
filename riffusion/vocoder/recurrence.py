"""Phases from their steps: each frame goes on from the one before it, and each bin from its
neighbours, as far as either step is certain.

Masuyama et al., "Phase Reconstruction Based on Recurrent Phase Unwrapping with Deep Neural
Networks", ICASSP 2020; here the sum of phasors, weighed by magnitude and certainty, takes the place
of their least-squares problem.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Spectrum = npt.NDArray[np.complex64]
FAINTEST = 1e-7
TINY = 1e-12
REACH = 8  # bins on each side that a bin listens to, itself with them
FADING = 0.8  # what each further one counts


def unroll_phases(
    magnitudes: npt.NDArray[np.float32], advance: Spectrum, slope: Spectrum, before: Spectrum
) -> Spectrum:
    """Spectra (frames, bins) with these ``magnitudes`` and phases that go on from ``before``
    (bins,), the spectrum of the frame before the first.

    ``advance`` (frames, bins) are phasors of the whole step from the frame before, ``slope``
    (frames, bins) of the step to the next bin; shorter ones count less. Phases are taken at the
    centre of the window. In silence they go on, with magnitude ``FAINTEST``: without a past, all
    after it would be silent too.
    """
    spectra = np.empty(magnitudes.shape, np.complex64)
    spans = _spans(slope)
    for frame, size in enumerate(np.maximum(magnitudes, np.float32(FAINTEST))):
        ahead = before * advance[frame]
        own = _with_size(ahead, size)
        lower, higher = own.copy(), own.copy()  # each bin with those below, with those above
        for bins, steps in spans:
            lower[bins:] += lower[:-bins] * steps[frame]
            higher[:-bins] += higher[bins:] * steps[frame].conj()
        drawn = ahead + (lower - own) + (higher - own)
        before = spectra[frame] = _with_size(drawn, size)
    return spectra


def _spans(slope: Spectrum) -> list[tuple[int, Spectrum]]:
    """Phasors of the step over 1, 2, 4, ... bins, (frames, bins - that many) each.

    Where a hit begins, the frame before tells nothing and the phases of neighbours agree only by
    their slopes: the further they do, the sharper the hit.
    """
    spans = [(1, np.complex64(FADING) * slope[:, :-1])]
    while (bins := 2 * spans[-1][0]) < REACH:
        half, steps = spans[-1]
        spans.append((bins, steps[:, :-half] * steps[:, half:]))
    return spans


def _with_size(spectrum: Spectrum, size: npt.NDArray[np.float32]) -> Spectrum:
    return spectrum * (size / (np.abs(spectrum) + TINY))
