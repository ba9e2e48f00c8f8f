"""What critics have in common: how they are told how much noise they hear through."""

from __future__ import annotations

import torch
from torch import nn

TIMES = 32  # sines and cosines of the time
SOON = 0.4  # of what is left to go


def loudness(noisy: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """(batch, 1, mel, frames) of noisy images at (batch,) times, with a deviation of one: that of
    an image and of noise is, that of their blend is less. The balance tells little."""
    deviation = (times**2 + (1 - times) ** 2).sqrt()[:, None, None, None]
    return noisy[:, :1] / deviation


def waves(times: torch.Tensor) -> torch.Tensor:
    """(batch, 32) sines and cosines of (batch,) times."""
    turns = times[:, None] * torch.arange(1, TIMES // 2 + 1, device=times.device) * torch.pi
    return torch.cat([turns.cos(), turns.sin()], 1)


class TimedNorm(nn.Module):
    """A group norm whose channels are scaled and moved by the time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.by_time = nn.Linear(TIMES, 2 * channels)
        nn.init.zeros_(self.by_time.weight)
        nn.init.zeros_(self.by_time.bias)

    def forward(self, x: torch.Tensor, time_waves: torch.Tensor) -> torch.Tensor:
        steered = self.by_time(time_waves).view(len(x), -1, *[1] * (x.ndim - 2))
        scale, shift = steered.chunk(2, 1)
        moved: torch.Tensor = self.norm(x) * (1 + scale) + shift
        return moved


def later(times: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Times (batch,) soon after ``times``, as the sampler's next steps may be."""
    return times + (1 - times) * SOON * torch.rand(len(times), generator=rng).to(times.device)
