"""A critic of style and lead instrument."""

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
from riffusion.training.corpus.captions import CaptionLabels
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.engine.critics.critic_training import (
    TimeConditionedNorm,
    embed_times,
    normalise_loudness,
    train_critic,
)

WIDTHS = (48, 96, 160, 160, 224)
STRIDES = (2, 2, 1, 2)
FIRST_STRIDE = 4
UNNAMED = -100  # the class of a style or lead that a caption does not name


@dataclass(frozen=True)
class StyleEstimate:
    """Logits (clips, styles) and (clips, families of leads)."""

    styles: torch.Tensor
    leads: torch.Tensor

    def error(self, styles: torch.Tensor, leads: torch.Tensor) -> torch.Tensor:
        """Return the mean cross entropy with the right classes (clips,), without ``UNNAMED``."""
        return _cross_entropy(self.styles, styles) + _cross_entropy(self.leads, leads)


class StyleCritic(nn.Module):
    """Maps noisy images and their times to logits of style and lead.

    Images are (batch, channels, mel, 512), times (batch,).
    """

    def __init__(self, styles: list[str]) -> None:
        super().__init__()
        self.styles = styles
        rows = COMPACT_PARAMS.mel_bands // FIRST_STRIDE
        self.first = nn.Conv2d(1, WIDTHS[0], FIRST_STRIDE + 2, FIRST_STRIDE, 1)
        # A convolution alone does not know the pitch at which it is, and transposed music is other
        # music.
        self.rows = nn.Parameter(torch.zeros(WIDTHS[0], rows, 1))
        self.norms = nn.ModuleList(TimeConditionedNorm(width) for width in WIDTHS[:-1])
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, stride, 1)
            for (inputs, outputs), stride in zip(pairwise(WIDTHS), STRIDES, strict=True)
        )
        self.style_scores = nn.Linear(2 * WIDTHS[-1], len(styles))
        self.lead_scores = nn.Linear(2 * WIDTHS[-1], len(LEAD_FAMILIES))

    def forward(self, noisy: torch.Tensor, times: torch.Tensor) -> StyleEstimate:
        time_embedding = embed_times(times)
        x = self.first(normalise_loudness(noisy, times)) + self.rows
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(F.silu(norm(x, time_embedding)))
        seen = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return StyleEstimate(self.style_scores(seen), self.lead_scores(seen))

    def find_classes(
        self, labels: Sequence[CaptionLabels], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the classes of the styles and of the leads in captions, (captions,) each."""
        styles = [_find_class(self.styles, one.style) for one in labels]
        leads = [_find_class(LEAD_FAMILIES, one.lead) for one in labels]
        return torch.tensor(styles, device=device), torch.tensor(leads, device=device)


def _find_class(classes: Sequence[str], name: str | None) -> int:
    return classes.index(name) if name in classes else UNNAMED


def _cross_entropy(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
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
        estimate: StyleEstimate, picks: npt.NDArray[np.int64], _lead_sheets: torch.Tensor
    ) -> torch.Tensor:
        return estimate.error(styles[picks], leads[picks])

    train_critic(critic, corpus, error, steps, seed, "training the critic of style")
    return critic
