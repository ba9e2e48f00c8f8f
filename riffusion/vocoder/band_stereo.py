"""Left and right from the mid signal, as ``stereo`` has them, computed once for each mel band.

Bins of a band share what differs between the channels, so only the factors of the mid magnitudes
and of the mid spectra are brought from bands to bins.
"""

from __future__ import annotations

import numpy as np
import torch

from riffusion.vocoder.stereo import MAX_GAIN, MAX_LEAN, TINY, WIDEST, from_level


def fit_channels(
    mid: torch.Tensor,
    sides: torch.Tensor,
    mel: torch.Tensor,
    bank: torch.Tensor,
    spread: torch.Tensor,
    signs: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mid magnitudes (frames, bins) and complex gains (channels, frames, bins).

    Both agree with the mel magnitudes ``mel`` (channels, frames, mel) that the magnitudes ``mid``
    (frames, bins) were predicted from; ``mid`` is changed in place. ``sides`` (frames, mel) are
    base-10 levels of the side magnitudes relative to the mid ones. ``bank`` (bins, mel) makes bands
    of bins, ``spread`` (mel, bins) bins of bands, and ``signs`` (bins,) are those of the angle
    between mid and side.
    """
    side = _side_over_mid(mel, sides) if len(mel) == 2 else None
    sizes = torch.ones_like(mel)
    if side is not None:
        sizes = (torch.stack([1 + side[0], 1 - side[0]]).square() + side[1].square()).sqrt()
    predicted = (mid @ bank) * sizes
    gain = (mel.square().sum(0) / (predicted.square().sum(0) + TINY)).sqrt().clamp_(max=MAX_GAIN)
    mid *= gain @ spread
    gains = torch.ones(1, *mid.shape, dtype=torch.complex64)
    if side is not None:
        real, imaginary = torch.stack(side) @ spread
        imaginary *= signs
        gains = torch.empty(2, *mid.shape, dtype=torch.complex64)
        torch.complex(real.add_(1), imaginary, out=gains[0])
        torch.complex(real.neg_().add_(2), imaginary.neg_(), out=gains[1])
    predicted = (torch.from_numpy(np.abs(gains.numpy())) * mid) @ bank
    factor = (mel / (predicted + TINY)).clamp_(max=MAX_GAIN) @ spread
    np.multiply(gains.numpy(), factor.numpy(), out=gains.numpy())
    return mid, gains


def _side_over_mid(mel: torch.Tensor, sides: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the real part of S / M and the size of its imaginary part, (frames, mel) each."""
    left, right = mel.square()
    lean = ((left - right) / (left + right + TINY)).clamp_(-MAX_LEAN, MAX_LEAN)
    # With a smaller ratio no angle could make one channel so much louder.
    least = (1 - (1 - lean.square()).sqrt()) / lean.abs().clamp_(min=TINY)
    ratio = torch.maximum(from_level(sides), least).clamp_(max=WIDEST)
    cosine = (lean * (1 + ratio.square()) / (2 * ratio)).clamp_(-1, 1)
    return ratio * cosine, ratio * (1 - cosine.square()).sqrt()
