"""The timeline of a jam holds which settings apply from which place on, from the first bar to the
last change. It is the one record of a jam's history: sessions are saved from it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from riffusion.engines.clip import Controls, LeadSheet
from riffusion.jam.dynamics import Dynamics
from riffusion.jam.loop import Loop
from riffusion.jam.prompt_walk import PromptBlend, blend_prompts
from riffusion.jam.settings import JamSettings
from riffusion.music.harmony import Chord
from riffusion.music.rhythm import BarGrid
from riffusion.music.walk import distance_after, position_at
from riffusion.spectral.spectrogram import SpectrogramParams

# How many places of a beat changes may land on.
PARTS = {"now": 4, "beat": 1}


@dataclass(frozen=True)
class Change:
    """New values of some settings, by name, from ``bar`` on, which begins at ``sample``.

    A bar with a fraction is a place in a bar: 2.5 is half way through bar 2.
    """

    bar: float
    sample: int
    changes: Mapping[str, object]


@dataclass(frozen=True)
class Segment:
    """The settings that apply from ``bar`` on, and what they continue from before.

    The progression ``chords`` has one chord a bar and began at bar ``chords_bar``, the anchor at
    bar ``anchor_bar``. The walk stood at ``distance`` at ``walk_bar``. ``bar`` and ``walk_bar`` may
    have fractions.
    """

    bar: float
    settings: JamSettings
    grid: BarGrid
    chords: tuple[Chord, ...]
    chords_bar: int
    distance: float
    walk_bar: float
    anchor_bar: int
    loop: Loop
    dynamics: Dynamics

    @property
    def start(self) -> int:
        """The sample that it begins with."""
        return self.grid.bar_sample(self.bar)

    def position(self, bar: float) -> float:
        """Return where the walk is in a bar: the prompts that it visits lie at 0, 1 and so on."""
        stops = len(self.settings.heard_prompts())
        return position_at(self.settings.path, self._distance(bar), stops)

    def walked(self, bar: float) -> float:
        """Return the share of the walk, 0 to 1, that lies before a bar."""
        last = max(1, len(self.settings.heard_prompts()) - 1)
        position = self.position(bar)
        return position / last if position <= last else last + 1 - position

    def blend(self, bar: float) -> PromptBlend:
        """Return the prompts that are heard in a bar."""
        return blend_prompts(self.settings, self.position(bar))

    def controls(self, bar: float) -> Controls:
        """Return the controls of a clip that begins at ``bar``."""
        return self.dynamics.controls(self.settings, bar, self.loop.heard_bar(bar))

    def next_turn(self, bar: float) -> float:
        """Return the first bar after ``bar`` where a clip cannot go on with its controls."""
        return self.dynamics.next_turn(self.settings, bar, self.loop.heard_bar(bar))

    def places(self, bar: float, stop_bar: float) -> tuple[int, ...]:
        """Return the samples after ``bar`` up to ``stop_bar`` where a change may land.

        They are bar lines, or the places between them that its settings ask for, and ``stop_bar``.
        """
        parts = count_parts(self.settings)
        first, last = math.floor(bar * parts) + 1, math.ceil(stop_bar * parts)
        # A fraction of a bar may be a last digit off.
        start, stop = self.grid.bar_sample(bar), self.grid.bar_sample(stop_bar)
        samples = (self.grid.bar_sample(part / parts) for part in range(first, last))
        return (*(sample for sample in samples if start < sample < stop), stop)

    def chord(self, bar: int) -> Chord:
        """Return the chord of a bar."""
        heard = math.floor(self.loop.heard_bar(bar))
        return self.chords[(heard - self.chords_bar) % len(self.chords)]

    def changed(self, bar: float, changes: Mapping[str, object]) -> Segment:
        """Return the segment that follows at ``bar``, with some settings changed.

        The walk continues from where it is unless ``position`` changes. A new progression starts
        with its first chord and another anchor with its beginning; unchanged ones continue. A new
        tempo is reached after ``ramp_bars`` bars.
        """
        settings = self.settings.settled().changed(changes)
        chords = settings.progression()
        # An unchanged progression is shared, so that many changes take little memory.
        chords, chords_bar = (
            (self.chords, self.chords_bar) if chords == self.chords else (chords, math.floor(bar))
        )
        distance, walk_bar = self._carry_walk(bar, settings)
        same_anchors = (settings.anchor, settings.anchor_b) == (
            self.settings.anchor,
            self.settings.anchor_b,
        )
        return Segment(
            bar=bar,
            settings=settings,
            grid=self._carry_grid(bar, settings),
            chords=chords,
            chords_bar=chords_bar,
            distance=distance,
            walk_bar=walk_bar,
            anchor_bar=self.anchor_bar if same_anchors else math.floor(bar),
            loop=self.loop.changed(bar, settings, len(chords), chords_bar),
            dynamics=self.dynamics.changed(bar, self.settings, settings),
        )

    def chroma(self, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the chord at each sample position: float32 (samples, 12), C first."""
        table = np.stack([chord.chroma() for chord in self.chords])
        bars = (self.loop.heard_bar(self.grid.bar_at(int(sample))) for sample in samples)
        heard = np.array([math.floor(bar) for bar in bars], dtype=np.int64)
        return table[(heard - self.chords_bar) % len(table)]

    def _distance(self, bar: float) -> float:
        settings = self.settings
        bars = self.loop.heard_bar(bar) - self.walk_bar
        return distance_after(settings.path, self.distance, bars, settings.walk_bars)

    def _carry_grid(self, bar: float, settings: JamSettings) -> BarGrid:
        """Return the grid of the segment that follows at ``bar``."""
        grid = self.grid
        if settings.bpm != grid.bpm:
            return grid.changed(bar, settings.bpm, settings.beats_per_bar, settings.ramp_bars)
        same_metre = settings.beats_per_bar == grid.beats_per_bar
        return grid if same_metre else grid.with_metre(bar, settings.beats_per_bar)

    def _carry_walk(self, bar: float, settings: JamSettings) -> tuple[float, float]:
        """Return ``distance`` and ``walk_bar`` of the segment that follows at ``bar``."""
        old = self.settings
        stops = len(settings.heard_prompts())
        last = max(1, stops - 1)
        if settings.position != old.position:
            return settings.position * last, bar
        released = old.hold and not settings.hold
        same_way = (settings.path, stops) == (old.path, len(old.heard_prompts()))
        if same_way and settings.walk_bars == old.walk_bars and not released:
            return self.distance, self.walk_bar
        # Another speed keeps the direction of the walk; another path keeps its position only.
        if same_way and settings.path == "ping-pong":
            return self._distance(bar) % (2.0 * last), bar
        return self.position(bar), bar


