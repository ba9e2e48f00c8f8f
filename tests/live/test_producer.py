"""A jam for one listener: it equals its track, stays a little ahead, and ends with the listener."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput, ServerError
from riffusion.jam.loops import Loop, make_loop
from riffusion.live.scheduler import EngineQueue
from riffusion.serving.fields import read_settings
from tests.streaming import (
    CLIP_S,
    FAST,
    LEAD_S,
    RATE,
    Listener,
    a_stage,
    assert_replays,
    run,
    seconds,
    track_of,
    until,
)


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full: the system lets no file grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_heard_is_the_track(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = await stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(4))
            np.testing.assert_array_equal(listener.heard, track_of(stream)[: len(listener.heard)])
            assert np.abs(listener.heard).max() > 0
            assert listener.saw("clip")[0]["start_sample"] == 0

    run(test())


def test_turns_are_taken_in_order_and_hurry_is_seen() -> None:
    async def test() -> None:
        turns, took = EngineQueue(), []
        is_urgent = False

        async def wait(name: str, hurried: Callable[[], bool]) -> None:
            async with turns.take(hurried):
                took.append(name)

        async with turns.take(lambda: True):
            assert not turns.hurried, "who has the turn waits no more"
            waiting = [
                asyncio.create_task(wait("first", lambda: False)),
                asyncio.create_task(wait("second", lambda: is_urgent)),
            ]
            await asyncio.sleep(0)
            assert not turns.hurried
            is_urgent = True
            assert turns.hurried
            waiting.append(asyncio.create_task(wait("gone", lambda: True)))
            await asyncio.sleep(0)
            waiting.pop().cancel()
        await asyncio.gather(*waiting)
        assert took == ["first", "second"]
        assert not turns.hurried

    run(test())


def test_it_stays_ahead_by_its_lead_and_no_more(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = await stage.open(read_settings(FAST))
            async with contextlib.aclosing(stream.listen()) as items:
                await anext(items)
                session = stream.session
                await until(
                    lambda: (
                        session.position >= LEAD_S * RATE
                        and not (session.has_pending_audio or session.ready)
                    )
                )
                made = session.position
                await asyncio.sleep(0.3)
                assert stream.session.position == made <= (LEAD_S + CLIP_S) * RATE

    run(test())


def test_a_playhead_cannot_run_faster_than_time(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            began = time.monotonic()
            stream = await stage.open(read_settings(FAST))
            listener = Listener(stream, speed=1000)
            await listener.listen(seconds(4))
            passed_s = time.monotonic() - began
            assert stream.heard <= (passed_s + 0.1) * RATE
            assert stream.session.position <= (passed_s + LEAD_S + CLIP_S) * RATE

    run(test())


def test_who_comes_back_misses_nothing(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = await stage.open(read_settings(FAST))
            first = Listener(stream)
            await first.listen(seconds(1.1))
            assert not stream.heard_by
            second = Listener(stream, start=RATE)
            await second.listen(seconds(4))
            both = np.concatenate([first.heard[:RATE], second.heard[RATE:]])
            np.testing.assert_array_equal(both, track_of(stream)[: len(both)])
            assert second.saw("clip"), "it does not know what sounds"

    run(test())


def test_a_second_listener_takes_the_place_of_the_first(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = await stage.open(read_settings(FAST))
            first = asyncio.create_task(Listener(stream).listen(lambda me: False))
            await until(lambda: stream.heard_by)
            await Listener(stream).listen(seconds(1))
            await first

    run(test())


def test_work_stops_when_the_listener_is_gone_in_the_middle_of_a_clip(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, lead_s=600, grace_s=1, keep_s=1) as stage:
            stream = await stage.open(read_settings(FAST))
            await Listener(stream).listen(lambda me: True)
            made = stream.session.position
            await until(lambda: not stream.playing)
            assert stream.session.position <= made + 2 * CLIP_S * RATE
            await until(lambda: not stage.streams)
            with pytest.raises(ValueError, match="closed file"):
                stream.track.read(0, 1)

    run(test())


def test_a_full_disk_is_told_and_nothing_is_lost(tiny_engine: Engine, tmp_path: Path) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, folder=tmp_path) as stage:
            stream = await stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(1))
            listener.start = RATE // 2
            with files_of_at_most(stream.track.length * 2 + 10_000):
                await listener.listen(lambda me: bool(me.saw("notice")))
                message = str(listener.saw("notice")[0]["message"])
                assert "free some space" in message
            await listener.listen(seconds(len(listener.heard) / RATE + 3))
            assert stream.playing
            stream.stop()
            assert_replays(tiny_engine, stream)

    run(test())


def test_two_listeners_have_two_jams_and_take_turns(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            streams = [await stage.open(read_settings({**FAST, "seed_a": seed})) for seed in (1, 2)]
            listeners = [Listener(stream) for stream in streams]
            await asyncio.gather(*(listener.listen(seconds(4)) for listener in listeners))
            one, two = (listener.heard[: 4 * RATE] for listener in listeners)
            assert streams[0].id != streams[1].id
            assert not np.array_equal(one, two)

    run(test())


def test_a_full_house_says_so_and_has_room_again(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, max_jams=1) as stage:
            stream = await stage.open(read_settings(FAST))
            with pytest.raises(ServerError, match="places on this machine are taken"):
                await stage.open(read_settings(FAST))
            await Listener(stream).listen(seconds(1))
            stream.tell({"type": "stop"})
            await stage.open(read_settings(FAST))
            assert stage.find(stream.id) is stream, "the stopped track can still be kept"

    run(test())


def test_others_hear_on_while_a_jam_reads_its_anchor(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def held_up(*how: Any) -> Loop:
        assert go_on.wait(30), "the other listener was held up as well"
        return make_loop(*how)

    async def test() -> None:
        async with a_stage(tiny_engine, max_jams=2) as stage:
            other = Listener(await stage.open(read_settings(FAST)))
            monkeypatch.setattr("riffusion.jam.session.make_loop", held_up)
            settings = read_settings({**FAST, "anchor": "marimba"}, stage.shelf)
            starting = asyncio.create_task(stage.open(settings))
            await other.listen(seconds(2))
            assert not starting.done()
            with pytest.raises(ServerError, match="places on this machine are taken"):
                await stage.open(read_settings(FAST))
            go_on.set()
            await Listener(await starting).listen(seconds(1))

    run(test())


def test_a_track_in_use_is_not_deleted(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, grace_s=0.0, keep_s=0.0) as stage:
            stream = await stage.open(read_settings(FAST))
            await Listener(stream).listen(seconds(1))
            async with stage.borrow(stream.id):
                await asyncio.sleep(0.3)
                assert stream.track.read(0, 10).shape == (1, 10)
            await until(lambda: not stage.streams)
            with pytest.raises(InvalidInput, match="press Play again"):
                stage.find(stream.id)

    run(test())
