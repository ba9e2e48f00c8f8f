"""The loss of flow matching with a clean-image prediction (Lipman et al., 2023; Li and He, 2025).

Times run from 0 (noise) to 1 (clean); the error is that of the velocity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from riffusion.engines.compact.network import Conditioning
from riffusion.training.precision import choose_autocast

TIME_MEAN, TIME_DEVIATION = -1.2, 1.0
# The balance has a small weight, since most of its remaining error is the noise of reverberation.
BALANCE_WEIGHT = 0.1
MIN_TIME_LEFT = 0.08  # bounds the weight of nearly clean images in the loss

Network = Callable[[torch.Tensor, torch.Tensor, Conditioning], torch.Tensor]


@dataclass(frozen=True)
class DenoisedBatch:
    """Noisy images at their times, and a network's estimate of the clean images.

    Images are (batch, channels, mel, frames), times (batch,).
    """

    noisy: torch.Tensor
    times: torch.Tensor
    clean: torch.Tensor


def draw_times(count: int, rng: torch.Generator) -> torch.Tensor:
    """Return random times, (count,), of a logit-normal distribution.

    Its mean lies near the noise, where the style is decided.
    """
    return torch.sigmoid(torch.randn(count, generator=rng) * TIME_DEVIATION + TIME_MEAN)


def add_noise(images: torch.Tensor, times: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Return images mixed with noise according to ``times`` (batch,).

    Images are (batch, channels, mel, frames).
    """
    noise = torch.randn(images.shape, generator=rng).to(images.device)
    share = times[:, None, None, None]
    return share * images + (1 - share) * noise


def denoise(
    network: Network, images: torch.Tensor, conditioning: Conditioning, rng: torch.Generator
) -> DenoisedBatch:
    """Add noise to ``images`` at random times and let the network estimate them.

    The context of ``conditioning`` stays clean.
    """
    times = draw_times(len(images), rng).to(images.device)
    given = conditioning.context[:, None, None, :]
    noisy = torch.where(given > 0, images, add_noise(images, times, rng))
    with choose_autocast(images.device.type):
        return DenoisedBatch(noisy, times, network(noisy, times, conditioning).float())


def velocity_error(
    denoised: DenoisedBatch, images: torch.Tensor, context: torch.Tensor
) -> torch.Tensor:
    """Return the mean squared error of the velocity outside the ``context`` (batch, frames)."""
    given = context[:, None, None, :]
    left = (1 - denoised.times[:, None, None, None]).clamp(min=MIN_TIME_LEFT)
    shares = torch.tensor([1.0, BALANCE_WEIGHT], device=images.device)[: images.shape[1]]
    weight = shares[:, None, None] * (1 - given) / left**2
    rows = shares.sum() * images.shape[2]
    return ((denoised.clean - images) ** 2 * weight).sum() / ((1 - given).sum() * rows)


def flow_loss(
    network: Network, images: torch.Tensor, conditioning: Conditioning, rng: torch.Generator
) -> torch.Tensor:
    """Return the velocity error of a network on images (batch, channels, mel, frames)."""
    return velocity_error(denoise(network, images, conditioning, rng), images, conditioning.context)
