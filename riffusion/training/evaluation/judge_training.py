"""Judges and critics share this: coarse images of songs, random windows, training and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from riffusion.audio.progress import progress
from riffusion.errors import ModelError
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.corpus.features import FloatArray

CENTRE, SPREAD = -1.9, 1.0  # roughly the mean and the deviation of log-mel levels
LEVEL_NOISE = 0.15
GAIN_NOISE = 0.15
WEIGHT_DECAY = 0.02


def pool_levels(levels: FloatArray, frames: int, bands: int) -> FloatArray:
    """Return log-mel frames in mono, as means of cells of ``frames`` by ``bands``.

    The input is (n, channels, bands).
    """
    mono = levels.mean(1)
    whole = len(mono) // frames * frames
    cells = mono[:whole].reshape(whole // frames, frames, -1, bands)
    return np.asarray(cells.mean((1, 3)), np.float32)


@dataclass(frozen=True)
class CoarseSongs:
    """Songs of a corpus in memory. ``images`` are pooled log-mel frames, float16 (n, bands)."""

    corpus: Corpus
    numbers: tuple[int, ...]
    images: tuple[npt.NDArray[np.float16], ...]
    frames_each: int

    @classmethod
    def read(
        cls, corpus: Corpus, numbers: list[int], frames_each: int, bands_each: int
    ) -> CoarseSongs:
        """Read the songs of these numbers, with ``frames_each`` frames for each row of an image."""
        images = tuple(
            pool_levels(
                corpus.frames(n, 0, corpus.songs[n].frames), frames_each, bands_each
            ).astype(np.float16)
            for n in numbers
        )
        return cls(corpus, tuple(numbers), images, frames_each)

    def draw(
        self, rng: np.random.Generator, count: int, length: int
    ) -> tuple[torch.Tensor, list[tuple[int, int]]]:
        """Return random windows (count, length, bands) and their origins.

        The windows have another level and some noise. An origin is the number of the song in the
        corpus and a frame.

        An origin is the number of the song in the corpus and a frame.
        """
        cuts, origins = [], []
        for pick in rng.integers(len(self.images), size=count):
            image = self.images[pick]
            start = int(rng.integers(max(1, len(image) - length)))
            cut = image[start : start + length].astype(np.float32)
            cuts.append(np.pad(cut, ((0, length - len(cut)), (0, 0)), mode="edge"))
            origins.append((self.numbers[pick], start * self.frames_each))
        windows = torch.from_numpy(np.stack(cuts))
        windows = windows + GAIN_NOISE * torch.randn(count, 1, 1)
        return windows + LEVEL_NOISE * torch.randn_like(windows), origins


def train_network(
    network: nn.Module,
    loss_of_batch: Callable[[], torch.Tensor],
    steps: int,
    rate: float,
    what: str,
    music_s: float,
) -> None:
    """Lower the loss for ``steps`` steps, with a progress bar labelled ``what``.

    Each step takes ``music_s`` seconds of music.
    """
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    with progress(what, steps * music_s) as advance:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss_of_batch().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            advance(music_s)
    network.eval()


def load_weights(network: nn.Module, path: Path, what: str) -> None:
    """Read the weights of ``network``. Raises ModelError where they are damaged or do not fit."""
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise make_damaged_error(path, what) from error
    network.eval()


def make_damaged_error(path: Path, what: str) -> ModelError:
    """Return the error for a file that cannot be loaded, which says what to do."""
    return ModelError(f"the {what} in {path} cannot be loaded: delete it to train it anew")
