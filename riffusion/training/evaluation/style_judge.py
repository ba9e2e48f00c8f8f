"""A judge of styles and lead instruments: a small convolutional network.

Its input is log-mel images in mono at half the resolution (``make_judge_image``). It is trained on
renders of the training split only, and shares neither code nor architecture with the generator, so
that its verdict on generated music is independent. Clips are compared by its embedding.
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
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.corpus.features import FloatArray
from riffusion.training.evaluation.judge_training import load_weights, make_damaged_error
from riffusion.training.precision import choose_autocast

STYLES = "styles"  # the key of the style names in the metadata of the file
POOL = 2
BATCH = 32
RATE = 2e-3
WEIGHT_DECAY = 0.02
CENTRE, SPREAD = -1.9, 1.0
CHANNELS = (1, 24, 64, 128, 192)
SMOOTHING = 0.05
MAX_MASK = 12  # bands or frames that are masked in training


@dataclass(frozen=True)
class Verdict:
    """Logits of styles and leads (clips, classes), and embeddings (clips, 192)."""

    styles: torch.Tensor
    leads: torch.Tensor
    embedding: torch.Tensor


def make_judge_image(levels: FloatArray) -> FloatArray:
    """Return log-mel frames as the judge reads them, in mono at half the resolution.

    The input is (frames, channels, bands), the image (frames // 2, bands // 2).
    """
    mono = levels.mean(1)
    frames = len(mono) // POOL * POOL
    return np.asarray(mono[:frames].reshape(frames // POOL, POOL, -1, POOL).mean((1, 3)))


class StyleJudge(nn.Module):
    """Maps images (batch, frames, bands) to logits of style and family of the lead."""

    def __init__(self, styles: list[str]) -> None:
        super().__init__()
        self.styles = styles
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(CHANNELS):
            layers.append(_make_convolution(inputs, outputs, 2))
            if inputs > 1:
                layers.append(_make_convolution(outputs, outputs, 1))
        self.features = nn.Sequential(*layers)
        self.style_scores = nn.Linear(CHANNELS[-1], len(styles))
        self.lead_scores = nn.Linear(CHANNELS[-1], len(LEAD_FAMILIES))

    def forward(self, images: torch.Tensor) -> Verdict:
        maps = self.features((images[:, None] - CENTRE) / SPREAD)
        embedding = maps.mean((2, 3)) + maps.amax((2, 3))
        return Verdict(self.style_scores(embedding), self.lead_scores(embedding), embedding)

    @torch.inference_mode()
    def predict(self, images: FloatArray, batch: int = 64) -> Verdict:
        """Return the verdict on any number of images (clips, frames, bands)."""
        parts = [self(part) for part in torch.split(torch.from_numpy(images).float(), batch)]
        return Verdict(
            torch.cat([part.styles for part in parts]),
            torch.cat([part.leads for part in parts]),
            torch.cat([part.embedding for part in parts]),
        )


def _make_convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class JudgeImages:
    """Every song of a corpus as the judge reads it, in memory, with its classes."""

    def __init__(self, corpus: Corpus, styles: list[str]) -> None:
        songs = corpus.songs
        self.songs = [
            make_judge_image(corpus.frames(number, 0, song.frames)).astype(np.float16)
            for number, song in enumerate(songs)
        ]
        self.style = np.array([styles.index(song.style) for song in songs])
        self.lead = np.array([LEAD_FAMILIES.index(lead_family(song.lead)) for song in songs])

    def draw_windows(self, rng: np.random.Generator, picks: npt.NDArray[np.int64]) -> FloatArray:
        """Return a random window of each of the songs ``picks``, float32 (picks, frames, bands)."""
        length = FRAMES // POOL
        starts = [int(rng.integers(max(1, len(self.songs[i]) - length))) for i in picks]
        cuts = [self.songs[i][s : s + length] for i, s in zip(picks, starts, strict=True)]
        padded = [np.pad(cut, ((0, length - len(cut)), (0, 0)), mode="edge") for cut in cuts]
        return np.stack(padded).astype(np.float32)


def train_style_judge(corpus: Corpus, steps: int, seed: int = 1) -> StyleJudge:
    """Train a judge on random windows of ``corpus``, which should be its training split."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    styles = sorted({song.style for song in corpus.songs})
    judge, songs = StyleJudge(styles), JudgeImages(corpus, styles)
    optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    music_s = BATCH * FRAMES * COMPACT_PARAMS.frame_s
    with progress("training the judge", steps * music_s) as advance:
        for _ in range(steps):
            picks = rng.integers(len(songs.songs), size=BATCH)
            windows = _augment(torch.from_numpy(songs.draw_windows(rng, picks)), rng)
            with choose_autocast("cpu"):
                verdict = judge(windows)
            loss = _cross_entropy(verdict.styles, songs.style[picks])
            loss = loss + _cross_entropy(verdict.leads, songs.lead[picks])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            advance(music_s)
    return judge.eval()


def _cross_entropy(scores: torch.Tensor, truth: npt.NDArray[np.int64]) -> torch.Tensor:
    return F.cross_entropy(scores.float(), torch.from_numpy(truth), label_smoothing=SMOOTHING)


def _augment(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Change the level, add a little noise and mask some bands and frames.

    The masks are those of SpecAugment (Park et al., 2019). No detail decides alone then.
    """
    changed = images + 0.15 * torch.randn(len(images), 1, 1)
    changed = changed + 0.1 * torch.randn_like(changed)
    for axis in (1, 2):
        start = int(rng.integers(changed.shape[axis] - MAX_MASK))
        changed.narrow(axis, start, int(rng.integers(MAX_MASK))).fill_(CENTRE)
    return changed


def save_style_judge(judge: StyleJudge, path: Path) -> None:
    """Write a judge as safetensors, with the names of its styles."""
    save_file(judge.state_dict(), path, {STYLES: json.dumps(judge.styles)})


def load_style_judge(path: Path) -> StyleJudge:
    """Read a judge. Raises ModelError where the file is damaged."""
    try:
        with safe_open(path, "pt") as file:
            judge = StyleJudge(json.loads(file.metadata()[STYLES]))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise make_damaged_error(path, "judge") from error
    load_weights(judge, path, "judge")
    return judge
