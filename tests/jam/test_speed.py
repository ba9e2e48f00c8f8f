"""Whether an engine keeps up: the arithmetic, and a real measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.jam.session import JamSession, JamSettings
from riffusion.jam.speed import Speed, measure_speed
from riffusion.spectral.spectrogram import Spectrogram

SETTINGS = JamSettings(Prompt("church bells"), Prompt("electronic beats"), bpm=120.0)

durations = st.floats(1e-3, 100)


@given(durations, durations, durations, st.floats(0.1, 10))
def test_most_steps_are_the_most_that_keep_up(
    fixed_s: float, step_s: float, sound_s: float, factor: float
) -> None:
    speed = Speed(fixed_s, step_s, sound_s)
    steps = speed.max_steps(factor)
    if steps:
        assert speed.real_time_factor(steps) >= factor * (1 - 1e-9)
    assert speed.real_time_factor(steps + 1) < factor * (1 + 1e-9)


def test_more_steps_are_slower() -> None:
    speed = Speed(fixed_s=1.0, step_s=0.5, sound_s=4.0)
    assert speed.real_time_factor(2) == pytest.approx(2.0)
    assert speed.real_time_factor(6) == pytest.approx(1.0)
    assert speed.max_steps() == 6
    assert Speed(5.0, 0.5, 4.0).max_steps() == 0


class TimedEngine(EngineWrapper):
    """A real engine that says how long it took: 1 s, 2 s when cold, and 0.5 s a step."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.seconds = 0.0

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        self.seconds += 1.0 + (self.seconds == 0.0)
        self.seconds += 0.5 * sum(request.steps for request in requests)
        return super().generate(requests, interrupted=interrupted)

    def clock(self) -> float:
        return self.seconds


def test_a_measurement_tells_steps_from_the_rest_and_warms_up(tiny_engine: Engine) -> None:
    engine = TimedEngine(tiny_engine)
    assert measure_speed(engine, SETTINGS, engine.clock) == Speed(1.0, 0.5, 4.0)


def test_a_real_measurement_gives_a_speed(tiny_engine: Engine) -> None:
    speed = measure_speed(tiny_engine, SETTINGS)
    assert 0 < speed.real_time_factor(12) < math.inf


def test_all_of_a_clip_becomes_sound_while_it_is_timed(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: list[JamSession] = []

    class Kept(JamSession):
        def __init__(self, engine: Engine, settings: JamSettings) -> None:
            super().__init__(engine, settings)
            sessions.append(self)

    monkeypatch.setattr("riffusion.jam.speed.JamSession", Kept)
    measure_speed(tiny_engine, SETTINGS)
    assert len(sessions) == 3
    for session in sessions:
        assert not session.unfinished
