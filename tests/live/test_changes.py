"""Live changes of a stream are heard soon, are applied whole, and are replayed the same."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.clip import Controls
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.live.connection import MIN_NETWORK_DELAY_S, NETWORK_DELAY_STEP_S
from riffusion.live.jam_source import JamSource
from riffusion.live.producer import expected_cost_s
from riffusion.live.stream import JamStream
from tests.streaming import (
    MANY_STEPS,
    RATE,
    Listener,
    SlowEngine,
    assert_replays,
    change,
    open_jam,
    open_registry,
    position_of,
    run,
    seconds,
    track_of,
    until,
)


def last_prompt(stream: JamStream) -> str:
    """Return prompt A of the last clip of a track."""
    mark = stream.mark_at(position_of(stream))
    return mark.prompt_a if mark else ""


@pytest.mark.parametrize("engine", ["tiny_engine", "tiny_stereo_engine"])
def test_a_change_rewrites_what_was_not_heard_yet(
    engine: str, request: pytest.FixtureRequest
) -> None:
    tiny: Engine = request.getfixturevalue(engine)

    async def test() -> None:
        async with open_registry(tiny, lead_s=15.0) as registry:
            stream = await open_jam(registry)
            listener = Listener(stream)
            await listener.listen(seconds(12))
            listener.start = round(0.5 * RATE)
            await stream.receive(change(a="techno", seed_a=9))
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
            await assert_replays(tiny, stream)

    run(test())


def test_a_change_does_not_wait_for_a_clip_that_is_far_ahead(tiny_engine: Engine) -> None:
    engine = SlowEngine(tiny_engine)

    async def test() -> None:
        async with open_registry(engine, lead_s=600) as registry:
            stream = await open_jam(registry, **MANY_STEPS)
            hearing = asyncio.create_task(Listener(stream, speed=0).listen(lambda me: False))
            await until(lambda: position_of(stream) > 8 * RATE and engine.busy)
            assert engine.given_up == 0
            await stream.receive(change(a="techno"))
            await until(lambda: last_prompt(stream) == "techno")
            assert engine.given_up == 1
            stream.stop()
            await hearing
            await until(lambda: not engine.busy)
            await assert_replays(tiny_engine, stream)

    run(test())


def test_a_stream_far_ahead_steps_back_for_the_change_of_another(tiny_engine: Engine) -> None:
    engine = SlowEngine(tiny_engine)

    async def test() -> None:
        async with open_registry(engine, lead_s=600) as registry:
            far = await open_jam(registry, **MANY_STEPS)
            hearing = asyncio.create_task(Listener(far, speed=0).listen(lambda me: False))
            near = await open_jam(registry)
            await until(lambda: position_of(near) > 0)
            await until(lambda: position_of(far) > 8 * RATE and engine.busy)
            await near.receive(change(a="techno"))
            await until(lambda: last_prompt(near) == "techno")
            assert engine.given_up == 1
            far.stop()
            await hearing

    run(test())


def test_a_listener_far_away_gets_more_time(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine, lead_s=15.0) as registry:
            stream = await open_jam(registry)
            listener = Listener(stream)
            await listener.listen(seconds(4))
            for late in (0, 0, 100, 100, 350):
                await stream.receive({"type": "position", "sample": 0, "late": late})
            expected_s = MIN_NETWORK_DELAY_S + 2 * NETWORK_DELAY_STEP_S
            assert stream.connection.network_delay_s == pytest.approx(expected_s)
            with pytest.raises(InvalidInput, match="too late"):
                await stream.receive({"type": "position", "sample": 0, "late": "much"})

    run(test())


@given(st.lists(st.floats(0.01, 100), min_size=1))
def test_one_slow_clip_is_no_reason_to_expect_another(costs_s: list[float]) -> None:
    usual = max(costs_s)
    assert expected_cost_s([usual]) == usual
    assert expected_cost_s([*costs_s, usual, usual + 50]) == usual


def test_ten_changes_in_a_second_leave_the_last_one(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            listener = Listener(stream)
            await listener.listen(seconds(2))
            for seed in range(10):
                await stream.receive(change(seed_a=100 + seed))
                await asyncio.sleep(0.05)
            listener.start = len(listener.heard) // 2
            await listener.listen(
                lambda me: bool(me.saw("clip")) and me.saw("clip")[-1]["seed_a"] == 109
            )
            assert stream.playing
            stream.stop()
            await assert_replays(tiny_engine, stream)

    run(test())


def test_refused_values_are_told_at_their_fields_and_leave_the_music_alone(
    tiny_engine: Engine,
) -> None:
    """One value is bad in itself, one more cannot be played by the engine."""

    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            listener = Listener(stream)
            await listener.listen(seconds(1))
            listener.start = RATE // 2
            hearing = asyncio.create_task(listener.listen(lambda me: len(me.saw("refused")) == 2))
            await until(lambda: stream.connection.connected)
            refused = await stream.receive(change(a="  ", bpm=60, beats=12, seed_a=5))
            assert [refusal.field for refusal in refused] == ["a"]
            await hearing
            first, second = listener.saw("refused")
            assert first["field"] == "a"
            assert "prompt A" in str(first["message"])
            assert second["field"] == "beats"
            assert "fewer beats in a bar" in str(second["message"])
            assert not listener.saw("notice")
            listener.start = len(listener.heard) // 2
            await listener.listen(
                lambda me: bool(me.saw("clip")) and me.saw("clip")[-1]["seed_a"] == 5
            )
            clip = listener.saw("clip")[-1]
            assert (clip["bpm"], clip["beats_per_bar"]) == (60, 4)
            assert stream.playing

    run(test())


def test_an_old_page_that_sends_all_settings_changes_what_it_should(tiny_engine: Engine) -> None:
    everything = {
        "a": "techno", "seed_a": "7", "b": "jazz", "seed_b": "8", "path": "hold", "position": 0,
        "walk_bars": 16, "bpm": 180, "key": "Am", "chords": "", "beats": 4, "shape": True,
        "density": 0.2, "brightness": 0.5, "drums": 0.9, "guidance": 8, "steps": 1, "anchor": "",
        "strength": 0.75, "mask": "",
    }  # fmt: skip

    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            source = stream.source
            assert isinstance(source, JamSource)
            hearing = asyncio.create_task(Listener(stream).listen(lambda me: bool(me.saw("over"))))
            await until(lambda: stream.connection.connected)
            assert await stream.receive({"type": "change", "settings": everything}) == ()
            await until(lambda: last_prompt(stream) == "techno")
            assert source.session.settings.controls == Controls(0.2, 0.5, 0.9)
            assert await stream.receive(change(**{**everything, "shape": False})) == ()
            await until(lambda: source.session.settings.controls == Controls())
            stream.stop()
            await hearing

    run(test())
