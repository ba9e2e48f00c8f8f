"""Windows of rendered songs, whose measures are the ceilings of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from riffusion.engines.clip import LeadSheet
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.corpus.features import FloatArray
from riffusion.training.corpus.shards import Song
from riffusion.training.evaluation.style_judge import make_judge_image


@dataclass(frozen=True)
class Renders:
    """Windows of ``frames`` frames, by the numbers of their songs and their first frames."""

    corpus: Corpus
    numbers: tuple[int, ...]
    starts: tuple[int, ...]
    frames: int = FRAMES

    @classmethod
    def draw(
        cls, corpus: Corpus, each: int, most: int | None = None, frames: int = FRAMES
    ) -> Renders:
        """Draw ``each`` random windows of every song, or of ``most`` songs."""
        rng = np.random.default_rng(7)
        chosen = rng.permutation(len(corpus.songs))[:most]
        numbers = tuple(int(number) for number in chosen for _ in range(each))
        lengths = (corpus.songs[number].frames for number in numbers)
        starts = tuple(int(rng.integers(max(1, length - frames))) for length in lengths)
        return cls(corpus, numbers, starts, frames)

    def keep_full_arrangements(self) -> Renders:
        """Return the windows of songs with all the instruments of their style.

        The bare name of a style asks for these.
        """
        kept = [n for n in range(len(self)) if self.corpus.is_full_arrangement(self.song(n))]
        numbers, starts = (tuple(of[n] for n in kept) for of in (self.numbers, self.starts))
        return replace(self, numbers=numbers, starts=starts)

    def __len__(self) -> int:
        return len(self.numbers)

    def song(self, place: int) -> Song:
        """Return the song of a window."""
        return self.corpus.songs[self.numbers[place]]

    def levels(self, place: int) -> FloatArray:
        """Return the log-mel frames (frames, channels, bands) of a window."""
        return self.corpus.frames(self.numbers[place], self.starts[place], self.frames)

    def lead_sheet(self, place: int) -> LeadSheet:
        """Return beat and chord of each frame of a window."""
        return self.corpus.lead_sheet(self.song(place), self.starts[place], self.frames)

    @cached_property
    def judge_images(self) -> FloatArray:
        """Return all windows as the judge of styles reads them."""
        return np.stack([make_judge_image(self.levels(place)) for place in range(len(self))])

    @property
    def styles(self) -> list[str]:
        """Return the style of each window."""
        return [self.song(place).style for place in range(len(self))]
