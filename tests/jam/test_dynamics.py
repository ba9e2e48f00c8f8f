"""Arcs move the controls and end with a fill; drops and fills land and end on bar lines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.clip import Controls, Prompt
from riffusion.engines.protocol import Engine
from riffusion.jam.dynamics import Dynamics, arc_level, fill_controls, move_controls
from riffusion.jam.settings import JamSettings
from tests.jamming import RATE, jam, play
from tests.recording import RecordedEngine

PLAIN = JamSettings(Prompt("a"), Prompt("b"))
LEVELS = st.floats(0, 1)


def controls_of(bars: range, **changes: Any) -> list[Controls]:
    settings = PLAIN.changed(changes)
    dynamics = Dynamics.start(settings, 0)
    return [dynamics.controls(settings, bar) for bar in bars]


def test_without_an_arc_the_controls_are_those_of_the_settings() -> None:
    controls = Controls(0.2, None, 0.7)
    assert controls_of(range(40), controls=controls) == [controls] * 40


@pytest.mark.parametrize("bars", [8, 16, 32])
def test_an_arc_builds_up_to_its_fill_and_begins_again(bars: int) -> None:
    found = controls_of(range(2 * bars), arc="build", arc_bars=bars)
    densities = [controls.density or 0.0 for controls in found]
    assert densities[: bars - 1] == sorted(densities[: bars - 1])
    assert densities[bars - 2] - densities[0] > 0.35
    assert found[bars - 1].drums == 1.0
    assert found[bars:] == found[:bars]


def test_an_arc_that_breathes_rises_to_its_middle_and_falls() -> None:
    found = controls_of(range(16), arc="breathe", controls=Controls(0.5, 0.5, 0.5))
    brightness = [controls.brightness or 0.0 for controls in found]
    assert brightness.index(max(brightness)) == 8
    assert brightness[:9] == sorted(brightness[:9])
    assert brightness[8:] == sorted(brightness[8:], reverse=True)


@given(st.sampled_from(["breathe", "build"]), LEVELS)
def test_levels_stay_in_their_range(arc: str, phase: float) -> None:
    assert 0 <= arc_level(arc, phase) <= 1


@given(st.none() | LEVELS, st.none() | LEVELS, st.none() | LEVELS, LEVELS)
def test_moved_controls_are_controls(
    density: float | None, brightness: float | None, drums: float | None, level: float
) -> None:
    controls = Controls(density, brightness, drums)
    moved = fill_controls(move_controls(controls, level))
    assert all(0 <= value <= 1 for value in vars(moved).values())
    middle = move_controls(Controls(density or 0.0, brightness or 0.0, drums or 0.0), 0.5)
    assert middle == Controls(density or 0.0, brightness or 0.0, drums or 0.0)
    # Drums that the prompt decides are never asked for by an arc.
    assert move_controls(Controls(), level).drums in (None, 0.0)


@given(st.floats(0, 50), st.integers(1, 16), st.integers(1, 4))
def test_drops_last_whole_bars_and_fills_end_on_a_bar_line(
    bar: float, drop: int, fill: int
) -> None:
    asked = PLAIN.changed({"drop": drop, "fill": fill})
    dynamics = Dynamics.start(PLAIN, 0).changed(bar, PLAIN, asked)
    assert dynamics.controls(PLAIN, bar).drums == 0.0
    turns = [bar]
    while (turn := dynamics.next_turn(PLAIN, turns[-1])) < 1000:
        turns.append(turn)
    assert turns[-1] == max(dynamics.drop_until, dynamics.fill_until)
    assert all(turn == int(turn) for turn in turns[1:])
    assert dynamics.drop_until - bar >= drop
    assert dynamics.controls(PLAIN, turns[-1]) == Controls()


def test_a_drop_returns_on_the_line_and_can_be_asked_for_again(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, bpm=120, controls=Controls(drums=0.6))
    play(session, 4 * RATE)
    engine.requests.clear()
    first = session.change({"drop": 1})
    assert session.settings.drop == 0
    play(session, 11 * RATE)
    assert [request.controls.drums for request in engine.requests] == [0.0, 0.6]
    engine.requests.clear()
    second = session.change({"drop": 2})
    assert first is not None
    assert second is not None
    play(session, second + 6 * RATE)
    assert [request.controls.drums for request in engine.requests][:2] == [0.0, 0.6]
    drops = [change.changes["drop"] for change in session.changes if "drop" in change.changes]
    assert drops == [1, 2]


def test_a_change_at_the_same_place_keeps_a_drop(tiny_engine: Engine) -> None:
    session = jam(tiny_engine, bpm=120)
    play(session, RATE)
    at = session.change({"drop": 4})
    assert session.change({"guidance": 4.0}) == at
    (change,) = session.changes
    assert change.changes == {"drop": 4, "guidance": 4.0}


def test_clips_do_not_run_into_a_fill(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, bpm=150, arc="build", arc_bars=8)
    marks = {}
    while session.position < 30 * RATE:
        block = session.block()
        marks[block.clip.bar] = block.clip
    assert {7, 8, 15, 16} <= set(marks)
    assert len(marks[7].chords) == 1


def test_a_drop_can_be_asked_for_while_the_loop_is_held(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, bpm=120, controls=Controls(drums=0.6), hold=True)
    play(session, 9 * RATE)
    at = session.change({"drop": 1})
    assert at is not None
    engine.requests.clear()
    play(session, at + 4 * RATE)
    assert [request.controls.drums for request in engine.requests][-2:] == [0.0, 0.6]
