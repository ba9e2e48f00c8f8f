"""One listener's connection: its events are bounded, and its playhead moves by the clock."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np

from riffusion.audio.track import TrackFile
from riffusion.engines.protocol import Engine
from riffusion.live.connection import MAX_EVENTS, Audio, Connection, Event, notice
from tests.streaming import RATE, Listener, change, open_jam, open_registry, run, seconds, until


def test_a_listener_that_reads_nothing_is_disconnected_with_a_reason() -> None:
    async def test() -> None:
        connection = Connection(RATE)
        with TrackFile(RATE, 1) as track:
            listening = connection.listen(track, 0, list)
            connection.announce(notice("lost, because nobody listens"))
            first = asyncio.create_task(anext(listening))
            await until(lambda: connection.connected)
            connection.announce(notice("first"))
            assert await first == notice("first")
            for number in range(MAX_EVENTS + 1):
                assert connection.connected
                connection.announce(notice(str(number)))
            assert not connection.connected
            left = [item async for item in listening]
        assert len(left) == 1
        assert "unread" in str(left[0])

    run(test())


def test_a_repeated_event_is_sent_once() -> None:
    async def test() -> None:
        connection = Connection(RATE)
        with TrackFile(RATE, 1) as track:
            listening = connection.listen(track, 0, list)
            first = asyncio.create_task(anext(listening))
            await until(lambda: connection.connected)
            for text in ("full", "full", "full", "better"):
                connection.announce(notice(text))
            connection.end("Stopped.")
            events = [await first, *[item async for item in listening]]
        over: Event = {"type": "over", "message": "Stopped."}
        assert events == [notice("full"), notice("better"), over]

    run(test())


def test_a_flood_of_bad_changes_ends_no_jam(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            async with contextlib.aclosing(stream.listen()) as listening:
                await anext(listening)
                for number in range(MAX_EVENTS + 10):
                    await stream.receive(change(key=f"H{number}"))
                assert not stream.connection.connected
            assert stream.playing
            await Listener(stream).listen(seconds(2))

    run(test())


def test_a_listener_knows_what_happened_before_it_began_to_read(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine, lead_s=15.0) as registry:
            stream = await open_jam(registry)
            late = stream.listen()
            early = Listener(stream)
            await early.listen(seconds(12))
            async with contextlib.aclosing(late) as items:
                events: list[Event] = []
                async for item in items:
                    if isinstance(item, Audio):
                        break
                    events.append(item)
            assert len(events) > 2
            assert events == early.saw("clip")

    run(test())


def test_what_was_rewritten_is_sent_again() -> None:
    async def test() -> None:
        connection = Connection(RATE)
        with TrackFile(RATE, 1) as track:
            track.write(0, np.full((1, RATE), 0.5, np.float32))
            listening = connection.listen(track, 0, list)
            sent = [await anext(listening) for _ in range(4)]
            assert [item.start for item in sent if isinstance(item, Audio)][-1] == RATE * 3 // 4
            track.write(RATE // 2, np.zeros((1, RATE // 2), np.float32))
            connection.wake_listener(RATE // 2)
            again = await anext(listening)
            assert isinstance(again, Audio)
            assert again.start == RATE // 2
            assert not any(again.pcm)

    run(test())


def test_the_playhead_moves_on_between_reports_but_not_for_ever() -> None:
    async def test() -> None:
        connection = Connection(RATE)
        with TrackFile(RATE, 1) as track:
            track.write(0, np.zeros((1, 20 * RATE), np.float32))
            async with contextlib.aclosing(connection.listen(track, 0, list)) as listening:
                for _ in range(40):
                    await anext(listening)
                assert connection.seconds_until(RATE) is None, "nothing plays yet"
                await asyncio.sleep(0.2)
                connection.report(RATE // 10, 0)
                soon_s = connection.seconds_until(RATE // 2)
                assert soon_s is not None
                assert 0.3 < soon_s <= 0.4 + 1e-3
                assert connection.seconds_until(5 * RATE) is None, "it may have paused by then"
                await asyncio.sleep(soon_s)
                assert connection.seconds_until(RATE // 2 - 1) == 0
                assert connection.playhead >= RATE // 2
                await asyncio.sleep(1.2)
                stopped = connection.playhead
                assert stopped <= RATE // 10 + RATE
                await asyncio.sleep(0.05)
                assert connection.playhead == stopped

    run(test())
