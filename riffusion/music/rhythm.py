"""The bar grid: bars and beats as absolute sample positions.

Every bar line is computed from the origin of the grid, so rounding errors never add up: a bar line
is the nearest whole sample to its exact position, for as long as the track runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffusion.errors import InvalidInput

MIN_BPM = 60.0
MAX_BPM = 180.0
MIN_BEATS = 2
MAX_BEATS = 12


@dataclass(frozen=True)
class BarGrid:
    """The bar grid maps bars to absolute sample positions, for one tempo and metre.

    ``bpm`` is in beats per minute. Bar ``first_bar`` begins at sample ``origin``. Raises
    InvalidInput for an illegal tempo or metre.
    """

    sample_rate: int
    bpm: float
    beats_per_bar: int = 4
    first_bar: int = 0
    origin: int = 0

    def __post_init__(self) -> None:
        check_tempo(self.bpm)
        check_metre(self.beats_per_bar)

    @property
    def bar_samples(self) -> float:
        """The samples in a bar, not rounded."""
        return self.beats_per_bar * 60.0 * self.sample_rate / self.bpm

    def bar_sample(self, bar: int) -> int:
        """Return the sample on which bar ``bar`` begins."""
        return self.origin + round((bar - self.first_bar) * self.bar_samples)

    def beat_sample(self, bar: int, beat: int) -> int:
        """Return the sample on which beat ``beat`` (from 0) of bar ``bar`` begins."""
        bars = bar - self.first_bar + beat / self.beats_per_bar
        return self.origin + round(bars * self.bar_samples)

    def bar_at(self, sample: int) -> int:
        """Return the bar that sounds at ``sample``: the last one that begins at or before it."""
        bar = self.first_bar + math.floor((sample - self.origin) / self.bar_samples)
        # Bar lines are rounded, so one may lie just before the position that division gives.
        return bar + 1 if self.bar_sample(bar + 1) <= sample else bar

    def next_bar(self, sample: int) -> int:
        """Return the first bar that begins at or after ``sample``."""
        return self.bar_at(sample - 1) + 1

    def bar_position(self, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return sample positions in bars with fractions: 2.5 is half way through bar 2."""
        return self.first_bar + (samples - self.origin) / self.bar_samples

    def changed(self, bar: int, bpm: float, beats_per_bar: int) -> BarGrid:
        """Return the grid that continues from bar line ``bar`` with another tempo or metre."""
        return BarGrid(self.sample_rate, bpm, beats_per_bar, bar, self.bar_sample(bar))


def bar_duration_s(bpm: float, beats_per_bar: int) -> float:
    """Return how long a bar lasts, in seconds."""
    return beats_per_bar * 60.0 / bpm


def count_bars(duration_s: float, bpm: float, beats_per_bar: int) -> float:
    """Return how many bars fit in ``duration_s`` seconds, with their fraction."""
    return duration_s * bpm / 60 / beats_per_bar


def fit_tempo(bars: int, duration_s: float, beats_per_bar: int) -> float:
    """Return the tempo at which ``bars`` bars last ``duration_s`` seconds."""
    return bars * beats_per_bar * 60 / duration_s


def check_tempo(bpm: object) -> None:
    """Raise InvalidInput unless ``bpm`` is a number from 60 to 180."""
    is_number = isinstance(bpm, int | float) and not isinstance(bpm, bool)
    if not is_number or not MIN_BPM <= bpm <= MAX_BPM:  # type: ignore[operator]
        hint = f"use a number of beats per minute from {MIN_BPM:g} to {MAX_BPM:g}"
        raise InvalidInput("tempo", bpm, hint)


def check_metre(beats_per_bar: object) -> None:
    """Raise InvalidInput unless ``beats_per_bar`` is a whole number from 2 to 12."""
    is_whole = isinstance(beats_per_bar, int) and not isinstance(beats_per_bar, bool)
    if not is_whole or not MIN_BEATS <= beats_per_bar <= MAX_BEATS:  # type: ignore[operator]
        hint = f"use a whole number of beats from {MIN_BEATS} to {MAX_BEATS}, mostly 3 or 4"
        raise InvalidInput("beats per bar", beats_per_bar, hint)
