"""The timeline of a jam holds which settings apply from which bar line on, from the first bar to
the last change. It is the one record of a jam's history: sessions are saved from it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from riffusion.engines.clip import LeadSheet
from riffusion.jam.settings import JamSettings
from riffusion.music.harmony import Chord
from riffusion.music.rhythm import BarGrid
from riffusion.music.walk import alpha_at, distance_after
from riffusion.spectral.spectrogram import SpectrogramParams


@dataclass(frozen=True)
class Change:
    """New values of some settings, by name, from bar ``bar`` on, which begins at ``sample``."""

    bar: int
    sample: int
    changes: Mapping[str, object]


@dataclass(frozen=True)
class Segment:
    """The settings that apply from bar ``bar`` on, and what they continue from before.

    The progression ``chords`` has one chord a bar and began at bar ``chords_bar``, the anchor at
    bar ``anchor_bar``. The walk stood at ``distance`` in bar ``walk_bar``.
    """

    bar: int
    settings: JamSettings
    grid: BarGrid
    chords: tuple[Chord, ...]
    chords_bar: int
    distance: float
    walk_bar: int
    anchor_bar: int = 0

    @property
    def start(self) -> int:
        """The sample of its first bar line."""
        return self.grid.bar_sample(self.bar)

    def alpha(self, bar: int) -> float:
        """Return the position on the walk in a bar: 0 is prompt A, 1 is prompt B."""
        return alpha_at(self.settings.path, self._distance(bar))

    def chord(self, bar: int) -> Chord:
        """Return the chord of a bar."""
        return self.chords[(bar - self.chords_bar) % len(self.chords)]

    def changed(self, bar: int, changes: Mapping[str, object]) -> Segment:
        """Return the segment that follows at bar line ``bar``, with some settings changed.

        The walk continues from where it is unless ``position`` changes. A new progression starts
        with its first chord and another anchor with its beginning; unchanged ones continue. A new
        tempo is reached after ``ramp_bars`` bars.
        """
        settings = self.settings.changed(changes)
        chords = settings.progression()
        distance, walk_bar = self._carry_walk(bar, settings)
        grid = self._carry_grid(bar, settings)
        # An unchanged progression is shared, so that many changes take little memory.
        chords, chords_bar = (
            (self.chords, self.chords_bar) if chords == self.chords else (chords, bar)
        )
        anchor_bar = self.anchor_bar if settings.anchor == self.settings.anchor else bar
        return Segment(bar, settings, grid, chords, chords_bar, distance, walk_bar, anchor_bar)

    def chroma(self, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the chord at each sample position: float32 (samples, 12), C first."""
        table = np.stack([chord.chroma() for chord in self.chords])
        bars = np.array([self.grid.bar_at(int(sample)) for sample in samples], dtype=np.int64)
        return table[(bars - self.chords_bar) % len(table)]

    def _distance(self, bar: int) -> float:
        settings = self.settings
        bars = bar - self.walk_bar
        return distance_after(settings.path, self.distance, bars, settings.walk_bars)

    def _carry_grid(self, bar: int, settings: JamSettings) -> BarGrid:
        """Return the grid of the segment that follows at bar line ``bar``."""
        grid = self.grid
        if settings.bpm != grid.bpm:
            return grid.changed(bar, settings.bpm, settings.beats_per_bar, settings.ramp_bars)
        same_metre = settings.beats_per_bar == grid.beats_per_bar
        return grid if same_metre else grid.with_metre(bar, settings.beats_per_bar)

    def _carry_walk(self, bar: int, settings: JamSettings) -> tuple[float, int]:
        """Return ``distance`` and ``walk_bar`` of the segment that follows at bar line ``bar``."""
        old = self.settings
        if settings.position != old.position:
            return settings.position, bar
        if (settings.path, settings.walk_bars) == (old.path, old.walk_bars):
            return self.distance, self.walk_bar
        # Another speed keeps the direction of the walk; another path keeps its position only.
        same_path = settings.path == old.path
        return (self._distance(bar) % 2.0 if same_path else self.alpha(bar)), bar


def first_segment(settings: JamSettings, sample_rate: int, pickup_bars: int = 0) -> Segment:
    """Return the segment from bar 0 on. Chords and anchor begin after ``pickup_bars`` bars."""
    grid = BarGrid(sample_rate, settings.bpm, settings.beats_per_bar)
    chords, distance = settings.progression(), settings.position
    return Segment(0, settings, grid, chords, pickup_bars, distance, 0, pickup_bars)


