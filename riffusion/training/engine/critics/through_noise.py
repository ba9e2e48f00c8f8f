"""What critics have in common: how much noise they hear through, and how they are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.engine.flow import blend, random_times
from riffusion.training.evaluation.judge_training import train
from riffusion.training.precision import fastest

BATCH = 32
RATE = 2e-3
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


def train_through_noise(
    critic: nn.Module,
    corpus: Corpus,
    error: Callable[[Any, npt.NDArray[np.int64], torch.Tensor], torch.Tensor],
    steps: int,
    seed: int,
    what: str,
) -> None:
    """Train on random windows of ``corpus``, which should be its training split, at random times.

    ``error`` of what the critic hears, the songs heard (batch,) and the features of their lead
    sheets (batch, frames, 17).
    """
    rng, noise_rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)

    def of_batch() -> torch.Tensor:
        picks = rng.integers(len(corpus.songs), size=BATCH)
        images, sheets = corpus.cuts(rng, picks)
        times = later(random_times(BATCH, noise_rng), noise_rng)
        with fastest("cpu"):
            heard = critic(blend(images, times, noise_rng), times)
        return error(heard, picks, sheets)

    train(critic, of_batch, steps, RATE, what, BATCH * FRAMES * COMPACT_PARAMS.frame_s)