def count_parts(settings: JamSettings, quantize: str | None = None) -> int:
    """Return how many places of a bar changes may land on."""
    in_beat = PARTS.get(quantize or settings.quantize)
    return in_beat * settings.beats_per_bar if in_beat else 1


def whole_bar(bar: float) -> float:
    """Return a bar as a whole number where it has no fraction."""
    return int(bar) if bar == int(bar) else bar


def first_segment(
    settings: JamSettings, sample_rate: int, pickup_bars: int = 0, start: int = 0
) -> Segment:
    """Return the segment from bar 0 on, which begins at sample ``start``.

    Chords and anchor begin after ``pickup_bars`` bars.
    """
    chords = settings.progression()
    return Segment(
        bar=0,
        settings=settings,
        grid=BarGrid(sample_rate, settings.bpm, settings.beats_per_bar, origin=start),
        chords=chords,
        chords_bar=pickup_bars,
        distance=settings.position * max(1, len(settings.heard_prompts()) - 1),
        walk_bar=0,
        anchor_bar=pickup_bars,
        loop=Loop.start(settings, len(chords), pickup_bars),
        dynamics=Dynamics.start(settings, pickup_bars),
    )


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

    def bar_sample(self, bar: float) -> int:
        """Return the sample at which a bar begins, or a place in a bar lies."""
        return self._at_bar(bar).grid.bar_sample(bar)

    def next_place(self, sample: int, quantize: str) -> float:
        """Return the first place at or after ``sample`` where a change may land, in bars."""
        segment = self.at(sample)
        bar = segment.grid.bar_at(sample)
        parts = count_parts(segment.settings, quantize)
        # As a clip names the places of its beats.
        places = ((bar * parts + part) / parts for part in range(2 * parts + 1))
        place = next(place for place in places if segment.grid.bar_sample(place) >= sample)
        if quantize == "loop":
            return self._at_bar(place).loop.next_round(place)
        return whole_bar(place)

    def _at_bar(self, bar: float) -> Segment:
        """Return the segment that a bar lies in."""
        count = bisect_right(self.segments, bar, key=lambda segment: segment.bar)
        return self.segments[max(0, count - 1)]

    def changed(self, bar: float, settings: JamSettings) -> Timeline:
        """Return the timeline with ``settings`` from ``bar`` on.

        Changes at or after it are replaced.
        """
        count = bisect_left(self.segments, bar, key=lambda segment: segment.bar)
        kept = self.segments[: max(1, count)]
        changes = kept[-1].settings.settled().difference(settings)
        return Timeline((*kept, kept[-1].changed(bar, changes)))

    def changes(self) -> tuple[Change, ...]:
        """Return every change since the first segment, in order."""
        return tuple(
            Change(after.bar, after.start, before.settings.settled().difference(after.settings))
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
