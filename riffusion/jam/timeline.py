"""When which settings rule: the segments of a jam, each from one bar line to the next change."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffusion.engines.clip import LeadSheet
from riffusion.jam.settings import JamSettings
from riffusion.music.harmony import Chord
from riffusion.music.rhythm import BarGrid
from riffusion.music.walk import alpha_at, distance_after
from riffusion.spectral.spectrogram import SpectrogramParams


@dataclass(frozen=True)
class Segment:
    """Settings from bar ``bar`` on, and what they carry over from before.

    ``chords`` play one a bar and began at bar ``chords_bar``, the anchor at bar ``anchor_bar``. The
    walk stood at ``distance`` in bar ``walk_bar``.
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
        """Where the walk is in a bar: 0 at A, 1 at B."""
        return alpha_at(self.settings.path, self._distance(bar))

    def chord(self, bar: int) -> Chord:
        return self.chords[(bar - self.chords_bar) % len(self.chords)]

    def changed(self, bar: int, changes: Mapping[str, object]) -> Segment:
        """The segment that takes over at bar line ``bar``.

        The walk goes on from where it is unless ``position`` changes. New chords start with the
        first of them, and so does another anchor with its beginning; the same ones go on.
        """
        settings = self.settings.changed(changes)
        chords = settings.progression()
        distance, walk_bar = self._carry_walk(bar, settings)
        grid = self.grid
        if (settings.bpm, settings.beats_per_bar) != (grid.bpm, grid.beats_per_bar):
            grid = grid.changed(bar, settings.bpm, settings.beats_per_bar)
        chords_bar = self.chords_bar if chords == self.chords else bar
        anchor_bar = self.anchor_bar if settings.anchor == self.settings.anchor else bar
        return Segment(bar, settings, grid, chords, chords_bar, distance, walk_bar, anchor_bar)

    def _distance(self, bar: int) -> float:
        settings = self.settings
        bars = bar - self.walk_bar
        return distance_after(settings.path, self.distance, bars, settings.walk_bars)

    def _carry_walk(self, bar: int, settings: JamSettings) -> tuple[float, int]:
        old = self.settings
        if settings.position != old.position:
            return settings.position, bar
        if (settings.path, settings.walk_bars) == (old.path, old.walk_bars):
            return self.distance, self.walk_bar
        # Another speed keeps the direction; another path knows only where the walk is.
        same_path = settings.path == old.path
        return (self._distance(bar) % 2.0 if same_path else self.alpha(bar)), bar


def first_segment(settings: JamSettings, sample_rate: int, pickup_bars: int = 0) -> Segment:
    """Settings from bar 0 on. Chords and anchor begin after ``pickup_bars``."""
    grid = BarGrid(sample_rate, settings.bpm, settings.beats_per_bar)
    chords, distance = settings.progression(), settings.position
    return Segment(0, settings, grid, chords, pickup_bars, distance, 0, pickup_bars)


def window_sheet(settings: JamSettings, params: SpectrogramParams, frames: int) -> LeadSheet:
    """Beats and chords of ``frames`` frames from the first bar line on."""
    timeline = Timeline((first_segment(settings, params.sample_rate),))
    return timeline.lead_sheet(np.arange(frames) * params.hop_length, 0)


@dataclass(frozen=True)
class Timeline:
    """The segments of a jam, oldest first. The last one has no end."""

    segments: tuple[Segment, ...]

    def at(self, sample: int) -> Segment:
        """The segment that rules at ``sample``."""
        return self.segments[max(0, self._count_from(sample) - 1)]

    def change_after(self, sample: int) -> Segment | None:
        """The next segment to begin after ``sample``, if one is known."""
        count = self._count_from(sample)
        return self.segments[count] if count < len(self.segments) else None

    def next_bar(self, sample: int) -> int:
        """The first bar to begin at or after ``sample``."""
        bar = self.at(sample).grid.next_bar(sample)
        change = self.change_after(sample - 1)
        return bar if change is None else min(bar, change.bar)

    def bar_sample(self, bar: int) -> int:
        """The sample on which a bar begins."""
        count = bisect_right(self.segments, bar, key=lambda segment: segment.bar)
        return self.segments[max(0, count - 1)].grid.bar_sample(bar)

    def changed(self, bar: int, settings: JamSettings) -> Timeline:
        """``settings`` rule from bar line ``bar`` on; changes from there on are replaced."""
        count = bisect_left(self.segments, bar, key=lambda segment: segment.bar)
        kept = self.segments[: max(1, count)]
        changes = kept[-1].settings.difference(settings)
        return Timeline((*kept, kept[-1].changed(bar, changes)))

    def forget(self, before: int) -> Timeline:
        """Without the segments that ended before sample ``before``."""
        return Timeline(self.segments[max(0, self._count_from(before) - 1) :])

    def _count_from(self, sample: int) -> int:
        """How many segments have begun at ``sample``."""
        return bisect_right(self.segments, sample, key=lambda segment: segment.start)

    def lead_sheet(self, samples: npt.NDArray[np.int64], until: int) -> LeadSheet:
        """Beats and chords at sample positions, as known at sample ``until``.

        Later changes are left out, so a clip is the same whether or not they are known yet. The
        past is told in its own tempo and chords, and in beats of the present metre.
        """
        ruling = self.at(until)
        bars = np.empty(len(samples))
        chroma = np.zeros((len(samples), 12), np.float32)
        for segment in self.segments:
            if segment.start > until:
                break
            ruled = samples >= segment.start if segment is not self.segments[0] else slice(None)
            bars[ruled] = segment.grid.bar_position(samples[ruled])
            chroma[ruled] = _chroma(segment, samples[ruled])
        beats = bars * ruling.settings.beats_per_bar
        for array in (beats, chroma):
            array.setflags(write=False)
        return LeadSheet(beats, ruling.settings.beats_per_bar, chroma)


def _chroma(segment: Segment, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """float32 (samples, 12): the chord of the bar that sounds at each position."""
    table = np.stack([chord.chroma() for chord in segment.chords])
    bars = np.array([segment.grid.bar_at(int(sample)) for sample in samples], dtype=np.int64)
    return table[(bars - segment.chords_bar) % len(table)]