def window_sheet(settings: JamSettings, params: SpectrogramParams, frames: int) -> LeadSheet:
    """Return the lead sheet of the first ``frames`` frames of a jam with these settings."""
    timeline = Timeline((first_segment(settings, params.sample_rate),))
    return timeline.lead_sheet(np.arange(frames) * params.hop_length, 0)


@dataclass(frozen=True)
class Timeline:
    """All segments of a jam, in order. Each ends where the next begins; the last has no end."""

    segments: tuple[Segment, ...]

    @property
    def first(self) -> JamSettings:
        """The settings that the jam began with."""
        return self.segments[0].settings

    @property
    def last(self) -> JamSettings:
        """The settings of the latest change."""
        return self.segments[-1].settings

    def at(self, sample: int) -> Segment:
        """Return the segment at ``sample``."""
        return self.segments[self._index_at(sample)]

    def change_after(self, sample: int) -> Segment | None:
        """Return the next segment to begin after ``sample``, or None where there is none."""
        count = self._count_from(sample)
        return self.segments[count] if count < len(self.segments) else None

    def next_bar(self, sample: int) -> int:
        """Return the first bar to begin at or after ``sample``."""
        bar = self.at(sample).grid.next_bar(sample)
        change = self.change_after(sample - 1)
        return bar if change is None else min(bar, change.bar)

    def bar_sample(self, bar: int) -> int:
        """Return the sample at which a bar begins."""
        count = bisect_right(self.segments, bar, key=lambda segment: segment.bar)
        return self.segments[max(0, count - 1)].grid.bar_sample(bar)

    def changed(self, bar: int, settings: JamSettings) -> Timeline:
        """Return the timeline with ``settings`` from bar line ``bar`` on.

        Changes at or after that bar line are replaced.
        """
        count = bisect_left(self.segments, bar, key=lambda segment: segment.bar)
        kept = self.segments[: max(1, count)]
        changes = kept[-1].settings.difference(settings)
        return Timeline((*kept, kept[-1].changed(bar, changes)))

    def changes(self) -> tuple[Change, ...]:
        """Return every change since the first segment, in order."""
        return tuple(
            Change(after.bar, after.start, before.settings.difference(after.settings))
            for before, after in pairwise(self.segments)
        )

    def lead_sheet(self, samples: npt.NDArray[np.int64], until: int) -> LeadSheet:
        """Return beats and chords at ascending sample positions, as known at sample ``until``.

        Changes after ``until`` are left out, so that a clip does not depend on whether they are
        known yet. Positions before it have the tempo and the chords of their own segment, with
        beats counted in the metre at ``until``.
        """
        beats = np.empty(len(samples))
        chroma = np.zeros((len(samples), 12), np.float32)
        last = self._index_at(until)
        first = min(last, self._index_at(int(samples[0])))
        beats_per_bar = self.segments[last].settings.beats_per_bar
        for index in range(first, last + 1):
            # Each segment overwrites what the one before it says of the time after its start.
            segment = self.segments[index]
            begin = 0 if index == first else int(np.searchsorted(samples, segment.start))
            straight = segment.grid.bar_position(samples[begin:]) * beats_per_bar
            beats[begin:] = _delay_off_beats(straight, segment.settings.swing)
            chroma[begin:] = segment.chroma(samples[begin:])
        for array in (beats, chroma):
            array.setflags(write=False)
        return LeadSheet(beats, beats_per_bar, chroma)

    def _count_from(self, sample: int) -> int:
        """Return how many segments have begun at ``sample``."""
        return bisect_right(self.segments, sample, key=lambda segment: segment.start)

    def _index_at(self, sample: int) -> int:
        """Return the number of the segment at ``sample``, from 0."""
        return max(0, self._count_from(sample) - 1)


def _delay_off_beats(beats: npt.NDArray[np.float64], swing: float) -> npt.NDArray[np.float64]:
    """Return positions in beats with the off-beat eighth of each beat delayed by ``swing``.

    The eighth at half of a beat sounds at ``0.5 + swing / 6`` of it, which for 1 is the last third
    (a triplet of two to one). Before and after it the position rises evenly.
    """
    if swing == 0:
        return beats
    whole = np.floor(beats)
    off_beat = 0.5 + swing / 6
    return whole + np.interp(beats - whole, (0.0, off_beat, 1.0), (0.0, 0.5, 1.0))
