"""Windows of a corpus' songs: what a measure says of them is its ceiling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from riffusion.engines.clip import LeadSheet
from riffusion.training.corpus.dataset import FRAMES, Corpus, FloatArray
from riffusion.training.corpus.shards import Song
from riffusion.training.evaluation.judge import impression


@dataclass(frozen=True)
class Renders:
    """Windows of ``frames`` frames, by their songs' numbers and their first frames."""

    corpus: Corpus
    numbers: tuple[int, ...]
    starts: tuple[int, ...]
    frames: int = FRAMES

    @classmethod
    def draw(
        cls, corpus: Corpus, each: int, most: int | None = None, frames: int = FRAMES
    ) -> Renders:
        """``each`` random windows of every song, or of ``most`` songs."""
        rng = np.random.default_rng(7)
        chosen = rng.permutation(len(corpus.songs))[:most]
        numbers = tuple(int(number) for number in chosen for _ in range(each))
        lengths = (corpus.songs[number].frames for number in numbers)
        starts = tuple(int(rng.integers(max(1, length - frames))) for length in lengths)
        return cls(corpus, numbers, starts, frames)

    def whole(self) -> Renders:
        """Those with all of what their style plays: what its bare name asks for."""
        kept = [n for n in range(len(self)) if self.corpus.is_whole(self.song(n))]
        numbers, starts = (tuple(of[n] for n in kept) for of in (self.numbers, self.starts))
        return replace(self, numbers=numbers, starts=starts)

    def __len__(self) -> int:
        return len(self.numbers)

    def song(self, place: int) -> Song:
        return self.corpus.songs[self.numbers[place]]

    def levels(self, place: int) -> FloatArray:
        """Log-mel (frames, channels, bands)."""
        return self.corpus.frames(self.numbers[place], self.starts[place], self.frames)

    def lead_sheet(self, place: int) -> LeadSheet:
        return self.corpus.lead_sheet(self.song(place), self.starts[place], self.frames)

    @cached_property
    def impressions(self) -> FloatArray:
        """All of them as the judge of styles hears them."""
        return np.stack([impression(self.levels(place)) for place in range(len(self))])

    @property
    def styles(self) -> list[str]:
        return [self.song(place).style for place in range(len(self))]
