"""The bars of a loop come round as they were, turned as far as the variation says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.clip import ClipRequest, NoisePlace, Prompt
from riffusion.engines.protocol import Engine
from riffusion.jam.loop import Loop
from riffusion.jam.session import JamSession
from riffusion.jam.session_file import parse_session
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import Timeline, first_segment
from tests.jamming import QUICK, RATE, jam, play
from tests.recording import RecordedEngine

START = JamSettings(Prompt("a"), Prompt("b"), bpm=120.0, key="C", walk_bars=8)
CHORDS = 4


def loop_of(**changes: Any) -> Loop:
    return Loop.start(START.changed(changes), CHORDS, 0)


@given(st.sampled_from(["1", "2", "4", "8", "16", "chords"]), st.floats(0, 1), st.integers(0, 500))
def test_each_round_turns_by_the_variation(loop: str, variation: float, bar: int) -> None:
    rounds = loop_of(loop=loop, variation=variation)
    assert rounds.place(bar + rounds.bars) == rounds.place(bar) == bar % rounds.bars
    turned = rounds.turn_at(bar + rounds.bars) - rounds.turn_at(bar)
    assert turned == pytest.approx(variation, abs=1e-9)


def test_a_loop_is_as_long_as_the_chords_unless_said_otherwise() -> None:
    assert [loop_of(loop=loop).bars for loop in ("chords", "0", "8")] == [4, 0, 8]
    assert JamSettings(Prompt("a"), Prompt("b"), loop=8).loop == "8"  # type: ignore[arg-type]


@given(st.integers(1, 100), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["2", "4", "8"]))
def test_a_change_keeps_what_the_loop_has_turned(
    bar: int, before: float, after: float, loop: str
) -> None:
    old = loop_of(loop="4", variation=before)
    new = old.changed(bar, START.changed({"loop": loop, "variation": after}), CHORDS, 0)
    assert new.turn_at(bar) == pytest.approx(old.turn_at(bar), abs=1e-9)
    next_round = new.next_round(bar + 0.5)
    assert new.turn_at(next_round) == pytest.approx(old.turn_at(bar) + after, abs=1e-9)
    assert new.place(next_round) == 0
    assert next_round % int(loop) == 0


@given(st.integers(4, 60), st.integers(0, 40))
def test_a_hold_repeats_the_last_round_and_goes_on_when_it_is_released(
    hold: int, more: int
) -> None:
    free = loop_of(variation=0.5)
    held = free.changed(hold, START.changed({"hold": True, "variation": 0.5}), CHORDS, 0)
    for bar in range(hold - 4, hold):
        again = bar + 4 * (1 + more)
        assert (held.place(again), held.turn_at(again)) == (free.place(bar), free.turn_at(bar))
    free_again = held.changed(hold + more, START.changed({"variation": 0.5}), CHORDS, 0)
    assert free_again.heard_bar(hold + more) == hold + more
    assert free_again.turn_at(hold + more) == held.turn_at(hold + more)


def test_a_hold_in_the_first_bars_repeats_bars_that_exist() -> None:
    held = loop_of().changed(2, START.changed({"hold": True}), CHORDS, 0)
    assert [held.heard_bar(bar) for bar in range(2, 7)] == [2, 3, 0, 1, 2]
    without = loop_of(loop="0").changed(9.25, START.changed({"loop": "0", "hold": True}), CHORDS, 0)
    assert [without.heard_bar(bar) for bar in range(9, 15)] == [9, 6, 7, 8, 9, 6]


def places(request: ClipRequest) -> list[NoisePlace]:
    assert request.noise is not None
    return list(request.noise.places)


def test_requests_have_the_bars_of_the_loop_at_their_frames(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    play(jam(engine, bpm=120, variation=0.5, loop="4"), 20 * RATE)
    assert {request.start.seed for request in engine.requests} == {
        jam(engine).settings.prompt_a.seed
    }
    first, second, third = engine.requests[:3]
    assert [(p.first_frame, p.place, p.turn) for p in places(first)] == [
        (0, 0, 0.0),
        (200, 1, 0.0),
        (400, 2, 0.0),
    ]
    assert second.context is not None
    own = [p for p in places(second) if p.first_frame >= second.context.frames]
    assert [(p.first_frame - second.context.frames, p.place) for p in own][:2] == [(0, 2), (200, 3)]
    assert third.context is not None
    again = [p for p in places(third) if p.first_frame >= third.context.frames]
    assert [(p.place, p.turn) for p in again][:2] == [(0, 0.5), (1, 0.5)]
    assert third.noise is not None
    assert (third.noise.first_frame, third.noise.turn) == (third.context.frames, 0.5)
    # What sounds already has the noise that it was generated from.
    assert all(p.turn == 0 for p in places(third) if p.first_frame < third.context.frames)


@pytest.mark.parametrize("bpm", [100, 117])
def test_without_variation_the_loop_comes_back_the_same(tiny_engine: Engine, bpm: int) -> None:
    settings = {"bpm": bpm, "variation": 0, "path": "hold"}
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, **settings)
    bar = session.segment_at(0).grid.bar_sample(1)
    play(session, 12 * bar + RATE)
    # Three clips a round.
    rounds = [places(request) for request in engine.requests[3:9]]
    starts = [[(p.place, p.turn) for p in found] for found in rounds]
    assert starts[:3] == starts[3:]
    frames = [[p.first_frame for p in found] for found in rounds]
    for before, after in zip(frames[:3], frames[3:], strict=True):
        np.testing.assert_allclose(before, after, atol=8)  # steps of a context


def test_a_change_of_tempo_and_a_walk_keep_the_noise(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, bpm=120, variation=0, walk_bars=4)
    play(session, 9 * RATE)
    session.change({"bpm": 90})
    play(session, 30 * RATE)
    assert {p.place for request in engine.requests for p in places(request)} == {0, 1, 2, 3}
    assert {p.turn for request in engine.requests for p in places(request)} == {0.0}
    assert len({request.alpha for request in engine.requests}) > 3


@given(
    st.sampled_from(["1", "2", "4", "8", "16"]),
    st.integers(0, 99),
    st.integers(1, 5),
    st.floats(0, 1),
)
def test_each_round_has_the_same_clips(loop: str, bar: int, most: int, part: float) -> None:
    rounds = loop_of(loop=loop)
    end = rounds.end_clip(bar, bar + most)
    assert bar < end <= bar + most
    later = rounds.end_clip(bar + rounds.bars, bar + rounds.bars + most)
    assert later == end + rounds.bars
    inside = rounds.end_clip(bar + part / 2, bar + most)
    assert bar + part / 2 < inside <= bar + most


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.floats(0, 1)), max_size=5))
def test_the_noise_of_a_window_begins_at_its_first_frame(
    steps: list[tuple[int, bool, float]],
) -> None:
    timeline = Timeline((first_segment(START, RATE),))
    bar = 0.0
    for step, hold, variation in steps:
        bar += step
        changes = timeline.last.changed({"hold": hold, "variation": variation})
        timeline = timeline.changed(bar, changes)
    for segment in timeline.segments:
        heard = [segment.loop.heard_bar(b) for b in np.arange(segment.bar, segment.bar + 9)]
        assert all(0 <= b <= bar + 9 for b in heard)


def test_a_jam_changed_on_beats_replays_from_its_file(tiny_engine: Engine) -> None:
    session = jam(tiny_engine, variation=0.4, quantize="beat", arc="build", arc_bars="8")
    heard = play(session, 5 * RATE)
    for changes in (
        {"hold": True},
        {"drop": 1},
        {"drop": 1},
        {"hold": False, "fill": 1},
        {"prompt_c": Prompt("strings", 3), "path": "together", "weight_c": 0.5},
        {"quantize": "now", "bpm": 133.0},
        {"loop": "2", "variation": 1.0},
    ):
        session.change(changes)
        heard = play(session, session.position + 2 * RATE, heard[:, : session.position])
    saved = parse_session(json.dumps(session.export()))
    assert sum("drop" in change.changes for change in saved.changes) == 2
    assert any(change.bar != int(change.bar) for change in saved.changes)
    again = JamSession(tiny_engine, saved.settings, changes=saved.changes, vocoder=QUICK)
    assert np.array_equal(play(again, saved.samples), heard)
