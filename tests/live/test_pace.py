"""The page warns of an engine that is slower than its music, and renders ahead."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import replace

import pytest

from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.jam.setting_values import read_settings
from riffusion.jam.speed import Speed, measure_speed
from riffusion.live.pace import COMFORTABLE, GATHER_S, Pace, pace_of
from riffusion.live.producer import LEAD_S
from riffusion.serving.page import show_pace
from riffusion.serving.server import serve
from riffusion.serving.uploads import UploadStore
from riffusion.serving.warm_up import warm_up
from riffusion.spectral.spectrogram import Spectrogram
from tests.ports import unused_port
from tests.streaming import PATIENCE_S, open_jam, open_registry, run


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


@pytest.mark.parametrize("pace", [Pace(), Pace("It is slow here.", 20.0, 26.0)])
def test_the_page_says_what_a_listener_should_know(pace: Pace) -> None:
    known: Future[Pace] = Future()
    known.set_result(pace)
    shown = asyncio.run(show_pace(known))
    assert shown["visible"] == bool(pace.note)
    assert pace.note in shown["value"]
    assert f'data-hold-s="{pace.hold_s:g}"' in shown["value"]


def test_a_jam_plays_while_the_engine_is_warmed_up(tiny_engine: Engine) -> None:
    """The page answers before the first clip is there, and Play does not wait for the rest."""
    begun, go_on = threading.Event(), threading.Event()

    class Cold(EngineWrapper):
        def generate(
            self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
        ) -> list[Spectrogram]:
            begun.set()
            assert go_on.wait(PATIENCE_S)
            return super().generate(requests, interrupted=interrupted)

    async def test() -> None:
        async with open_registry(Cold(tiny_engine)) as registry:
            pace: Future[Pace] = Future()
            warming = asyncio.create_task(warm_up(registry, pace))
            await asyncio.to_thread(begun.wait, PATIENCE_S)
            stream = await open_jam(registry)
            assert not pace.done()
            go_on.set()
            async with aclosing(stream.listen()) as items:
                await anext(items)
            assert not pace.done(), "the jam goes before the measurement"
            stream.stop()
            await warming
            assert pace.result() == Pace()
            assert registry.lead_s == LEAD_S

    run(test())


def test_the_server_answers_before_the_engine_is_warm(tiny_engine: Engine) -> None:
    go_on = threading.Event()

    class Cold(EngineWrapper):
        def generate(
            self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
        ) -> list[Spectrogram]:
            assert go_on.wait(PATIENCE_S)
            return super().generate(requests, interrupted=interrupted)

    with serve(Cold(tiny_engine), port=unused_port(), warm=True) as serving:
        with urllib.request.urlopen(serving.url, timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        go_on.set()


@pytest.mark.parametrize("steps", [1, 10, 60])
def test_the_note_comes_exactly_where_it_is_needed(steps: int) -> None:
    speed = Speed(0.5, 0.1, 4.0)
    slow = speed.real_time_factor(steps) < COMFORTABLE
    assert bool(pace_of(speed, steps).note) == slow
