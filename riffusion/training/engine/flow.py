"""Flow matching with a clean-image prediction (Lipman et al., 2023; Li and He, 2025).

Times run from 0 (noise) to 1 (clean); the error is that of the velocity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from riffusion.engines.compact.network import Conditioning
from riffusion.training.precision import fastest

TIME_MEAN, TIME_DEVIATION = -1.2, 1.0
# Of the balance in the loss: most of what it could still gain is the noise of reverberation.
BALANCE_WEIGHT = 0.1
NEAREST_CLEAN = 0.08  # bounds the weight of nearly clean images in the loss

Network = Callable[[torch.Tensor, torch.Tensor, Conditioning], torch.Tensor]


@dataclass(frozen=True)
class Guess:
    """``noisy`` images (batch, channels, mel, frames) at ``times`` (batch,), and what a network
    takes for the ``clean`` ones behind them."""

    noisy: torch.Tensor
    times: torch.Tensor
    clean: torch.Tensor


def random_times(count: int, rng: torch.Generator) -> torch.Tensor:
    """(count,) times as training draws them, logit-normal: style is decided in the noise."""
    return torch.sigmoid(torch.randn(count, generator=rng) * TIME_DEVIATION + TIME_MEAN)


def blend(images: torch.Tensor, times: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Images (batch, channels, mel, frames) with the noise of their ``times`` (batch,)."""
    noise = torch.randn(images.shape, generator=rng).to(images.device)
    share = times[:, None, None, None]
    return share * images + (1 - share) * noise


def guess(
    network: Network, images: torch.Tensor, conditioning: Conditioning, rng: torch.Generator
) -> Guess:
    """What the network makes of ``images`` at random times; their context stays clean."""
    times = random_times(len(images), rng).to(images.device)
    given = conditioning.context[:, None, None, :]
    noisy = torch.where(given > 0, images, blend(images, times, rng))
    with fastest(images.device.type):
        return Guess(noisy, times, network(noisy, times, conditioning).float())


def velocity_error(guessed: Guess, images: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """Mean squared velocity error outside the ``context`` (batch, frames)."""
    given = context[:, None, None, :]
    left = (1 - guessed.times[:, None, None, None]).clamp(min=NEAREST_CLEAN)
    shares = torch.tensor([1.0, BALANCE_WEIGHT], device=images.device)[: images.shape[1]]
    weight = shares[:, None, None] * (1 - given) / left**2
    rows = shares.sum() * images.shape[2]
    return ((guessed.clean - images) ** 2 * weight).sum() / ((1 - given).sum() * rows)


def flow_loss(
    network: Network, images: torch.Tensor, conditioning: Conditioning, rng: torch.Generator
) -> torch.Tensor:
    """The velocity error of what the network makes of (batch, channels, mel, frames)."""
    return velocity_error(guess(network, images, conditioning, rng), images, conditioning.context)
