"""A jam for one listener equals its track, stays a little ahead, and ends with the listener."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput, ServerError
from riffusion.jam.asset import AssetRef
from riffusion.live.stream import JamStream
from riffusion.serving.uploads import UploadStore
from tests.full_disk import files_of_at_most
from tests.streaming import (
    CLIP_S,
    LEAD_S,
    RATE,
    Listener,
    assert_replays,
    open_jam,
    open_registry,
    position_of,
    run,
    seconds,
    track_of,
    until,
)


def test_what_is_heard_is_the_track(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            listener = Listener(stream)
            await listener.listen(seconds(4))
            np.testing.assert_array_equal(listener.heard, track_of(stream)[: len(listener.heard)])
            assert np.abs(listener.heard).max() > 0
            assert listener.saw("clip")[0]["start_sample"] == 0

    run(test())


def is_filled(stream: JamStream) -> bool:
    """Return whether a stream has its lead, and nothing left to write of its last clip."""
    progress = stream.source.progress
    is_ahead = progress.position >= LEAD_S * RATE
    return is_ahead and not (progress.has_pending_audio or progress.ready)


def test_it_stays_ahead_by_its_lead_and_no_more(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            async with contextlib.aclosing(stream.listen()) as items:
                await anext(items)
                await until(lambda: is_filled(stream))
                made = position_of(stream)
                await asyncio.sleep(0.3)
                assert position_of(stream) == made <= (LEAD_S + CLIP_S) * RATE

    run(test())


def test_it_generates_on_by_the_clock_between_two_reports(tiny_engine: Engine) -> None:
    """After one report the playhead moves on, and passes the point where more is needed."""

    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            began = time.monotonic()
            stream = await open_jam(registry)

            async def read() -> None:
                async for _ in stream.listen():
                    pass

            reading = asyncio.create_task(read())
            await until(lambda: is_filled(stream))
            made = position_of(stream)
            soon = made - round((LEAD_S + 0.3) * RATE)
            await asyncio.sleep(max(0, soon / RATE + 0.1 - (time.monotonic() - began)))
            await stream.receive({"type": "position", "sample": soon})
            assert position_of(stream) == made
            await asyncio.sleep(0.1)
            assert position_of(stream) == made
            async with asyncio.timeout(5):
                await until(lambda: position_of(stream) > made)
            stream.stop()
            await reading

    run(test())


def test_clip_events_lie_on_their_bars(tiny_engine: Engine) -> None:
    """A clip begins at the bar that its event names, and has a chord for each of its bars."""

    async def test() -> None:
        async with open_registry(tiny_engine, lead_s=15.0) as registry:
            stream = await open_jam(registry)
            listener = Listener(stream)
            await listener.listen(seconds(14))
            clips = [dict(event) for event in listener.saw("clip")]
            assert len(clips) > 2
            bar_samples = RATE * 4 * 60 // 180
            bar = 0
            for clip in clips:
                assert clip["bar"] == bar
                assert clip["start_sample"] == bar * bar_samples
                bar += len(clip["chords"])
                sounding = stream.mark_at(bar * bar_samples - 1)
                assert sounding is not None
                assert sounding.index == clip["index"]

    run(test())


def test_a_playhead_cannot_run_faster_than_time(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            began = time.monotonic()
            stream = await open_jam(registry)
            listener = Listener(stream, speed=1000)
            await listener.listen(seconds(4))
            passed_s = time.monotonic() - began
            assert stream.playhead <= (passed_s + 0.1) * RATE
            assert position_of(stream) <= (passed_s + LEAD_S + CLIP_S) * RATE

    run(test())


def test_a_listener_that_comes_back_misses_nothing(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            first = Listener(stream)
            await first.listen(seconds(1.1))
            assert not stream.connection.connected
            second = Listener(stream, start=RATE)
            await second.listen(seconds(4))
            both = np.concatenate([first.heard[:RATE], second.heard[RATE:]])
            np.testing.assert_array_equal(both, track_of(stream)[: len(both)])
            assert second.saw("clip"), "it does not know what sounds"

    run(test())


def test_a_second_listener_takes_the_place_of_the_first(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            first = asyncio.create_task(Listener(stream).listen(lambda me: False))
            await until(lambda: stream.connection.connected)
            await Listener(stream).listen(seconds(1))
            await first

    run(test())


def test_work_stops_when_the_listener_is_gone_in_the_middle_of_a_clip(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine, lead_s=600, grace_s=1, keep_s=1) as registry:
            stream = await open_jam(registry)
            await Listener(stream).listen(lambda me: True)
            made = position_of(stream)
            await until(lambda: not stream.playing)
            assert position_of(stream) <= made + 2 * CLIP_S * RATE
            await until(lambda: not registry.streams)
            await asyncio.wait_for(registry.close(), 5)
            with pytest.raises(ValueError, match="closed file"):
                stream.track.read(0, 1)

    run(test())


def test_a_full_disk_is_told_and_nothing_is_lost(tiny_engine: Engine, tmp_path: Path) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine, folder=tmp_path) as registry:
            stream = await open_jam(registry)
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
            await assert_replays(tiny_engine, stream)

    run(test())


def test_two_listeners_have_two_jams_and_take_turns(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            streams = [await open_jam(registry, seed_a=seed) for seed in (1, 2)]
            listeners = [Listener(stream) for stream in streams]
            await asyncio.gather(*(listener.listen(seconds(4)) for listener in listeners))
            one, two = (listener.heard[: 4 * RATE] for listener in listeners)
            assert streams[0].id != streams[1].id
            assert not np.array_equal(one, two)

    run(test())


def test_a_jam_too_many_is_refused_until_another_stops(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine, max_jams=1) as registry:
            stream = await open_jam(registry)
            with pytest.raises(ServerError, match="places on this machine are taken"):
                await open_jam(registry)
            await Listener(stream).listen(seconds(1))
            await stream.receive({"type": "stop"})
            await open_jam(registry)
            assert registry.find(stream.id) is stream, "the stopped track can still be kept"

    run(test())


class HeldStore(UploadStore):
    """A store whose anchors are not found before ``go_on`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def anchor(self, name: str) -> AssetRef | None:
        """Wait, then return the anchor."""
        assert self.go_on.wait(30), "the other listener was held up as well"
        return super().anchor(name)


def test_others_hear_on_while_a_jam_reads_its_anchor(tiny_engine: Engine) -> None:
    store = HeldStore()

    async def test() -> None:
        async with open_registry(tiny_engine, max_jams=2) as registry:
            other = Listener(await open_jam(registry))
            opening = asyncio.create_task(open_jam(registry, store, anchor="marimba"))
            await other.listen(seconds(2))
            assert not opening.done()
            with pytest.raises(ServerError, match="places on this machine are taken"):
                await open_jam(registry)
            store.go_on.set()
            await Listener(await opening).listen(seconds(1))

    run(test())


def test_a_track_in_use_is_not_deleted(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine, grace_s=0.0, keep_s=0.0) as registry:
            stream = await open_jam(registry)
            await Listener(stream).listen(seconds(1))
            async with registry.pin(stream.id):
                await asyncio.sleep(0.3)
                assert stream.track.read(0, 10).shape == (1, 10)
            await until(lambda: not registry.streams)
            with pytest.raises(InvalidInput, match="press Play again"):
                registry.find(stream.id)

    run(test())
