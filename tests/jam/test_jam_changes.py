"""Changes of a jam take effect at bar lines, and sound the same live and replayed."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riffusion.engines.clip import Controls, Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.schema import ARCS, LOOPS, QUANTIZE
from riffusion.jam.session import JamSession, render
from riffusion.music.rhythm import BarGrid
from riffusion.music.walk import PATHS
from tests.jamming import QUICK, RATE, jam, play, settings_with
from tests.recording import RecordedEngine

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "prompt_a": st.builds(Prompt, st.sampled_from(["jazz", "rock"]), st.integers(0, 9)),
        "bpm": st.sampled_from([60, 72.5, 90, 128, 180]),
        "beats_per_bar": st.sampled_from([3, 4]),
        "key": st.sampled_from(["Cm", "F#", "A minor"]),
        "chords": st.sampled_from(["", "Am F C G", "Dm7 | G7"]),
        "path": st.sampled_from(PATHS),
        "prompt_c": st.none() | st.just(Prompt("strings", 3)),
        "weight_b": st.sampled_from([0.0, 0.5, 1.0]),
        "loop": st.sampled_from([*LOOPS]),
        "variation": st.floats(0, 1),
        "arc": st.sampled_from([*ARCS]),
        "hold": st.booleans(),
        "drop": st.integers(0, 2),
        "fill": st.integers(0, 2),
        "quantize": st.sampled_from([*QUANTIZE]),
        "ramp_bars": st.integers(0, 4),
        "position": st.floats(0, 1),
        "walk_bars": st.integers(1, 16),
        "controls": st.builds(Controls, st.floats(0, 1)),
        "guidance": st.floats(0, 10),
        "steps": st.integers(1, 2),
    },
)
MOVES = st.lists(
    st.tuples(st.integers(0, 30), CHANGES, st.integers(-15 * RATE, 8 * RATE)), max_size=4
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=MOVES)
def test_a_jam_steered_live_equals_the_same_changes_known_beforehand(
    tiny_engine: Engine, moves: list[tuple[int, dict[str, Any], int]]
) -> None:
    live = jam(tiny_engine)
    heard = np.zeros((1, 0), np.float32)
    for blocks, changes, offset in moves:
        for block in islice(live, blocks):
            assert block.start == heard.shape[1]
            heard = np.concatenate([heard, block.samples], axis=1)
        not_before = live.position + offset
        at = live.change(changes, not_before)
        assert at is None or at >= not_before
        assert live.position >= min(not_before, heard.shape[1])
        heard = heard[:, : live.position]
    total = live.position + 3 * RATE
    heard = play(live, total, heard)

    known = JamSession(tiny_engine, settings_with(), changes=live.changes, vocoder=QUICK)
    assert np.array_equal(play(known, total), heard)
    assert known.changes == live.changes


def test_a_change_sounds_from_the_next_bar_line_on(tiny_engine: Engine) -> None:
    session, plain = jam(tiny_engine), jam(tiny_engine)
    heard = play(session, 7 * RATE)
    at = session.change({"prompt_a": Prompt("something else", 9)}, not_before=5 * RATE)
    assert at == 6 * RATE  # bars are two seconds
    resumed = session.position
    assert at - 4500 < resumed < at
    heard = play(session, 12 * RATE, heard[:, :resumed])
    unchanged = play(plain, 12 * RATE)
    assert np.array_equal(heard[:, :resumed], unchanged[:, :resumed])
    assert not np.array_equal(heard[:, at:], unchanged[:, at:])


def test_a_change_inside_a_clip_to_come_cuts_it_short(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    heard = play(session, RATE)
    at = session.change({"bpm": 90}, not_before=9 * RATE)
    assert at == 10 * RATE  # the third clip runs from 8 s to 12 s
    assert session.position == heard.shape[1]
    marks = {block.clip for block in render(session, 15 * RATE)}
    starts = sorted(mark.start_sample for mark in marks)
    # Six beats of 90, and on to the end of the round.
    assert starts == [0, 4 * RATE, 8 * RATE, 10 * RATE, 10 * RATE + 6 * 29400]


@pytest.mark.parametrize(("early_by", "bar"), [(0, 4), (3000, 4), (4410, 3), (5000, 3)])
def test_nothing_before_the_asked_sample_is_rewritten(
    tiny_engine: Engine, early_by: int, bar: int
) -> None:
    session = jam(tiny_engine)
    play(session, 11 * RATE)
    not_before = 6 * RATE - early_by  # bar 3 begins at 6 s, and a clip fades in before it
    assert session.change({"key": "Am"}, not_before) == bar * 2 * RATE
    assert session.position >= not_before


def test_nothing_given_out_is_rewritten_unless_asked(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    play(session, 5 * RATE)
    at = session.change({"bpm": 90})
    assert at >= session.position == 5 * RATE


def test_ten_changes_in_a_second_are_one_and_the_last_wins(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    heard = play(session, 9 * RATE)
    lines = []
    for number in range(10):
        not_before = 5 * RATE + number * RATE // 10
        lines.append(session.change({"prompt_a": Prompt("again", number)}, not_before))
        heard = heard[:, : session.position]
        if number % 3 == 0:
            block = next(session)
            assert block.start == heard.shape[1]
            heard = np.concatenate([heard, block.samples], axis=1)
    assert lines == [6 * RATE] * 10
    assert session.settings.prompt_a.seed == 9
    assert [dict(change.changes) for change in session.changes] == [
        {"prompt_a": Prompt("again", 9)}
    ]
    heard = play(session, 12 * RATE, heard)
    assert heard.shape[1] == 12 * RATE
    only = jam(tiny_engine)
    expected = play(only, 9 * RATE)
    only.change({"prompt_a": Prompt("again", 9)}, 5 * RATE)
    assert np.array_equal(heard, play(only, 12 * RATE, expected[:, : only.position]))


def test_a_change_includes_those_that_were_to_come_later(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    session.change({"bpm": 90}, not_before=20 * RATE)
    session.change({"key": "Am"}, not_before=10 * RATE)
    (change,) = session.changes
    assert (change.sample, change.changes) == (10 * RATE, {"bpm": 90, "key": "Am"})


def test_a_change_to_what_is_already_so_changes_nothing(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    play(session, 9 * RATE)
    session.change(session.settings, not_before=5 * RATE)
    assert session.position == 9 * RATE
    assert not session.changes


def test_a_change_long_ago_lands_as_far_back_as_we_can_go(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    play(session, 42 * RATE)
    at = session.change({"key": "Am"}, not_before=0)
    assert at == 10 * RATE  # the last clip began at 40 s
    assert at - 4500 < session.position < at


def test_a_new_tempo_counts_from_its_bar_line(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    at = session.change({"bpm": 90}, not_before=3 * RATE)
    marks = {block.clip for block in render(session, 15 * RATE)}
    grid = BarGrid(RATE, 120).changed(2, 90, 4)
    assert at == grid.bar_sample(2)
    later = [mark for mark in marks if mark.bar >= 2]
    assert all(mark.start_sample == grid.beat_sample(mark.bar, int(mark.beat)) for mark in later)


def test_holding_stops_the_walk_where_it_is(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, walk_bars=4)
    session.change({"path": "hold"}, not_before=4 * RATE)
    play(session, 15 * RATE)
    assert [request.alpha for request in engine.requests] == [0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bpm": 300}, "from 60 to 180"),
        ({"bpm": 61, "beats_per_bar": 7}, "beats per minute or more"),
        ({"key": "H"}, "key is 'H'"),
        ({"chords": "C Q"}, "chord 2 is 'Q'"),
        ({"path": "sideways"}, "ping-pong, once, round, manual, hold, together"),
        ({"position": 1.5}, "from 0 to 1"),
        ({"walk_bars": 0}, "from 1 to 1024"),
        ({"guidance": float("nan")}, "from 0 to 30"),
        ({"steps": 2.5}, "whole number from 1 to 1000"),
        ({"prompt_a": "bells"}, "give a Prompt"),
        ({"controls": None}, "give a Controls"),
        ({"volume": 11}, "use one of prompt_a"),
    ],
)
def test_a_bad_change_is_refused_and_the_jam_goes_on(
    tiny_engine: Engine, changes: dict[str, object], message: str
) -> None:
    session = jam(tiny_engine)
    before = play(session, 2 * RATE)
    with pytest.raises(InvalidInput, match=message):
        session.change(changes, not_before=0)
    assert not session.changes
    assert np.array_equal(play(session, 3 * RATE, before), play(jam(tiny_engine), 3 * RATE))
