"""A critic of the lead sheet: the place of every frame in beat and bar, and its chord."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.network import BEAT_KNOWN, CHORDS, TURNS
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.engine.critics.critic_training import (
    TimeConditionedNorm,
    embed_times,
    normalise_loudness,
    train_critic,
)

FRAMES_EACH = 2
WIDTH = 160
DILATIONS = (1, 2, 4, 8, 16, 32, 64)
PITCH_CLASSES = 12
# The gradient of the chords would exceed that of the beat by far, since a chord is twelve answers
# that all hold for a bar.
CHORDS_WEIGHT = 0.25


@dataclass(frozen=True)
class LeadSheetEstimate:
    """The estimated lead sheet of every other frame.

    ``turns`` (clips, frames / 2, 2, 2) are vectors that turn once a beat and once a bar, the longer
    the surer; ``chords`` (clips, frames / 2, 12) are logits of pitch classes.
    """

    turns: torch.Tensor
    chords: torch.Tensor

    def error(
        self, lead_sheet: torch.Tensor, pitched: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """Return how unlikely ``lead_sheet`` (clips, frames, 17) is, as weighted means over frames.

        Beat and bar count in nats and the chord in quarters of nats; ``weight`` is (clips, frames).
        Frames of unknown beat or chord are left out, and chords where ``pitched`` (clips,) is 0.
        """
        asked = lead_sheet[:, ::FRAMES_EACH]
        weight = weight[:, ::FRAMES_EACH]
        turns = asked[..., TURNS].reshape(self.turns.shape)
        timing = von_mises_error(self.turns.float(), turns).sum(-1)
        chords = asked[..., CHORDS]
        harmony = F.binary_cross_entropy_with_logits(
            self.chords.float(), chords, reduction="none"
        ).sum(-1)
        known = chords.amax(-1) * pitched[:, None]
        beat_error = _weighted_mean(timing, weight * asked[..., BEAT_KNOWN])
        return beat_error + CHORDS_WEIGHT * _weighted_mean(harmony, weight * known)


def von_mises_error(vectors: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """Return the negative log-likelihood, (...,), of directions above that of a uniform guess.

    The directions ``asked`` (..., 2) follow von Mises distributions around the directions of
    ``vectors`` (..., 2), whose lengths are the concentrations. Mardia and Jupp, "Directional
    Statistics", 2000.
    """
    concentration = vectors.norm(dim=-1)
    scale: torch.Tensor = torch.special.i0e(concentration).log() + concentration
    return scale - (vectors * asked).sum(-1)


def _weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)


class LeadSheetCritic(nn.Module):
    """Maps noisy images (batch, channels, mel, 512) and times (batch,) to an estimated lead sheet.

    It consists of dilated convolutions over time that see all bands of a frame at once: the beat
    needs frames, and a chord needs to know which band is which.
    """

    def __init__(self) -> None:
        super().__init__()
        bands = COMPACT_PARAMS.mel_bands
        self.first = nn.Conv1d(bands, 2 * WIDTH, 5, FRAMES_EACH, 2)
        self.first_norm = TimeConditionedNorm(2 * WIDTH)
        self.narrow = nn.Conv1d(2 * WIDTH, WIDTH, 1)
        self.norms = nn.ModuleList(TimeConditionedNorm(WIDTH) for _ in DILATIONS)
        self.layers = nn.ModuleList(
            nn.Conv1d(WIDTH, WIDTH, 3, padding=step, dilation=step) for step in DILATIONS
        )
        self.last_norm = TimeConditionedNorm(WIDTH)
        self.last = nn.Conv1d(WIDTH, 4 + PITCH_CLASSES, 1)

    def forward(self, noisy: torch.Tensor, times: torch.Tensor) -> LeadSheetEstimate:
        time_embedding = embed_times(times)
        x = self.first(normalise_loudness(noisy, times)[:, 0])
        x = self.narrow(F.silu(self.first_norm(x, time_embedding)))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(F.silu(norm(x, time_embedding)))
        output = self.last(F.silu(self.last_norm(x, time_embedding))).transpose(1, 2)
        turns, chords = output[..., :4], output[..., 4:]
        return LeadSheetEstimate(turns.reshape(*turns.shape[:2], 2, 2), chords)


def train_lead_sheet_critic(corpus: Corpus, steps: int, seed: int = 4) -> LeadSheetCritic:
    """Train a critic on ``corpus``, which should be its training split."""
    torch.manual_seed(seed)
    critic = LeadSheetCritic()
    pitched = torch.tensor([float(bool(song.programs)) for song in corpus.songs])

    def error(
        estimate: LeadSheetEstimate, picks: npt.NDArray[np.int64], lead_sheets: torch.Tensor
    ) -> torch.Tensor:
        return estimate.error(lead_sheets, pitched[picks], torch.ones(lead_sheets.shape[:2]))

    train_critic(critic, corpus, error, steps, seed, "training the critic of beat and chords")
    return critic
