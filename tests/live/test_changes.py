"""Live changes of a stream: soon, whole, and replayed the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine, EngineWrapper, Interrupted, never
from riffusion.errors import InvalidInput
from riffusion.jam.setting_values import read_settings
from riffusion.live.producer import (
    MIN_TRAVEL_S,
    MORE_TRAVEL_S,
    expected_cost_s,
)
from riffusion.spectral.spectrogram import Spectrogram
from tests.streaming import (
    FAST,
    RATE,
    Listener,
    a_stage,
    assert_replays,
    run,
    seconds,
    track_of,
    until,
)


@pytest.mark.parametrize("engine", ["tiny_engine", "tiny_stereo_engine"])
def test_a_change_rewrites_what_was_not_heard_yet(
    engine: str, request: pytest.FixtureRequest
) -> None:
    tiny: Engine = request.getfixturevalue(engine)

    async def test() -> None:
        async with a_stage(tiny, lead_s=15.0) as stage:
            stream = await stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(12))
            listener.start = round(0.5 * RATE)
            stream.tell({"type": "change", "settings": {**FAST, "a": "techno", "seed_a": 9}})
            await listener.listen(
                lambda me: bool(me.saw("changed")) and me.saw("clip")[-1]["prompt_a"] == "techno"
            )
            at = listener.saw("changed")[0]["at"]
            assert isinstance(at, int)
            assert at < 12 * RATE, "the change waited for what had been generated already"
            listener.start = at - RATE // 2
            await listener.listen(lambda me: len(me.heard) > at + RATE)
            stream.stop()
            await asyncio.sleep(0)
            track = track_of(stream)[: len(listener.heard)]
            np.testing.assert_array_equal(listener.heard, track)
            assert_replays(tiny, stream)

    run(test())


class Slow(EngineWrapper):
    """The tiny engine, slow enough to be caught while it is ``busy``."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.busy = False
        self.given_up = 0

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        def slowly() -> bool:
            time.sleep(0.02)
            return interrupted()

        self.busy = True
        try:
            return self.engine.generate(requests, interrupted=slowly)
        except Interrupted:
            self.given_up += 1
            raise
        finally:
            self.busy = False


MANY_STEPS = {"bpm": 180, "steps": 20}


def test_a_change_does_not_wait_for_a_clip_that_is_far_ahead(tiny_engine: Engine) -> None:
    engine = Slow(tiny_engine)

    async def test() -> None:
        async with a_stage(engine, lead_s=600) as stage:
            stream = await stage.open(read_settings(MANY_STEPS))
            hearing = asyncio.create_task(Listener(stream, speed=0).listen(lambda me: False))
            await until(lambda: stream.session.position > 8 * RATE and engine.busy)
            assert engine.given_up == 0
            stream.tell({"type": "change", "settings": {**MANY_STEPS, "a": "techno"}})
            await until(lambda: any(mark.prompt_a == "techno" for mark in stream.marks))
            assert engine.given_up == 1
            stream.stop()
            await hearing
            await until(lambda: not engine.busy)
            assert_replays(tiny_engine, stream)

    run(test())


def test_who_has_much_ahead_steps_back_for_the_change_of_another(tiny_engine: Engine) -> None:
    engine = Slow(tiny_engine)

    async def test() -> None:
        async with a_stage(engine, lead_s=600) as stage:
            far = await stage.open(read_settings(MANY_STEPS))
            hearing = asyncio.create_task(Listener(far, speed=0).listen(lambda me: False))
            near = await stage.open(read_settings(FAST))
            await until(lambda: near.session.position > 0)
            await until(lambda: far.session.position > 8 * RATE and engine.busy)
            near.tell({"type": "change", "settings": {**FAST, "a": "techno"}})
            await until(lambda: near.session.settings.prompt_a.text == "techno")
            assert engine.given_up == 1
            far.stop()
            await hearing

    run(test())


def test_a_listener_far_away_gets_more_time(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, lead_s=15.0) as stage:
            stream = await stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(4))
            for late in (0, 0, 100, 100, 350):
                stream.tell({"type": "position", "sample": 0, "late": late})
            assert stream.travel_s == pytest.approx(MIN_TRAVEL_S + 2 * MORE_TRAVEL_S)
            with pytest.raises(InvalidInput, match="too late"):
                stream.tell({"type": "position", "sample": 0, "late": "much"})

    run(test())


@given(st.lists(st.floats(0.01, 100), min_size=1))
def test_one_slow_clip_is_no_reason_to_expect_another(costs_s: list[float]) -> None:
    usual = max(costs_s)
    assert expected_cost_s([usual]) == usual
    assert expected_cost_s([*costs_s, usual, usual + 50]) == usual


def test_ten_changes_in_a_second_leave_the_last_one(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = await stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(2))
            for seed in range(10):
                stream.tell({"type": "change", "settings": {**FAST, "seed_a": 100 + seed}})
                await asyncio.sleep(0.05)
            listener.start = len(listener.heard) // 2
            await listener.listen(
                lambda me: bool(me.saw("clip")) and me.saw("clip")[-1]["seed_a"] == 109
            )
            assert stream.playing
            stream.stop()
            assert_replays(tiny_engine, stream)

    run(test())


def test_a_change_that_cannot_be_played_leaves_the_music_alone(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = await stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(1))
            with pytest.raises(InvalidInput, match="prompt A"):
                stream.tell({"type": "change", "settings": {**FAST, "a": "  "}})
            stream.tell({"type": "change", "settings": {**FAST, "bpm": 60, "beats": 12}})
            listener.start = RATE // 2
            await listener.listen(lambda me: bool(me.saw("notice")))
            assert "fewer beats in a bar" in str(listener.saw("notice")[0]["message"])
            await listener.listen(seconds(len(listener.heard) / RATE + 3))
            assert stream.playing

    run(test())
