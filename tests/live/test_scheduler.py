"""The engine queue: the most urgent work goes first, and one-off work waits for the streams."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from riffusion.engines.protocol import Engine
from riffusion.errors import ServerError
from riffusion.live.registry import MAX_ONE_OFF_CLIPS
from riffusion.live.scheduler import EngineQueue, Priority
from tests.streaming import (
    MANY_STEPS,
    RATE,
    Listener,
    SlowEngine,
    open_jam,
    open_registry,
    position_of,
    run,
    until,
)


def test_the_most_urgent_goes_first_and_equals_take_turns() -> None:
    async def test() -> None:
        queue, took = EngineQueue(), []
        priorities = {
            "clip": Priority.ONE_OFF,
            "lead 1": Priority.LEAD,
            "lead 2": Priority.LEAD,
            "low": Priority.LOW_BUFFER,
            "change": Priority.CHANGE,
        }

        async def work(name: str) -> None:
            async with queue.take(lambda: priorities[name]):
                took.append(name)

        async with queue.take(lambda: Priority.LEAD):
            waiting = [asyncio.create_task(work(name)) for name in priorities]
            await asyncio.sleep(0.01)
            assert not took
        await asyncio.gather(*waiting)
        assert took == ["change", "low", "lead 1", "lead 2", "clip"]

    run(test())


def test_work_that_becomes_urgent_while_it_waits_goes_first_and_is_seen() -> None:
    async def test() -> None:
        queue, took = EngineQueue(), []
        priorities = {"first": Priority.LEAD, "second": Priority.LEAD, "gone": Priority.LEAD}

        async def work(name: str) -> None:
            async with queue.take(lambda: priorities[name]):
                took.append(name)

        async with queue.take(lambda: Priority.CHANGE):
            tasks = {name: asyncio.create_task(work(name)) for name in priorities}
            await asyncio.sleep(0.01)
            assert not queue.urgent, "work that has the engine waits no more"
            priorities["gone"] = Priority.CHANGE
            assert queue.urgent
            tasks.pop("gone").cancel()
            await asyncio.sleep(0.01)
            assert not queue.urgent
            priorities["second"] = Priority.CHANGE
        await asyncio.gather(*tasks.values())
        assert took == ["second", "first"]

    run(test())


def test_work_that_goes_on_comes_before_a_one_off() -> None:
    """Between two turns of a stream the engine is free for a moment, and nobody may take it."""

    async def test() -> None:
        queue, took = EngineQueue(), []

        async def stream() -> None:
            for _ in range(3):
                async with queue.take(lambda: Priority.LEAD):
                    took.append("stream")
                    await asyncio.sleep(0.01)

        async def one_off() -> None:
            async with queue.take(lambda: Priority.ONE_OFF):
                took.append("clip")

        await asyncio.gather(stream(), one_off())
        assert took == ["stream"] * 3 + ["clip"]

    run(test())


def test_a_task_that_is_cancelled_as_it_gets_the_engine_gives_it_back() -> None:
    async def test() -> None:
        queue = EngineQueue()

        async def work() -> None:
            async with queue.take(lambda: Priority.LEAD):
                await asyncio.sleep(10)

        for turns in range(6):  # it is cancelled before, while and after it gets the engine
            task = asyncio.create_task(work())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            async with asyncio.timeout(5), queue.take(lambda: Priority.ONE_OFF):
                pass

    run(test())


def test_waiting_ends_when_the_patience_does() -> None:
    async def test() -> None:
        queue = EngineQueue()
        async with queue.take(lambda: Priority.LEAD):
            with pytest.raises(TimeoutError):
                async with queue.take(lambda: Priority.ONE_OFF, patience_s=0.05):
                    pass
        async with asyncio.timeout(5), queue.take(lambda: Priority.ONE_OFF, patience_s=5):
            pass

    run(test())


def test_a_one_off_waits_for_the_lead_of_a_jam(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine, lead_s=30.0) as registry:
            stream = await open_jam(registry)
            hearing = asyncio.create_task(Listener(stream).listen(lambda me: bool(me.saw("over"))))
            await until(lambda: stream.connection.connected)
            ahead = await registry.run_one_off(lambda: position_of(stream) - stream.playhead)
            assert ahead >= 29 * RATE
            stream.stop()
            await hearing

    run(test())


def test_a_one_off_gives_up_where_the_jams_leave_no_time(tiny_engine: Engine) -> None:
    async def test() -> None:
        engine = SlowEngine(tiny_engine)
        async with open_registry(engine, lead_s=600, patience_s=0.3) as registry:
            stream = await open_jam(registry, **MANY_STEPS)
            hearing = asyncio.create_task(Listener(stream).listen(lambda me: bool(me.saw("over"))))
            await until(lambda: engine.busy)
            began = time.monotonic()
            with pytest.raises(ServerError, match="busy with the jams"):
                await registry.run_one_off(lambda: None)
            assert 0.25 < time.monotonic() - began < 5
            stream.stop()
            await hearing
            await registry.run_one_off(lambda: None)

    run(test())


def test_only_so_many_one_offs_wait(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            go_on = threading.Event()
            waiting = [
                asyncio.create_task(registry.run_one_off(lambda: go_on.wait(30)))
                for _ in range(MAX_ONE_OFF_CLIPS)
            ]
            await asyncio.sleep(0.05)
            with pytest.raises(ServerError, match=f"{MAX_ONE_OFF_CLIPS} clips are waiting"):
                await registry.run_one_off(lambda: True)
            go_on.set()
            assert all(await asyncio.gather(*waiting))
            assert await registry.run_one_off(lambda: True)

    run(test())
