"""The page warns of an engine that is slower than its music, and renders ahead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from riffusion.engines.protocol import Engine
from riffusion.jam.setting_values import read_settings
from riffusion.jam.speed import Speed, measure_speed
from riffusion.live.pace import COMFORTABLE, GATHER_S, Pace, pace_of
from riffusion.live.producer import LEAD_S
from riffusion.serving.page import build_page
from riffusion.serving.server import first_pace
from riffusion.serving.uploads import UploadStore


def test_an_engine_that_keeps_up_needs_nothing() -> None:
    assert pace_of(Speed(0.2, 0.05, 4.0), 12) == Pace("", 0.0, LEAD_S)


def test_a_slow_one_is_told_of_beforehand_with_the_steps_that_would_do() -> None:
    speed = Speed(fixed_s=1.0, step_s=0.5, sound_s=4.0)
    pace = pace_of(speed, 12)
    fewer = speed.max_steps(COMFORTABLE)
    assert fewer == 4
    assert speed.real_time_factor(fewer) >= COMFORTABLE
    assert f"With {fewer} steps or fewer" in pace.note
    assert "0.57 s of music a second" in pace.note
    assert pace.hold_s == GATHER_S
    assert pace.lead_s > GATHER_S, "the server must work further ahead than the page waits for"


def test_one_that_can_never_keep_up_says_so() -> None:
    note = pace_of(Speed(0.0, 55.0, 4.0), 12).note
    assert "Even one step is too slow" in note
    assert "0.0061 s of music" in note


def test_a_very_slow_engine_is_timed_once(tiny_engine: Engine) -> None:
    times = iter([0.0, 100.0])
    settings = replace(read_settings({}, UploadStore()), bpm=120.0)
    speed = measure_speed(tiny_engine, settings, lambda: next(times))
    assert speed.step_s == 100.0
    assert speed.max_steps() == 0


def test_the_page_carries_its_pace(tiny_engine: Engine) -> None:
    assert first_pace(tiny_engine).hold_s == 0.0
    slow = Pace("It is slow here.", 20.0, 26.0)
    shown = str(build_page(tiny_engine, slow).get_config_file())
    assert "It is slow here." in shown
    assert "It is slow here." not in str(build_page(tiny_engine, Pace()).get_config_file())


@pytest.mark.parametrize("steps", [1, 10, 60])
def test_the_note_comes_exactly_where_it_is_needed(steps: int) -> None:
    speed = Speed(0.5, 0.1, 4.0)
    slow = speed.real_time_factor(steps) < COMFORTABLE
    assert bool(pace_of(speed, steps).note) == slow
