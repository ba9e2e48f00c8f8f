"""Frames between the network of the vocoder and its sound: first without phases, then with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from riffusion.vocoder.recurrence import Spectrum, unroll_phases


@dataclass(frozen=True)
class PredictedFrames:
    """Mid magnitudes, complex channel gains, and phase derivatives in time and in frequency.

    ``mid`` (frames, bins) are magnitudes of the mean of the channels. ``channel_gains`` (channels,
    frames, bins) are the complex factors that make the channels of it. ``advance`` and ``slope``
    (frames, bins) are phasors of the phase step from the frame before and to the next bin.
    """

    mid: torch.Tensor
    channel_gains: torch.Tensor
    advance: Spectrum
    slope: Spectrum

    def pieces(self, frames: int) -> Iterator[PredictedFrames]:
        """Yield the same frames in pieces of ``frames`` frames."""
        for start in range(0, len(self.mid), frames):
            some = slice(start, start + frames)
            steps = self.advance[some], self.slope[some]
            yield PredictedFrames(self.mid[some], self.channel_gains[:, some], *steps)

    def with_phases(self, before: Spectrum, is_first: bool = False) -> PhasedFrames:
        """Return the frames with phases that continue those of ``before`` (bins,).

        ``before`` is the spectrum of the frame before the first one, or with ``is_first`` the known
        spectrum of the first frame itself.
        """
        rest = slice(int(is_first), None)
        magnitudes, steps = self.mid[rest].numpy(), (self.advance[rest], self.slope[rest])
        spectra = unroll_phases(magnitudes, *steps, before)
        if is_first:
            spectra = np.concatenate([before[None], spectra])
        return PhasedFrames(spectra, self.channel_gains)


@dataclass(frozen=True)
class PhasedFrames:
    """Frames with phases: spectra (frames, bins) of the mean of the channels, and channel gains
    (channels, frames, bins) as in ``PredictedFrames``."""

    spectra: Spectrum
    channel_gains: torch.Tensor

    @classmethod
    def concatenated(cls, parts: Sequence[PhasedFrames]) -> PhasedFrames:
        """Return the frames of all parts, one part after the other."""
        gains = torch.cat([part.channel_gains for part in parts], 1)
        return cls(np.concatenate([part.spectra for part in parts]), gains)
