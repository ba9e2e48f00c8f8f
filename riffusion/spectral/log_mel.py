"""Magnitudes to the images the network sees, and back.

One channel is the standardised log-mel. Two channels, left and right, become their mean (the
loudness, nearly what a mono sum would show) and half their difference (the balance, a few dB
around zero): so the network spends its effort on the music and places it afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

QUIETEST = 1e-4  # magnitudes below this are silence: the floor of the logarithm


def log_mel(magnitudes: torch.Tensor) -> torch.Tensor:
    """Base-10 logarithm of magnitudes with a floor."""
    return magnitudes.clamp(min=QUIETEST).log10()


@dataclass(frozen=True)
class ImageScale:
    """Mean and deviation of the loudness, and what the balance is divided by."""

    mean: float
    std: float
    balance_std: float

    def image(self, levels: torch.Tensor) -> torch.Tensor:
        """Log-mel (..., channels, mel, frames) to an image of the same shape."""
        if levels.shape[-3] == 1:
            return (levels - self.mean) / self.std
        left, right = levels.unbind(-3)
        loudness = ((left + right) / 2 - self.mean) / self.std
        return torch.stack([loudness, (left - right) / 2 / self.balance_std], -3)

    def levels(self, image: torch.Tensor) -> torch.Tensor:
        """The inverse: image to log-mel, (..., channels, mel, frames)."""
        if image.shape[-3] == 1:
            return image * self.std + self.mean
        loudness, balance = image.unbind(-3)
        middle, side = loudness * self.std + self.mean, balance * self.balance_std
        return torch.stack([middle + side, middle - side], -3)
