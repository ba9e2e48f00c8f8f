"""Left and right from the middle: how the mel levels of both place each bin.

A spectrogram keeps no phase between left and right. Known are the levels L and R of both, and
the network tells how loud the middle M = (L + R) / 2 and the side S = (L - R) / 2 are; then
|L|^2 - |R|^2 = 4 |M| |S| cos(angle) leaves only the sign of the angle between M and S open. It
changes from one group of bands to the next, as decorrelators have it, so that neither ear is ahead.
"""

from __future__ import annotations

import math

import torch

from riffusion.spectral.stft import power
from riffusion.vocoder.bands import BandsToBins

GROUP_BANDS = 16
WIDEST = 3.0
MAX_LEAN = 0.999
MAX_GAIN = 4.0
TINY = 1e-9


def from_level(level: torch.Tensor) -> torch.Tensor:
    """Base-10 levels to magnitudes, faster than a power of ten."""
    return (level * math.log(10)).exp()


def side_over_middle(mel: torch.Tensor, sides: torch.Tensor, spread: BandsToBins) -> torch.Tensor:
    """S / M, complex (frames, bins), from mel magnitudes (2, frames, mel) and the levels ``sides``
    (frames, mel) of the side under the middle."""
    left, right = mel.square()
    lean = ((left - right) / (left + right + TINY)).clamp(-MAX_LEAN, MAX_LEAN)
    lean = spread(lean)
    # Less than this and no angle could make one channel so much louder.
    least = (1 - (1 - lean.square()).sqrt()) / lean.abs().clamp(min=TINY)
    ratio = torch.maximum(from_level(spread(sides)), least).clamp(max=WIDEST)
    cosine = (lean * (1 + ratio.square()) / (2 * ratio)).clamp(-1, 1)
    groups = spread.nearest // GROUP_BANDS % 2 * 2 - 1
    return torch.complex(ratio * cosine, ratio * (1 - cosine.square()).sqrt() * groups)


def fit(
    middle: torch.Tensor,
    placing: torch.Tensor,
    mel: torch.Tensor,
    bank: torch.Tensor,
    spread: BandsToBins,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring the middle's magnitudes (frames, bins) and its ``placing`` (channels, frames, bins) in
    the channels to the mel magnitudes (channels, frames, mel) they were drawn from. ``placing`` is
    changed in place."""
    size = power(placing).sqrt_()
    drawn = (middle * size) @ bank.T
    gain = mel.square().sum(0) / (drawn.square().sum(0) + TINY)
    middle = middle * spread(gain.sqrt().clamp_(max=MAX_GAIN))
    drawn = (middle * size) @ bank.T
    return middle, placing.mul_(spread((mel / (drawn + TINY)).clamp_(max=MAX_GAIN)))
