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
    back = slope.conj()
    for frame, size in enumerate(np.maximum(magnitudes, np.float32(FAINTEST))):
        ahead = before * advance[frame]
        spectrum = _with_size(ahead, size)
        drawn = ahead.copy()
        drawn[1:] += spectrum[:-1] * slope[frame, :-1]
        drawn[:-1] += spectrum[1:] * back[frame, :-1]
        before = spectra[frame] = _with_size(drawn, size)
    return spectra


def _with_size(spectrum: Spectrum, size: npt.NDArray[np.float32]) -> Spectrum:
    return spectrum * (size / (np.abs(spectrum) + TINY))
