"""All critics share this: noisy inputs, the conditioning on time, and the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.corpus.windows import cut_windows
from riffusion.training.engine.flow import add_noise, draw_times
from riffusion.training.evaluation.judge_training import train_network
from riffusion.training.precision import choose_autocast

BATCH = 32
RATE = 2e-3
TIME_FEATURES = 32  # sines and cosines of the time
MAX_STEP = 0.4  # of the time that is left, which the sampler may go on in its next steps


def normalise_loudness(noisy: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Return the loudness channel of noisy images with a deviation of one.

    It is (batch, 1, mel, frames).

    Images and noise have that deviation, and their mixture at ``times`` (batch,) has less. The
    balance is left out, since it tells little.
    """
    deviation = (times**2 + (1 - times) ** 2).sqrt()[:, None, None, None]
    return noisy[:, :1] / deviation


def embed_times(times: torch.Tensor) -> torch.Tensor:
    """Return sines and cosines, (batch, 32), of times (batch,)."""
    turns = times[:, None] * torch.arange(1, TIME_FEATURES // 2 + 1, device=times.device) * torch.pi
    return torch.cat([turns.cos(), turns.sin()], 1)


class TimeConditionedNorm(nn.Module):
    """A group norm whose channels are scaled and shifted depending on the time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.by_time = nn.Linear(TIME_FEATURES, 2 * channels)
        nn.init.zeros_(self.by_time.weight)
        nn.init.zeros_(self.by_time.bias)

    def forward(self, x: torch.Tensor, time_embedding: torch.Tensor) -> torch.Tensor:
        steered = self.by_time(time_embedding).view(len(x), -1, *[1] * (x.ndim - 2))
        scale, shift = steered.chunk(2, 1)
        moved: torch.Tensor = self.norm(x) * (1 + scale) + shift
        return moved


def draw_later_times(times: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Return times (batch,) a little after ``times``, as the next steps of the sampler may have."""
    return times + (1 - times) * MAX_STEP * torch.rand(len(times), generator=rng).to(times.device)


def train_critic(
    critic: nn.Module,
    corpus: Corpus,
    error: Callable[[Any, npt.NDArray[np.int64], torch.Tensor], torch.Tensor],
    steps: int,
    seed: int,
    what: str,
) -> None:
    """Train on random windows of ``corpus``, which should be its training split, at random times.

    ``error`` gets the output of the critic, the numbers of the songs (batch,) and the features of
    their lead sheets (batch, frames, 17). ``what`` labels the progress bar.
    """
    rng, noise_rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)

    def compute_loss() -> torch.Tensor:
        picks = rng.integers(len(corpus.songs), size=BATCH)
        images, sheets = cut_windows(corpus, rng, picks)
        times = draw_later_times(draw_times(BATCH, noise_rng), noise_rng)
        with choose_autocast("cpu"):
            output = critic(add_noise(images, times, noise_rng), times)
        return error(output, picks, sheets)

    train_network(critic, compute_loss, steps, RATE, what, BATCH * FRAMES * COMPACT_PARAMS.frame_s)
