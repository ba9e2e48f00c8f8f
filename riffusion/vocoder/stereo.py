"""Left and right from the mid signal, by the mel levels of both channels.

A spectrogram keeps no phase between left and right. The levels of L and R are known, and the
network predicts the magnitudes of the mid signal M = (L + R) / 2 and of the side signal
S = (L - R) / 2. Then |L|^2 - |R|^2 = 4 |M| |S| cos(angle) leaves only the sign of the angle between
M and S open. It alternates from one group of bands to the next, as in decorrelators, so that
neither ear is ahead.
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
    """Return the magnitudes of base-10 levels, faster than by a power of ten."""
    return (level * math.log(10)).exp()


def side_over_mid(mel: torch.Tensor, sides: torch.Tensor, spread: BandsToBins) -> torch.Tensor:
    """Return S / M, complex (frames, bins), from mel magnitudes (2, frames, mel).

    ``sides`` (frames, mel) are base-10 levels of the side magnitudes relative to the mid ones.
    """
    left, right = mel.square()
    lean = ((left - right) / (left + right + TINY)).clamp(-MAX_LEAN, MAX_LEAN)
    lean = spread(lean)
    # With a smaller ratio no angle could make one channel so much louder.
    least = (1 - (1 - lean.square()).sqrt()) / lean.abs().clamp(min=TINY)
    ratio = torch.maximum(from_level(spread(sides)), least).clamp(max=WIDEST)
    cosine = (lean * (1 + ratio.square()) / (2 * ratio)).clamp(-1, 1)
    sine = (1 - cosine.square()).sqrt()
    return torch.complex(ratio * cosine, ratio * sine * side_signs(spread))


def side_signs(spread: BandsToBins) -> torch.Tensor:
    """Return the sign (bins,) of the angle between M and S in each bin."""
    return spread.nearest // GROUP_BANDS % 2 * 2 - 1


def fit(
    mid: torch.Tensor,
    channel_gains: torch.Tensor,
    mel: torch.Tensor,
    bank: torch.Tensor,
    spread: BandsToBins,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale mid magnitudes and channel gains to the mel magnitudes that they were predicted from.

    ``mid`` is (frames, bins), ``channel_gains`` complex (channels, frames, bins), changed in place,
    and ``mel`` (channels, frames, mel). Returns ``mid`` and ``channel_gains``.
    """
    size = power(channel_gains).sqrt_()
    predicted = (mid * size) @ bank.T
    gain = mel.square().sum(0) / (predicted.square().sum(0) + TINY)
    mid = mid * spread(gain.sqrt().clamp_(max=MAX_GAIN))
    predicted = (mid * size) @ bank.T
    return mid, channel_gains.mul_(spread((mel / (predicted + TINY)).clamp_(max=MAX_GAIN)))
