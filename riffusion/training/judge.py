"""A judge of styles: a small convolutional classifier of log-mel windows.

It is trained on the training split's renders only, and shares neither code nor architecture with
the generator, so that what it says of generated music means something.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from riffusion.errors import ModelError
from riffusion.training.dataset import FRAMES, Corpus, FloatArray

BATCH = 32
RATE = 2e-3
CENTRE, SPREAD = -1.9, 1.0
CHANNELS = (1, 24, 48, 96, 128)


class StyleJudge(nn.Module):
    """(batch, frames, bands) log-mel windows to one score a style."""

    def __init__(self, styles: list[str]) -> None:
        super().__init__()
        self.styles = styles
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(CHANNELS):
            layers += [
                nn.Conv2d(inputs, outputs, 3, 2, 1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers)
        self.scores = nn.Linear(CHANNELS[-1], len(styles))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        # Half the resolution is enough to name a style, and four times faster to train.
        halved = F.avg_pool2d((windows[:, None] - CENTRE) / SPREAD, 2)
        maps = self.features(halved)
        scores: torch.Tensor = self.scores(maps.mean((2, 3)) + maps.amax((2, 3)))
        return scores

    @torch.inference_mode()
    def ranking(self, window: torch.Tensor) -> list[str]:
        """Styles of one (frames, bands) window, likeliest first."""
        order = self(window[None])[0].argsort(descending=True)
        return [self.styles[int(index)] for index in order]


def train_judge(corpus: Corpus, steps: int, seed: int = 1) -> StyleJudge:
    """Train a judge on random windows of ``corpus``, which should be its training split."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    styles = sorted({song.style for song in corpus.songs})
    judge = StyleJudge(styles)
    optimizer = torch.optim.AdamW(judge.parameters(), RATE)
    for step in range(steps):
        picks = rng.integers(len(corpus.songs), size=BATCH)
        windows = torch.from_numpy(np.stack([random_window(corpus, int(i), rng) for i in picks]))
        target = torch.tensor([styles.index(corpus.songs[int(i)].style) for i in picks])
        loss = F.cross_entropy(judge(windows + 0.1 * torch.randn_like(windows)), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = RATE * max(0.02, 1 - step / steps)
    return judge.eval()


def random_window(corpus: Corpus, song: int, rng: np.random.Generator) -> FloatArray:
    """A random (frames, bands) window of one song."""
    start = int(rng.integers(max(1, corpus.songs[song].frames - FRAMES)))
    return corpus.frames(song, start, FRAMES)


def save_judge(judge: StyleJudge, path: Path) -> None:
    """Write a judge as safetensors."""
    save_file(judge.state_dict(), path, {"styles": json.dumps(judge.styles)})


def load_judge(path: Path) -> StyleJudge:
    """Read a judge; ModelError where it is damaged."""
    try:
        with safe_open(path, "pt") as file:
            judge = StyleJudge(json.loads(file.metadata()["styles"]))
        judge.load_state_dict(load_file(path))
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the judge in {path} cannot be loaded: delete it to train it anew"
        ) from error
    return judge.eval()
