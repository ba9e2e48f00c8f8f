"""A judge of styles and lead instruments: a small convolutional network.

It hears music as log-mel images of half the resolution and in mono (``impression``), is trained
on the training split's renders only, and shares neither code nor architecture with the generator:
so what it says of generated music means something. Its embedding is what clips are compared by.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from riffusion.audio.progress import progress
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.music.instruments import LEAD_FAMILIES, lead_family
from riffusion.training.corpus.dataset import FRAMES, Corpus, FloatArray
from riffusion.training.evaluation.judge_training import damaged, load_weights
from riffusion.training.precision import fastest

STYLES = "styles"  # in the metadata of its file
POOL = 2
BATCH = 32
RATE = 2e-3
WEIGHT_DECAY = 0.02
CENTRE, SPREAD = -1.9, 1.0
CHANNELS = (1, 24, 64, 128, 192)
SMOOTHING = 0.05
MAX_MASK = 12  # of bands or frames that are hidden in training


@dataclass(frozen=True)
class Verdict:
    """What the judge hears in clips: (clips, classes) scores and a (clips, 192) embedding."""

    styles: torch.Tensor
    leads: torch.Tensor
    embedding: torch.Tensor


def impression(levels: FloatArray) -> FloatArray:
    """Log-mel (frames, channels, bands) as the judge hears it: (frames // 2, bands // 2)."""
    mono = levels.mean(1)
    frames = len(mono) // POOL * POOL
    return np.asarray(mono[:frames].reshape(frames // POOL, POOL, -1, POOL).mean((1, 3)))


class Judge(nn.Module):
    """(batch, frames, bands) impressions to scores a style and a lead instrument's family."""

    def __init__(self, styles: list[str]) -> None:
        super().__init__()
        self.styles = styles
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(CHANNELS):
            layers.append(_convolution(inputs, outputs, 2))
            if inputs > 1:
                layers.append(_convolution(outputs, outputs, 1))
        self.features = nn.Sequential(*layers)
        self.style_scores = nn.Linear(CHANNELS[-1], len(styles))
        self.lead_scores = nn.Linear(CHANNELS[-1], len(LEAD_FAMILIES))

    def forward(self, impressions: torch.Tensor) -> Verdict:
        maps = self.features((impressions[:, None] - CENTRE) / SPREAD)
        embedding = maps.mean((2, 3)) + maps.amax((2, 3))
        return Verdict(self.style_scores(embedding), self.lead_scores(embedding), embedding)

    @torch.inference_mode()
    def listen(self, impressions: FloatArray, batch: int = 64) -> Verdict:
        """The verdict on any number of impressions, (clips, frames, bands)."""
        parts = [self(part) for part in torch.split(torch.from_numpy(impressions).float(), batch)]
        return Verdict(
            torch.cat([part.styles for part in parts]),
            torch.cat([part.leads for part in parts]),
            torch.cat([part.embedding for part in parts]),
        )


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Impressions:
    """Every song of a corpus as the judge hears it, in memory, and the right answers."""

    def __init__(self, corpus: Corpus, styles: list[str]) -> None:
        songs = corpus.songs
        self.songs = [
            impression(corpus.frames(number, 0, song.frames)).astype(np.float16)
            for number, song in enumerate(songs)
        ]
        self.style = np.array([styles.index(song.style) for song in songs])
        self.lead = np.array([LEAD_FAMILIES.index(lead_family(song.lead)) for song in songs])

    def windows(self, rng: np.random.Generator, picks: npt.NDArray[np.int64]) -> FloatArray:
        """A random window of each picked song."""
        length = FRAMES // POOL
        starts = [int(rng.integers(max(1, len(self.songs[i]) - length))) for i in picks]
        cuts = [self.songs[i][s : s + length] for i, s in zip(picks, starts, strict=True)]
        padded = [np.pad(cut, ((0, length - len(cut)), (0, 0)), mode="edge") for cut in cuts]
        return np.stack(padded).astype(np.float32)


def train_judge(corpus: Corpus, steps: int, seed: int = 1) -> Judge:
    """Train a judge on random windows of ``corpus``, which should be its training split."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    styles = sorted({song.style for song in corpus.songs})
    judge, songs = Judge(styles), Impressions(corpus, styles)
    optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    heard_s = BATCH * FRAMES * COMPACT_PARAMS.frame_s
    with progress("training the judge", steps * heard_s) as advance:
        for _ in range(steps):
            picks = rng.integers(len(songs.songs), size=BATCH)
            windows = _disturbed(torch.from_numpy(songs.windows(rng, picks)), rng)
            with fastest("cpu"):
                verdict = judge(windows)
            loss = _error(verdict.styles, songs.style[picks])
            loss = loss + _error(verdict.leads, songs.lead[picks])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            advance(heard_s)
    return judge.eval()


def _error(scores: torch.Tensor, truth: npt.NDArray[np.int64]) -> torch.Tensor:
    return F.cross_entropy(scores.float(), torch.from_numpy(truth), label_smoothing=SMOOTHING)


def _disturbed(impressions: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """With another level, a little noise, and some bands and frames hidden (SpecAugment, Park et
    al., 2019), so that no detail decides alone."""
    heard = impressions + 0.15 * torch.randn(len(impressions), 1, 1)
    heard = heard + 0.1 * torch.randn_like(heard)
    for axis in (1, 2):
        start = int(rng.integers(heard.shape[axis] - MAX_MASK))
        heard.narrow(axis, start, int(rng.integers(MAX_MASK))).fill_(CENTRE)
    return heard


def save_judge(judge: Judge, path: Path) -> None:
    """Write a judge as safetensors, with the names of its styles."""
    save_file(judge.state_dict(), path, {STYLES: json.dumps(judge.styles)})


def load_judge(path: Path) -> Judge:
    """Read a judge; ModelError where it is damaged."""
    try:
        with safe_open(path, "pt") as file:
            judge = Judge(json.loads(file.metadata()[STYLES]))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise damaged(path, "judge") from error
    load_weights(judge, path, "judge")
    return judge
