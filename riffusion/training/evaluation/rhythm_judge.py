"""A judge of rhythm, which estimates beat phase and event rates from sound alone.

It consists of dilated convolutions over time (as in Davies and Böck, "Temporal convolutional
networks for musical audio beat tracking", 2019) and is trained on renders of the training split,
whose beat and notes are known. Tempo and offset follow from its pulse, a complex number that turns
once a beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.corpus.features import FloatArray
from riffusion.training.evaluation.judge_training import (
    CENTRE,
    SPREAD,
    CoarseSongs,
    pool_levels,
    train_network,
)
from riffusion.training.precision import choose_autocast

BANDS_EACH = 4
BANDS = COMPACT_PARAMS.mel_bands // BANDS_EACH
WIDTH = 48
DILATIONS = (1, 2, 4, 8, 16, 32, 64, 128)
KERNEL = 5
BATCH = 16
RATE = 3e-3
RATES_WEIGHT = 0.3
TEMPI = np.arange(55.0, 185.0, 0.25)
TOLERANCE = 0.04
MULTIPLES = (1.0, 2.0, 0.5, 3.0, 1 / 3, 1.5, 2 / 3)

Pulse = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class Rhythm:
    """The estimated rhythm of a clip.

    ``pulse`` (frames,) turns once a beat and is longer where the judge is surer; the rates are
    those of note onsets and of drum hits.
    """

    pulse: Pulse
    onsets_per_s: float
    drum_hits_per_s: float


class RhythmJudge(nn.Module):
    """Maps coarse log-mel images (batch, frames, 32) to the beat phase and to rates of events.

    The phase is its cosine and sine, (batch, frames, 2). The rates are logarithms of one more than
    onsets and drum hits a second, (batch, 2).
    """

    def __init__(self) -> None:
        super().__init__()
        self.attack = nn.Conv1d(2 * BANDS, WIDTH, KERNEL, padding=KERNEL // 2)
        self.layers = nn.ModuleList(
            nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=step * (KERNEL // 2), dilation=step)
            for step in DILATIONS
        )
        self.turn = nn.Conv1d(WIDTH, 2, 1)
        self.count = nn.Sequential(nn.Conv1d(WIDTH, WIDTH, 1), nn.ELU())
        self.rates = nn.Linear(WIDTH, 2)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        levels = ((images - CENTRE) / SPREAD).transpose(1, 2)
        rise = F.pad(levels.diff(dim=2), (1, 0))
        features = F.elu(self.attack(torch.cat([levels, rise], 1)))
        for layer in self.layers:
            features = features + F.elu(layer(features))
        return self.turn(features).transpose(1, 2), self.rates(self.count(features).mean(2))

    @torch.inference_mode()
    def predict(self, levels: FloatArray) -> Rhythm:
        """Return the estimated rhythm of log-mel frames (frames, channels, bands)."""
        image = torch.from_numpy(pool_levels(levels, 1, BANDS_EACH))
        turned, rates = self(image[None])
        pulse = torch.view_as_complex(turned[0].contiguous()).numpy()
        onsets, hits = rates[0].expm1().clamp(min=0).tolist()
        return Rhythm(pulse, onsets, hits)


def measure_offset_s(pulse: Pulse, beats: npt.NDArray[np.float64], bpm: float) -> float:
    """Return by how many seconds the pulse is late (early: negative), at most half a beat.

    ``beats`` has the asked position of each frame in beats.
    """
    ahead = np.angle((pulse * np.exp(-2j * np.pi * beats)).sum())
    return float(-ahead / (2 * np.pi) * 60 / bpm)


def measure_tempo(pulse: Pulse) -> float:
    """Return the tempo of the pulse in beats per minute."""
    seconds = np.arange(len(pulse)) * COMPACT_PARAMS.frame_s
    turns = np.exp(-2j * np.pi * TEMPI[:, None] / 60 * seconds)
    return float(TEMPI[int(np.abs(turns @ pulse).argmax())])


def match_tempi(asked: float, measured: float) -> tuple[bool, bool]:
    """Return whether tempi agree within 4 %, first exactly, then up to a simple multiple."""
    exact = abs(measured - asked) / asked < TOLERANCE
    loose = any(abs(measured * m - asked) / asked < TOLERANCE for m in MULTIPLES)
    return exact, loose


def train_rhythm_judge(corpus: Corpus, steps: int, seed: int = 1) -> RhythmJudge:
    """Train a judge on random windows of ``corpus``, which should be its training split."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    songs = CoarseSongs.read(corpus, list(range(len(corpus.songs))), 1, BANDS_EACH)
    rates = np.log1p([[song.onsets_per_s, song.drum_hits_per_s] for song in corpus.songs])
    judge = RhythmJudge()

    def loss() -> torch.Tensor:
        windows, origins = songs.draw(rng, BATCH, FRAMES)
        beats = [corpus.lead_sheet(corpus.songs[n], start, FRAMES).beats for n, start in origins]
        turns = torch.from_numpy(2 * np.pi * np.stack(beats))
        truth = torch.stack([turns.cos(), turns.sin()], -1).float()
        wanted = torch.from_numpy(rates[[n for n, _ in origins]]).float()
        with choose_autocast("cpu"):
            phase, log_rates = judge(windows)
        phase_error = F.mse_loss(phase.float(), truth)
        return phase_error + RATES_WEIGHT * F.mse_loss(log_rates.float(), wanted)

    music_s = BATCH * FRAMES * COMPACT_PARAMS.frame_s
    train_network(judge, loss, steps, RATE, "training the judge of rhythm", music_s)
    return judge
