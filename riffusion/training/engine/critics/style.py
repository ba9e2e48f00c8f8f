"""A critic of style and lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.music.instruments import LEAD_FAMILIES, lead_family
from riffusion.training.corpus.captions import Named
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.engine.critics.through_noise import (
    TimedNorm,
    loudness,
    train_through_noise,
    waves,
)

WIDTHS = (48, 96, 160, 160, 224)
STRIDES = (2, 2, 1, 2)
FIRST_STRIDE = 4
UNNAMED = -100  # a style or lead that a caption does not name


@dataclass(frozen=True)
class Heard:
    """Scores (clips, styles) and (clips, families of leads)."""

    styles: torch.Tensor
    leads: torch.Tensor

    def error(self, styles: torch.Tensor, leads: torch.Tensor) -> torch.Tensor:
        """Mean cross entropy with the right classes (clips,), those ``UNNAMED`` left out."""
        return _error(self.styles, styles) + _error(self.leads, leads)


class StyleCritic(nn.Module):
    """(batch, channels, mel, 512) noisy images and (batch,) times to what is heard in them."""

    def __init__(self, styles: list[str]) -> None:
        super().__init__()
        self.styles = styles
        rows = COMPACT_PARAMS.mel_bands // FIRST_STRIDE
        self.first = nn.Conv2d(1, WIDTHS[0], FIRST_STRIDE + 2, FIRST_STRIDE, 1)
        # Music moved in pitch is other music: a convolution alone would not know where it is.
        self.rows = nn.Parameter(torch.zeros(WIDTHS[0], rows, 1))
        self.norms = nn.ModuleList(TimedNorm(width) for width in WIDTHS[:-1])
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, stride, 1)
            for (inputs, outputs), stride in zip(pairwise(WIDTHS), STRIDES, strict=True)
        )
        self.style_scores = nn.Linear(2 * WIDTHS[-1], len(styles))
        self.lead_scores = nn.Linear(2 * WIDTHS[-1], len(LEAD_FAMILIES))

    def forward(self, noisy: torch.Tensor, times: torch.Tensor) -> Heard:
        time_waves = waves(times)
        x = self.first(loudness(noisy, times)) + self.rows
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(F.silu(norm(x, time_waves)))
        seen = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return Heard(self.style_scores(seen), self.lead_scores(seen))

    def classes(
        self, named: Sequence[Named], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The numbers of the styles and of the leads, (captions,) each."""
        styles = [_number(self.styles, one.style) for one in named]
        leads = [_number(LEAD_FAMILIES, one.lead) for one in named]
        return torch.tensor(styles, device=device), torch.tensor(leads, device=device)


def _number(classes: Sequence[str], name: str | None) -> int:
    return classes.index(name) if name in classes else UNNAMED


def _error(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    named = (right != UNNAMED).sum().clamp(min=1)
    summed = F.cross_entropy(scores.float(), right, ignore_index=UNNAMED, reduction="sum")
    return summed / named


def train_style_critic(corpus: Corpus, steps: int, seed: int = 3) -> StyleCritic:
    """Train a critic on ``corpus``, which should be its training split."""
    torch.manual_seed(seed)
    critic = StyleCritic(sorted({song.style for song in corpus.songs}))
    styles = torch.tensor([critic.styles.index(song.style) for song in corpus.songs])
    leads = torch.tensor([LEAD_FAMILIES.index(lead_family(song.lead)) for song in corpus.songs])

    def error(
        heard: Heard, picks: npt.NDArray[np.int64], _lead_sheets: torch.Tensor
    ) -> torch.Tensor:
        return heard.error(styles[picks], leads[picks])

    train_through_noise(critic, corpus, error, steps, seed, "training the critic of style")
    return critic
