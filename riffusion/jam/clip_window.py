"""Clip windows place the clips of a jam on its bar grid. This module has pure functions only.

An engine generates windows of a fixed number of frames. A clip sounds for whole bars of its window,
or whole beats in quality "live"; the frames before its first one are the context, a copy of what
already sounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import Segment, first_segment, whole_bar
from riffusion.music.rhythm import BarGrid, bar_duration_s, fit_tempo

MIN_CONTEXT_S = 1.0
# The last frames of a window are not played: no sound after them constrains their phases.
UNUSED_FRAMES = 4
# Bar lines lie between frames, so whole bars may touch one more frame at each end.
ROUNDING_FRAMES = 2
# Bars with fractions are exact to more digits of a beat than these.
BEAT_DIGITS = 6


@dataclass(frozen=True)
class ClipWindow:
    """A clip that sounds from ``bar`` on, which is sample ``start``, up to ``stop_bar``.

    Its window of frames begins at absolute frame ``first_frame``; the first ``context`` frames of
    it lie before the clip's own. ``bpm`` is the tempo in the middle of its bars.
    """

    bar: float
    stop_bar: float
    start: int
    first_frame: int
    context: int
    bpm: float


def bars_per_clip(engine: Engine, settings: JamSettings) -> int:
    """Return how many bars fit into a clip: as many as leave its window a second of context.

    Raises InvalidInput where not even one bar fits.
    """
    check_bar(engine, settings.bpm, settings.beats_per_bar)
    return int(clip_room_s(engine) / bar_duration_s(settings.bpm, settings.beats_per_bar))


def clip_room_s(engine: Engine) -> float:
    """Return for how many seconds the bars of a clip may last beside a second of context."""
    step = engine.context_step
    context = -(-round(MIN_CONTEXT_S / engine.params.frame_s) // step) * step
    frames = engine.frames - UNUSED_FRAMES - ROUNDING_FRAMES - context
    return frames * engine.params.hop_length / engine.params.sample_rate


def check_grid(engine: Engine, grid: BarGrid) -> None:
    """Raise InvalidInput where a bar does not fit into a clip at the slowest tempo of a grid."""
    check_bar(engine, min(grid.bpm, grid.tempo_at(grid.first_bar)), grid.beats_per_bar)


def check_bar(engine: Engine, bpm: float, beats_per_bar: int) -> None:
    """Raise InvalidInput where a bar does not fit into a clip."""
    room_s, bar_s = clip_room_s(engine), bar_duration_s(bpm, beats_per_bar)
    if bar_s > room_s:
        slowest = fit_tempo(1, room_s, beats_per_bar)
        hint = (
            f"a bar of {beats_per_bar} beats then lasts {bar_s:.2f} s, and the engine can "
            f"play bars of at most {room_s:.2f} s: use {slowest:.1f} beats per minute or more, or "
            "fewer beats in a bar"
        )
        raise InvalidInput("tempo", bpm, hint)


def clip_window(engine: Engine, segment: Segment, bar: float) -> ClipWindow:
    """Return the window of a clip from ``bar`` on, with as much context as fits and exists.

    It ends on a bar line or, in quality "live", on a beat; with the round of a loop where that is
    near, or where the controls of the segment turn.
    """
    hop, step = engine.params.hop_length, engine.context_step
    # In a ramp a clip has as many bars as fit where it is.
    room = segment.grid.count_bars(bar, clip_room_s(engine))
    on_beat = segment.settings.quality == "live"
    stop_bar = _end_on_beat(segment, bar, room) if on_beat else _end_on_bar(segment, bar, room)
    start, stop = segment.grid.bar_sample(bar), segment.grid.bar_sample(stop_bar)
    start_frame = start // hop
    room_frames = engine.frames - UNUSED_FRAMES - (-(-stop // hop) - start_frame)
    context = min(room_frames, start_frame) // step * step
    bpm = segment.grid.tempo_at((bar + stop_bar) / 2)
    return ClipWindow(bar, stop_bar, start, start_frame - context, context, bpm)


def mean_hop_s(engine: Engine, settings: JamSettings) -> float:
    """Return how long the clips of a jam's first round sound on average, in seconds.

    That is how much new music comes from the work of a window.
    """
    segment = first_segment(settings, engine.params.sample_rate)
    bar, clips = 0.0, 0
    while bar < max(1, segment.loop.bars):
        bar = clip_window(engine, segment, bar).stop_bar
        clips += 1
    return segment.grid.bar_sample(bar) / engine.params.sample_rate / clips


def _end_on_bar(segment: Segment, bar: float, room: float) -> float:
    """Return the bar line with which a clip from ``bar`` on ends; ``room`` bars fit."""
    most = min(max(math.floor(bar) + 1, math.floor(bar + room)), segment.next_turn(bar))
    return segment.loop.end_clip(bar, most)


def _end_on_beat(segment: Segment, bar: float, room: float) -> float:
    """Return the beat, in bars, with which a clip from ``bar`` on ends; ``room`` bars fit.

    As few clips as can be lead to the end of the round, or to where the controls turn.
    """
    beats = segment.grid.beats_per_bar
    begin = round(bar * beats, BEAT_DIGITS)
    most = math.floor(begin + room * beats)
    end_bar = min(segment.loop.end_round(bar, most / beats), segment.next_turn(bar))
    end = round(end_bar * beats, BEAT_DIGITS)
    if end <= most:
        return end_bar
    return whole_bar(end_hop(begin, most, end, math.floor(room * beats)) / beats)


def end_hop(begin: float, most: int, end: float, room: int) -> int:
    """Return the beat with which the first clip from ``begin`` to ``end`` ends, at most ``most``.

    Those that follow have at most ``room`` beats. Of the ways with the fewest clips it is the one
    whose clips are as equal as they can be. All are in beats; ``end`` may be infinite.
    """
    if end == math.inf:
        return most
    later = math.ceil((end - most) / room)
    equal = begin + (end - begin) / (later + 1)
    return min(most, math.ceil(max(equal, end - later * room)))
