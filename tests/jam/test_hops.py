"""Live clips begin and end on beats: as few windows as can be, and the same ones in each round."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from riffusion.engines.clip import Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.clip_window import (
    MIN_CONTEXT_S,
    ClipWindow,
    bars_per_clip,
    clip_room_s,
    clip_window,
    end_hop,
    mean_hop_s,
)
from riffusion.jam.session import JamSession
from riffusion.jam.timeline import Segment, first_segment
from riffusion.music.rhythm import MAX_BPM, MIN_BPM, bar_duration_s
from tests.jamming import HOP, QUICK, RATE, Grid, jam, play, settings_with, tempi
from tests.recording import RecordedEngine

loops = st.sampled_from(["chords", "0", "1", "2", "4", "8", "16"])
metres = st.sampled_from([2, 3, 4, 5, 7])


def segment_of(**changes: Any) -> Segment:
    settings = settings_with(**changes)
    try:
        bars_per_clip(Grid(), settings)
    except InvalidInput:
        assume(False)
    return first_segment(settings, RATE)


def windows(segment: Segment, bar: float, stop_bar: float) -> list[ClipWindow]:
    """Return the windows of the clips from a place on that begin before another one."""
    found = []
    while bar < stop_bar:
        found.append(clip_window(Grid(), segment, bar))
        bar = found[-1].stop_bar
    return found


def beats_in(window: ClipWindow, beats_per_bar: int) -> float:
    return (window.stop_bar - window.bar) * beats_per_bar


@given(tempi, metres, loops, st.sampled_from(["none", "breathe", "build"]), st.integers(0, 15))
def test_windows_cover_the_track_with_context_and_meet_on_beats(
    bpm: float, beats: int, loop: str, arc: str, sixteenths: int
) -> None:
    segment = segment_of(bpm=bpm, beats_per_bar=beats, loop=loop, arc=arc, arc_bars="8")
    begin = sixteenths / 4 / beats
    clips = windows(segment, begin, 40)
    assert clips[0].bar == begin
    for clip, after in pairwise(clips):
        assert clip.stop_bar == after.bar
        assert round(after.bar * beats) == pytest.approx(after.bar * beats, abs=1e-6)
    for clip in clips:
        own_frame = clip.first_frame + clip.context
        assert own_frame * HOP <= clip.start < (own_frame + 1) * HOP
        assert clip.context >= min(round(MIN_CONTEXT_S * RATE / HOP), own_frame - 7)
        assert clip.context % Grid.context_step == 0
        # All of it is heard, and at least a beat.
        stop = segment.grid.bar_sample(clip.stop_bar)
        assert (clip.first_frame + Grid.frames - 1) * HOP >= stop
        assert beats_in(clip, beats) > 0
    assert all(beats_in(clip, beats) >= 1 - 1e-6 for clip in clips[1:])


@given(tempi, metres, loops, st.integers(1, 9))
def test_each_round_has_the_same_clips_as_few_as_can_be(
    bpm: float, beats: int, loop: str, number: int
) -> None:
    segment = segment_of(bpm=bpm, beats_per_bar=beats, loop=loop)
    bars = segment.loop.bars
    assume(bars)
    room = math.floor(clip_room_s(Grid()) * bpm / 60)
    rounds = max(1, room // (bars * beats))
    first = windows(segment, 0, bars * rounds)
    assert first[-1].stop_bar == bars * rounds
    assert len(first) == math.ceil(Fraction(bars * rounds * beats, room))
    lengths = [beats_in(clip, beats) for clip in first]
    assert max(lengths) - min(lengths) < 1 + 1e-6
    begin = number * bars * rounds
    later = windows(segment, begin, begin + bars * rounds)
    assert [(c.bar - begin) * beats for c in later] == pytest.approx([c.bar * beats for c in first])


@given(tempi, metres, st.integers(0, 60))
def test_without_a_loop_as_many_beats_as_fit(bpm: float, beats: int, beat: int) -> None:
    segment = segment_of(bpm=bpm, beats_per_bar=beats, loop="0")
    clip = clip_window(Grid(), segment, beat / beats)
    room = math.floor(clip_room_s(Grid()) * bpm / 60)
    assert beats_in(clip, beats) == pytest.approx(room)


@given(tempi, metres, loops)
def test_live_hops_are_no_shorter_than_whole_bars(bpm: float, beats: int, loop: str) -> None:
    settings = segment_of(bpm=bpm, beats_per_bar=beats, loop=loop).settings
    fine = settings.changed({"quality": "fine"})
    assert mean_hop_s(Grid(), settings) >= mean_hop_s(Grid(), fine) - 1 / RATE


@pytest.mark.parametrize(
    ("bpm", "live", "fine"),
    [(100, [6, 5, 5], [4, 4, 4, 4]), (117, [6, 5, 5], [4, 4, 4, 4]), (120, [8, 8], [8, 8])],
)
def test_the_beats_of_four_bars(bpm: float, live: list[int], fine: list[int]) -> None:
    for quality, expected in (("live", live), ("fine", fine)):
        clips = windows(segment_of(bpm=bpm, quality=quality), 0, 4)
        assert [beats_in(clip, 4) for clip in clips] == pytest.approx(expected)


@given(st.floats(MIN_BPM, MAX_BPM), st.integers(2, 8), st.sampled_from(["0", "4"]))
def test_fine_clips_are_whole_bars(bpm: float, beats: int, loop: str) -> None:
    segment = segment_of(bpm=bpm, beats_per_bar=beats, loop=loop, quality="fine")
    fit = int(clip_room_s(Grid()) / bar_duration_s(bpm, beats))
    for clip in windows(segment, 0, 16):
        assert clip.bar == int(clip.bar)
        assert clip.stop_bar == int(clip.stop_bar)
        assert clip.stop_bar - clip.bar <= fit


@given(st.floats(0, 3.99), st.integers(2, 12), st.integers(1, 200))
def test_the_first_of_the_fewest_hops_leaves_room_for_the_others(
    begin: float, room: int, beats: int
) -> None:
    most, end = math.floor(begin) + room, math.floor(begin) + beats
    assume(end > most)
    count, place = 0, begin
    while place < end:
        here = math.floor(place) + room
        stop = end if end <= here else end_hop(place, here, end, room)
        assert place < stop <= here
        place, count = stop, count + 1
    assert count == 1 + math.ceil((end - most) / room)


def test_a_fill_and_a_drop_cut_clips_where_they_turn() -> None:
    segment = segment_of(bpm=100).changed(4.75, {"fill": 1, "drop": 2})
    assert [clip.bar for clip in windows(segment, 4.75, 12)] == [4.75, 5, 6, 7, 8, 9.5, 10.75]


def test_beats_are_marked_where_they_are(tiny_engine: Engine) -> None:
    session = jam(tiny_engine, bpm=100, chords="C Am F G", quantize="beat")
    blocks = []
    while session.position < 10 * RATE:
        blocks.append(next(session))
    beat = RATE * 60 // 100
    marks = list(dict.fromkeys(block.clip for block in blocks))
    assert [(mark.bar, mark.beat) for mark in marks[:4]] == [(0, 0), (1, 2), (2, 3), (4, 0)]
    assert [mark.start_sample // beat for mark in marks[:4]] == [0, 6, 11, 16]
    assert [mark.chords for mark in marks[:3]] == [("C", "Am"), ("Am", "F"), ("F", "G")]


def test_a_change_of_quality_is_a_change_of_hops_and_replays(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, bpm=100, beats_per_bar=3, quantize="beat")
    heard = play(session, 3 * RATE)
    for changes in ({"quality": "fine"}, {"prompt_b": Prompt("new", 5)}, {"quality": "live"}):
        session.change(changes)
        heard = play(session, session.position + 5 * RATE, heard[:, : session.position])
    assert {request.quality for request in engine.requests} == {"live", "fine"}
    again = JamSession(
        tiny_engine,
        settings_with(bpm=100, beats_per_bar=3, quantize="beat"),
        changes=session.changes,
        vocoder=QUICK,
    )
    assert np.array_equal(play(again, heard.shape[1]), heard)
