"""A registry of streams and a listener without network, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from riffusion.audio.track import to_pcm
from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine, EngineWrapper, Interrupted, never
from riffusion.jam.replay import replay
from riffusion.jam.session import render
from riffusion.jam.session_file import parse_session
from riffusion.jam.setting_values import AssetStore
from riffusion.live.connection import Audio, Event
from riffusion.live.jam_source import JamSource
from riffusion.live.registry import JamRegistry
from riffusion.live.stream import JamStream
from riffusion.serving.protocol import text_frame
from riffusion.serving.uploads import UploadStore
from riffusion.spectral.spectrogram import Spectrogram

PATIENCE_S = 60
RATE = 44100
LEAD_S = 2.0
CLIP_S = 5.12
FAST = {"bpm": 180, "steps": 1}
MANY_STEPS = {"bpm": 180, "steps": 20}


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in an event loop, with a limit."""
    asyncio.run(asyncio.wait_for(test, PATIENCE_S))


@asynccontextmanager
async def open_registry(engine: Engine, **limits: Any) -> AsyncIterator[JamRegistry]:
    """Yield a registry with short times, and close it after the block."""
    registry = JamRegistry(engine, **{"lead_s": LEAD_S, "sweep_s": 0.05, **limits})
    try:
        yield registry
    finally:
        await registry.close()


async def open_jam(
    registry: JamRegistry, assets: AssetStore | None = None, **values: object
) -> JamStream:
    """Open a jam with settings by their names in messages, fast ones where none are given."""
    store = assets or UploadStore()
    return await registry.open(lambda engine: JamSource(engine, {**FAST, **values}, store))


def change(**settings: object) -> Event:
    """Return the message that changes some settings."""
    return {"type": "change", "settings": settings}


class Listener:
    """A page: keeps samples by their place, plays in real time and reports its playhead."""

    def __init__(self, stream: JamStream, start: int = 0, speed: float = 1.0) -> None:
        self.stream = stream
        self.speed = speed
        self.start = start
        self.channels = stream.source.format.channels
        self.heard: npt.NDArray[np.int16] = np.zeros((start, self.channels), np.int16)
        self.events: list[Event] = []

    async def listen(self, until: Callable[[Listener], bool]) -> None:
        """Listen until a condition holds after something was received."""
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
            message = {"type": "position", "sample": min(played, len(self.heard))}
            await self.stream.receive(message)
            await asyncio.sleep(0.02)

    def saw(self, kind: str) -> list[Event]:
        """Return the events of a type, in order."""
        return [event for event in self.events if event["type"] == kind]


class SlowEngine(EngineWrapper):
    """An engine that waits ``step_s`` seconds before each step, and knows while it is ``busy``."""

    def __init__(self, engine: Engine, step_s: float = 0.02) -> None:
        super().__init__(engine)
        self.step_s = step_s
        self.busy = False
        self.given_up = 0

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate slowly, and count the clips that were given up."""

        def wait() -> bool:
            time.sleep(self.step_s)
            return interrupted()

        self.busy = True
        try:
            return self.engine.generate(requests, interrupted=wait)
        except Interrupted:
            self.given_up += 1
            raise
        finally:
            self.busy = False


def seconds(count: float) -> Callable[[Listener], bool]:
    """Return the condition that a listener has that many seconds of the track."""
    return lambda listener: len(listener.heard) >= count * RATE


def position_of(stream: JamStream) -> int:
    """Return the absolute sample up to which a stream is generated."""
    return stream.source.progress.position


def track_of(stream: JamStream) -> npt.NDArray[np.int16]:
    """Return the track of a stream, (samples, channels)."""
    return stream.track.read(0, stream.track.length).T


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    while not condition():
        await asyncio.sleep(0.01)


async def assert_replays(engine: Engine, stream: JamStream) -> None:
    """Assert that the session of a jam gives the same bytes again."""
    samples = stream.track.length
    session = parse_session(text_frame({**await stream.export(), "samples": samples}))
    again = [to_pcm(block.samples) for block in render(replay(engine, session), samples)]
    np.testing.assert_array_equal(np.concatenate(again, axis=1).T, track_of(stream)[:samples])
