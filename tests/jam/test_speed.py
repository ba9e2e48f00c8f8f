"""The speed of an engine is measured, and says whether it keeps up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.jam.settings import JamSettings
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
    """A real engine with a clock of its own: a clip takes 1 s, the first one 2 s, a step 0.5 s.

    Vocoding takes no time, unless ``piece_s`` says how long a piece takes; ``pieces`` counts them
    and ``vocoded`` their samples.
    """

    def __init__(self, engine: Engine, piece_s: float = 0.0) -> None:
        super().__init__(engine)
        self.seconds = 0.0
        self.piece_s, self.pieces, self.vocoded = piece_s, 0, 0
        self.vocoder = self.live_vocoder = self._vocode

    def _vocode(self, spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        sound = self.engine.vocoder(spectrogram, prefix=prefix)
        self.seconds += self.piece_s
        self.pieces += 1
        self.vocoded += sound.samples.shape[1] - (prefix.samples.shape[1] if prefix else 0)
        return sound

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


def test_all_of_a_clip_is_vocoded_while_it_is_timed(tiny_engine: Engine) -> None:
    """Three clips of 4 s are vocoded whole, and the time of all their pieces counts."""
    engine = TimedEngine(tiny_engine, piece_s=0.125)
    speed = measure_speed(engine, SETTINGS, engine.clock)
    pieces, rest = divmod(engine.pieces, 3)
    assert rest == 0
    assert engine.vocoded / tiny_engine.params.sample_rate > 3 * (4.0 - 0.1)
    assert speed == Speed(1.0 + pieces * 0.125, 0.5, 4.0)
