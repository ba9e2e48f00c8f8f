"""Spectrograms as the images that a Stable Diffusion checkpoint sees, and back.

The pixels are the original Riffusion's (``riffusion.spectral.image``) without rounding: 1 is white
and silent, 0 is black and as loud as ``BLACK``; row 0 is the highest mel band.
"""

from __future__ import annotations

import torch

from riffusion.audio.waveform import INT16_SCALE
from riffusion.spectral.image import DECODED_MAX
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram
from riffusion.spectral.tags import POWER

# This is the original's constant, but for samples in [-1, 1] instead of 16-bit ones, which the
# jam, the vocoder and the master expect. A clip is then as loud as full-scale music.
BLACK = DECODED_MAX / INT16_SCALE


def to_pixels(magnitudes: torch.Tensor, black: float = BLACK) -> torch.Tensor:
    """Return magnitudes (1, mel, frames) as an RGB image (1, 3, mel, frames) from 0 to 1."""
    loudness = (magnitudes / black).clamp(0, 1) ** POWER
    return (1 - loudness).flip(1).expand(3, -1, -1)[None]


def to_spectrogram(pixels: torch.Tensor) -> Spectrogram:
    """Return an RGB image (1, 3, mel, frames) from 0 to 1 as magnitudes up to ``BLACK``.

    Only the red channel counts, as in the original.
    """
    loudness = 1 - pixels[0, :1].float().clamp(0, 1)
    return Spectrogram((loudness ** (1 / POWER) * BLACK).flip(1), RIFFUSION)
