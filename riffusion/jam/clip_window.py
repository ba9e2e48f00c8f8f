"""Clip windows place the clips of a jam on its bar grid. This module has pure functions only.

An engine generates windows of a fixed number of frames. A clip sounds for whole bars of its window;
the frames before its first bar line are the context, a copy of what already sounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import Segment
from riffusion.music.rhythm import BarGrid, bar_duration_s, fit_tempo

MIN_CONTEXT_S = 1.0
# The last frames of a window are not played: no sound after them constrains their phases.
UNUSED_FRAMES = 4
# Bar lines lie between frames, so whole bars may touch one more frame at each end.
ROUNDING_FRAMES = 2


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
    """Return how many bars a clip plays: as many as leave its window a second of context.

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

    It ends on a bar line, with the round of a loop where that is near, or where the controls of the
    segment turn.
    """
    hop, step = engine.params.hop_length, engine.context_step
    # In a ramp a clip has as many bars as fit where it is.
    room = segment.grid.count_bars(bar, clip_room_s(engine))
    most = min(max(math.floor(bar) + 1, math.floor(bar + room)), segment.next_turn(bar))
    stop_bar = segment.loop.end_clip(bar, most)
    start, stop = segment.grid.bar_sample(bar), segment.grid.bar_sample(stop_bar)
    start_frame = start // hop
    room_frames = engine.frames - UNUSED_FRAMES - (-(-stop // hop) - start_frame)
    context = min(room_frames, start_frame) // step * step
    bpm = segment.grid.tempo_at((bar + stop_bar) / 2)
    return ClipWindow(bar, stop_bar, start, start_frame - context, context, bpm)
