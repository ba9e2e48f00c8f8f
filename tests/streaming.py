"""A stage and a listener without network, for tests of streams."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from riffusion.audio.track import to_pcm
from riffusion.engines.protocol import Engine
from riffusion.jam.session import render, replay
from riffusion.jam.session_file import parse_session
from riffusion.live.producer import (
    Audio,
    Event,
    JamStream,
)
from riffusion.live.registry import JamRegistry
from riffusion.serving.protocol import text_frame

PATIENCE_S = 60
RATE = 44100
LEAD_S = 2.0
CLIP_S = 5.12
FAST = {"bpm": 180, "steps": 1}


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in an event loop, with a limit."""
    asyncio.run(asyncio.wait_for(test, PATIENCE_S))


@asynccontextmanager
async def a_stage(engine: Engine, **limits: Any) -> AsyncIterator[JamRegistry]:
    stage = JamRegistry(engine, **{"lead_s": LEAD_S, "sweep_s": 0.05, **limits})
    try:
        yield stage
    finally:
        await stage.close()


class Listener:
    """What a page does: keeps samples by their place, plays in real time and says how far."""

    def __init__(self, stream: JamStream, start: int = 0, speed: float = 1.0) -> None:
        self.stream = stream
        self.speed = speed
        self.start = start
        self.channels = stream.session.channels
        self.heard: npt.NDArray[np.int16] = np.zeros((start, self.channels), np.int16)
        self.events: list[Event] = []

    async def listen(self, until: Callable[[Listener], bool]) -> None:
        self.heard = self.heard[: self.start]
        reports = asyncio.create_task(self._report())
        async with contextlib.aclosing(self.stream.listen(self.start)) as items:
            async for item in items:
                if isinstance(item, Audio):
                    pcm = np.frombuffer(item.pcm, "<i2").reshape(-1, self.channels)
                    assert item.start <= len(self.heard), "a gap"
                    self.heard = np.concatenate([self.heard[: item.start], pcm])
                else:
                    self.events.append(item)
                if until(self):
                    break
        reports.cancel()

    async def _report(self) -> None:
        began = time.monotonic()
        while True:
            played = self.start + round((time.monotonic() - began) * RATE * self.speed)
            self.stream.tell({"type": "position", "sample": min(played, len(self.heard))})
            await asyncio.sleep(0.02)

    def saw(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]


def seconds(count: float) -> Callable[[Listener], bool]:
    return lambda listener: len(listener.heard) >= count * RATE


def track_of(stream: JamStream) -> npt.NDArray[np.int16]:
    return stream.track.read(0, stream.track.length).T


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def assert_replays(engine: Engine, stream: JamStream) -> None:
    """The session of a stream gives the same bytes again."""
    samples = stream.track.length
    session = parse_session(text_frame({**stream.export_session(), "samples": samples}))
    again = [to_pcm(block.samples) for block in render(replay(engine, session), samples)]
    np.testing.assert_array_equal(np.concatenate(again, axis=1).T, track_of(stream)[:samples])
