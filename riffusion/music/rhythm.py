"""The bar grid: bars and beats as absolute sample positions.

Every bar line is computed from the origin of the grid, so rounding errors never add up: a bar line
is the nearest whole sample to its exact position, for as long as the track runs. That holds in a
ramp too, where the tempo changes evenly from beat to beat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from riffusion.errors import InvalidInput

MIN_BPM = 60.0
MAX_BPM = 180.0
MIN_BEATS = 2
MAX_BEATS = 12

Positions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TempoRamp:
    """A tempo ramp leads from one tempo to another in ``beats`` beats, by the same step each beat.

    With the tempo b(x) = b0 + (b1 - b0) x / n after x of n beats, x beats last the integral of
    1 / b, which is n / (b1 - b0) ln(b(x) / b0) minutes.
    """

    start_bpm: float
    stop_bpm: float
    beats: float

    @property
    def _slope(self) -> float:
        """The beats per minute that are added in a beat; negative where the music slows down."""
        return (self.stop_bpm - self.start_bpm) / self.beats

    @cached_property
    def duration_s(self) -> float:
        """The seconds from the first beat to the last."""
        return self.seconds(self.beats)

    def seconds(self, beats: float) -> float:
        """Return after how many seconds the ramp has played ``beats``, 0 to all of its beats."""
        return math.log1p(beats * self._slope / self.start_bpm) * 60 / self._slope

    def beats_at(self, seconds: Positions) -> Positions:
        """Return how many beats were played after ``seconds``. It is the inverse of ``seconds``."""
        beats: Positions = np.expm1(seconds / 60 * self._slope) * self.start_bpm / self._slope
        return beats

    def tempo(self, beats: float) -> float:
        """Return the tempo after ``beats`` beats, in beats per minute."""
        bpm = self.start_bpm + beats * self._slope
        slowest, fastest = sorted((self.start_bpm, self.stop_bpm))
        return min(max(bpm, slowest), fastest)


@dataclass(frozen=True)
class BarGrid:
    """The bar grid maps bars to absolute sample positions, for one metre.

    ``bpm`` is the tempo in beats per minute. Bar ``first_bar`` begins at sample ``origin``. With
    ``ramp_bars`` the tempo is ``start_bpm`` before that bar, and moves from there to ``bpm`` in as
    many bars, by the same step each beat. Bars may have fractions: 2.5 is half way through bar 2.
    Raises InvalidInput for an illegal tempo, metre or ramp.
    """

    sample_rate: int
    bpm: float
    beats_per_bar: int = 4
    first_bar: float = 0
    origin: int = 0
    start_bpm: float | None = None
    ramp_bars: float = 0

    def __post_init__(self) -> None:
        check_tempo(self.bpm)
        check_metre(self.beats_per_bar)
        if self.start_bpm is not None:
            check_tempo(self.start_bpm)
        if not 0 <= self.ramp_bars < math.inf:
            raise InvalidInput("tempo ramp", self.ramp_bars, "use a number of bars, 0 or more")

    @property
    def bar_samples(self) -> float:
        """The samples in a bar at the tempo ``bpm``, not rounded."""
        return self.beats_per_bar * 60.0 * self.sample_rate / self.bpm

    @property
    def ramp_end(self) -> float:
        """The bar from which on the tempo is ``bpm``."""
        return self.first_bar + self.ramp_bars if self._ramp else self.first_bar

    def bar_sample(self, bar: float) -> int:
        """Return the sample on which bar ``bar`` begins, or a place in a bar lies."""
        return self.origin + round(self._samples(bar - self.first_bar))

    def beat_sample(self, bar: float, beat: int) -> int:
        """Return the sample on which beat ``beat`` (from 0) of bar ``bar`` begins."""
        bars = bar - self.first_bar + beat / self.beats_per_bar
        return self.origin + round(self._samples(bars))

    def bar_at(self, sample: int) -> int:
        """Return the bar that sounds at ``sample``: the last one that begins at or before it."""
        bar = math.floor(self.bar_position(np.array(sample)))
        # Bar lines are rounded, so one may lie just before the position that division gives, and a
        # position in a ramp is exact only to its last digits.
        if self.bar_sample(bar + 1) <= sample:
            return bar + 1
        return bar - 1 if self.bar_sample(bar) > sample else bar

    def next_bar(self, sample: int) -> int:
        """Return the first bar that begins at or after ``sample``."""
        return self.bar_at(sample - 1) + 1

    def bar_position(self, samples: npt.NDArray[np.int64]) -> Positions:
        """Return sample positions in bars with fractions: 2.5 is half way through bar 2."""
        return self.first_bar + self._bars(samples - self.origin)

    def tempo_at(self, bar: float) -> float:
        """Return the tempo at a bar, which may have a fraction, in beats per minute."""
        if self._ramp is None or bar >= self.ramp_end:
            return self.bpm
        return self._ramp.tempo(max(0.0, bar - self.first_bar) * self.beats_per_bar)

    def count_bars(self, bar: float, duration_s: float) -> float:
        """Return how many bars from ``bar`` on last ``duration_s`` seconds, with their fraction."""
        if self._ramp is None or bar >= self.ramp_end:
            return duration_s / bar_duration_s(self.bpm, self.beats_per_bar)
        begin = self._samples(bar - self.first_bar)
        end = self._bars(np.array(begin + duration_s * self.sample_rate))
        return float(end) - (bar - self.first_bar)

    def changed(self, bar: float, bpm: float, beats_per_bar: int, ramp_bars: float = 0) -> BarGrid:
        """Return the grid that continues from bar ``bar`` with another tempo or metre.

        The new tempo is reached after ``ramp_bars`` bars of the new metre.
        """
        line, start_bpm = self.bar_sample(bar), self.tempo_at(bar)
        if ramp_bars == 0 or start_bpm == bpm:
            return BarGrid(self.sample_rate, bpm, beats_per_bar, bar, line)
        return BarGrid(self.sample_rate, bpm, beats_per_bar, bar, line, start_bpm, ramp_bars)

    def with_metre(self, bar: float, beats_per_bar: int) -> BarGrid:
        """Return the grid that continues from bar ``bar`` with another metre.

        A ramp goes on as it was, beat by beat.
        """
        beats_left = max(0.0, self.ramp_end - bar) * self.beats_per_bar
        return self.changed(bar, self.bpm, beats_per_bar, beats_left / beats_per_bar)

    @cached_property
    def _ramp(self) -> TempoRamp | None:
        """The ramp from bar ``first_bar`` on, or None where the tempo is the same throughout."""
        if self.ramp_bars == 0 or self.start_bpm is None or self.start_bpm == self.bpm:
            return None
        return TempoRamp(self.start_bpm, self.bpm, self.ramp_bars * self.beats_per_bar)

    def _samples(self, bars: float) -> float:
        """Return the samples from the origin to a place ``bars`` bars after it, not rounded."""
        ramp = self._ramp
        if ramp is None:
            return bars * self.bar_samples
        beats = bars * self.beats_per_bar
        before_s = min(beats, 0) * 60 / ramp.start_bpm
        within_s = ramp.seconds(min(max(beats, 0), ramp.beats))
        after_s = max(beats - ramp.beats, 0) * 60 / ramp.stop_bpm
        return (before_s + within_s + after_s) * self.sample_rate

    def _bars(self, samples: npt.NDArray[np.int64] | Positions) -> Positions:
        """Return places in samples after the origin in bars after it: undo ``_samples``."""
        ramp = self._ramp
        if ramp is None:
            return samples / self.bar_samples
        seconds = samples / self.sample_rate
        before = np.minimum(seconds, 0) * ramp.start_bpm / 60
        within = ramp.beats_at(np.clip(seconds, 0, ramp.duration_s))
        after = np.maximum(seconds - ramp.duration_s, 0) * ramp.stop_bpm / 60
        return (before + within + after) / self.beats_per_bar


def ramp_duration_s(start_bpm: float, bpm: float, beats: float) -> float:
    """Return how long ``beats`` beats last while the tempo goes evenly from one to the other."""
    if start_bpm == bpm or beats == 0:
        return beats * 60.0 / bpm
    return TempoRamp(start_bpm, bpm, beats).duration_s


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
