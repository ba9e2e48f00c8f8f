"""Left and right from the mid signal, as ``stereo`` has them, computed once for each mel band.

Bins of a band share what differs between the channels, so only the factors of the mid magnitudes
and of the mid spectra are brought from bands to bins.
"""

from __future__ import annotations

import torch

from riffusion.vocoder.bands import BandsToBins
from riffusion.vocoder.stereo import GROUP_BANDS, MAX_GAIN, MAX_LEAN, TINY, WIDEST, from_level


def fit_channels(
    mid: torch.Tensor,
    sides: torch.Tensor,
    mel: torch.Tensor,
    bank: torch.Tensor,
    spread: BandsToBins,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mid magnitudes (frames, bins) and complex gains (channels, frames, bins).

    Both agree with the mel magnitudes ``mel`` (channels, frames, mel) that the magnitudes ``mid``
    (frames, bins) were predicted from; ``mid`` is changed in place. ``sides`` (frames, mel) are
    base-10 levels of the side magnitudes relative to the mid ones.
    """
    side = _side_over_mid(mel, sides) if len(mel) == 2 else None
    real = torch.ones_like(mel) if side is None else torch.stack([1 + side[0], 1 - side[0]])
    sizes = real if side is None else (real.square() + side[1].square()).sqrt()
    predicted = (mid @ bank.T) * sizes
    gain = (mel.square().sum(0) / (predicted.square().sum(0) + TINY)).sqrt().clamp_(max=MAX_GAIN)
    mid *= spread(gain)
    predicted = (mid @ bank.T) * sizes
    gains = (mel / (predicted + TINY)).clamp_(max=MAX_GAIN)
    if side is None:
        return mid, spread(gains).to(torch.complex64)
    # The sign of the angle between mid and side alternates, see ``stereo``.
    signs = (spread.nearest // GROUP_BANDS % 2 * 2 - 1).float()
    signs = torch.stack([signs, -signs])[:, None]
    return mid, torch.complex(spread(gains * real), spread(gains * side[1]) * signs)


def _side_over_mid(mel: torch.Tensor, sides: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the real part of S / M and the size of its imaginary part, (frames, mel) each."""
    left, right = mel.square()
    lean = ((left - right) / (left + right + TINY)).clamp_(-MAX_LEAN, MAX_LEAN)
    # With a smaller ratio no angle could make one channel so much louder.
    least = (1 - (1 - lean.square()).sqrt()) / lean.abs().clamp_(min=TINY)
    ratio = torch.maximum(from_level(sides), least).clamp_(max=WIDEST)
    cosine = (lean * (1 + ratio.square()) / (2 * ratio)).clamp_(-1, 1)
    return ratio * cosine, ratio * (1 - cosine.square()).sqrt()
