"""A critic of what a lead sheet asks: where in beat and bar every frame lies, and which chord."""

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
from riffusion.training.engine.critics.through_noise import (
    TimedNorm,
    loudness,
    train_through_noise,
    waves,
)

FRAMES_EACH = 2
WIDTH = 160
DILATIONS = (1, 2, 4, 8, 16, 32, 64)
PITCH_CLASSES = 12
# Their gradient would drown that of the beat: a chord is twelve answers, all of them for a bar.
CHORDS_WEIGHT = 0.25


@dataclass(frozen=True)
class HeardScore:
    """Of every other frame: ``turns`` (clips, frames / 2, 2, 2), vectors that turn once a beat and
    once a bar, the longer the surer; ``chords`` (clips, frames / 2, 12), scores of pitch classes.
    """

    turns: torch.Tensor
    chords: torch.Tensor

    def error(
        self, lead_sheet: torch.Tensor, pitched: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """How unlikely the asked (clips, frames, 17) is: of beat and bar in nats, of the chord in
        quarters of them, means over frames by their ``weight`` (clips, frames). Frames of unknown
        beat or chord are left out, and chords where nothing has a pitch, ``pitched`` (clips,) 0.
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
        in_time = _mean(timing, weight * asked[..., BEAT_KNOWN])
        return in_time + CHORDS_WEIGHT * _mean(harmony, weight * known)


def von_mises_error(vectors: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """(...,) negative log-likelihood, above that of a uniform guess, of the directions ``asked``
    (..., 2) by von Mises distributions around the directions of ``vectors`` (..., 2), whose
    lengths are the concentrations. Mardia and Jupp, "Directional Statistics", 2000."""
    concentration = vectors.norm(dim=-1)
    scale: torch.Tensor = torch.special.i0e(concentration).log() + concentration
    return scale - (vectors * asked).sum(-1)


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)


class ScoreCritic(nn.Module):
    """(batch, channels, mel, 512) noisy images and (batch,) times to what is heard in them.

    Dilated convolutions over time, all bands of a frame at once: the beat needs frames, a chord
    needs to know which band is which.
    """

    def __init__(self) -> None:
        super().__init__()
        bands = COMPACT_PARAMS.mel_bands
        self.first = nn.Conv1d(bands, 2 * WIDTH, 5, FRAMES_EACH, 2)
        self.first_norm = TimedNorm(2 * WIDTH)
        self.narrow = nn.Conv1d(2 * WIDTH, WIDTH, 1)
        self.norms = nn.ModuleList(TimedNorm(WIDTH) for _ in DILATIONS)
        self.layers = nn.ModuleList(
            nn.Conv1d(WIDTH, WIDTH, 3, padding=step, dilation=step) for step in DILATIONS
        )
        self.last_norm = TimedNorm(WIDTH)
        self.last = nn.Conv1d(WIDTH, 4 + PITCH_CLASSES, 1)

    def forward(self, noisy: torch.Tensor, times: torch.Tensor) -> HeardScore:
        time_waves = waves(times)
        x = self.first(loudness(noisy, times)[:, 0])
        x = self.narrow(F.silu(self.first_norm(x, time_waves)))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(F.silu(norm(x, time_waves)))
        heard = self.last(F.silu(self.last_norm(x, time_waves))).transpose(1, 2)
        turns, chords = heard[..., :4], heard[..., 4:]
        return HeardScore(turns.reshape(*turns.shape[:2], 2, 2), chords)


def train_score_critic(corpus: Corpus, steps: int, seed: int = 4) -> ScoreCritic:
    """Train a critic on ``corpus``, which should be its training split."""
    torch.manual_seed(seed)
    critic = ScoreCritic()
    pitched = torch.tensor([float(bool(song.programs)) for song in corpus.songs])

    def error(
        heard: HeardScore, picks: npt.NDArray[np.int64], lead_sheets: torch.Tensor
    ) -> torch.Tensor:
        return heard.error(lead_sheets, pitched[picks], torch.ones(lead_sheets.shape[:2]))

    train_through_noise(
        critic, corpus, error, steps, seed, "training the critic of beat and chords"
    )
    return critic
