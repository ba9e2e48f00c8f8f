"""Mel magnitudes as the log-scaled images that networks see, and back.

One channel becomes the standardised log-mel. Two channels, left and right, become their mean (the
loudness, nearly that of a mono sum) and half their difference (the balance, a few dB around zero).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

QUIETEST = 1e-4  # magnitudes below this are silence: the floor of the logarithm


def log_mel(magnitudes: torch.Tensor) -> torch.Tensor:
    """Return the base-10 logarithm of magnitudes, with a floor."""
    return magnitudes.clamp(min=QUIETEST).log10()


@dataclass(frozen=True)
class ImageScale:
    """The scale of images: mean and deviation of the loudness, and deviation of the balance."""

    mean: float
    std: float
    balance_std: float

    def image(self, levels: torch.Tensor) -> torch.Tensor:
        """Return the image of log-mel (..., channels, mel, frames), of the same shape."""
        if levels.shape[-3] == 1:
            return (levels - self.mean) / self.std
        left, right = levels.unbind(-3)
        loudness = ((left + right) / 2 - self.mean) / self.std
        return torch.stack([loudness, (left - right) / 2 / self.balance_std], -3)

    def levels(self, image: torch.Tensor) -> torch.Tensor:
        """Return the log-mel (..., channels, mel, frames) of an image: the inverse of ``image``."""
        if image.shape[-3] == 1:
            return image * self.std + self.mean
        loudness, balance = image.unbind(-3)
        middle, side = loudness * self.std + self.mean, balance * self.balance_std
        return torch.stack([middle + side, middle - side], -3)
