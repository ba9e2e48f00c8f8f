"""The registry holds one engine and the streams that play on it.

All methods but the constructor belong to the event loop of the server.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeVar

from riffusion.audio.track import TrackFile
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput, ServerError
from riffusion.live.producer import LEAD_S
from riffusion.live.scheduler import EngineStages
from riffusion.live.source import LiveSource
from riffusion.live.stream import JamStream

MAX_JAMS = 4
GRACE_S = 60.0
KEEP_S = 1800.0
SWEEP_S = 5.0
MAX_ONE_OFF_CLIPS = 8
PATIENCE_S = 60.0
T = TypeVar("T")


class UnknownJam(InvalidInput):
    """The id of a jam that never was, or whose track is gone."""


class JamRegistry:
    """Opens, finds and ends streams.

    At most ``max_jams`` play at a time. One whose listener has been away for ``grace_s`` seconds
    stops; its track is deleted ``keep_s`` after the listener was last there, or earlier when more
    than ``max_jams`` tracks are kept. Tracks lie in ``folder`` (default: for temporary files).
    One-off work waits for the engine for at most ``patience_s``. Streams that are opened from now
    on are generated ``lead_s`` ahead of their playheads.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_jams: int = MAX_JAMS,
        grace_s: float = GRACE_S,
        keep_s: float = KEEP_S,
        sweep_s: float = SWEEP_S,
        lead_s: float = LEAD_S,
        patience_s: float = PATIENCE_S,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.engine = engine
        self.lead_s = lead_s
        self._max_jams = max_jams
        self._grace_s = grace_s
        self._keep_s = keep_s
        self._sweep_s = sweep_s
        self._patience_s = patience_s
        self._folder = folder
        self._stages = EngineStages()
        self._opening = 0
        self._one_offs = 0
        self._one_off = asyncio.Semaphore(1)
        self._streams: dict[str, JamStream] = {}
        self._pins: dict[str, int] = {}
        self._closing = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self, make_source: Callable[[Engine], LiveSource]) -> JamStream:
        """Start to play the source that ``make_source`` opens on the engine, in a thread.

        Raises ServerError when all places are taken, and what ``make_source`` raises.
        """
        if len(self.playing) + self._opening >= self._max_jams:
            raise ServerError(
                f"All {self._max_jams} places on this machine are taken. Try again in a minute, "
                "or run Riffusion on your own machine."
            )
        self._opening += 1
        try:
            # A source reads its anchor first, and others play on meanwhile.
            source = await asyncio.to_thread(make_source, self.engine)
        finally:
            self._opening -= 1
        track = TrackFile(source.format.sample_rate, source.format.channels, self._folder)
        stream = JamStream(source, track, self._stages, self.lead_s)
        self._streams[stream.id] = stream
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep(), name="sweeper")
        return stream

    def find(self, stream_id: str) -> JamStream:
        """Return the stream with this id. Raises UnknownJam where it is over and gone."""
        stream = self._streams.get(stream_id)
        if stream is None:
            raise UnknownJam("jam", stream_id, "is over and its track is gone; press Play again")
        return stream

    @asynccontextmanager
    async def pin(self, stream_id: str) -> AsyncIterator[JamStream]:
        """Find a stream and keep its track until the block is left. Raises UnknownJam."""
        stream = self.find(stream_id)
        self._pins[stream_id] = self._pins.get(stream_id, 0) + 1
        try:
            yield stream
        finally:
            self._pins[stream_id] -= 1
            if not self._pins[stream_id]:
                del self._pins[stream_id]

    async def run_one_off(self, work: Callable[[], T]) -> T:
        """Run ``work``, which uses the engine, in a thread while no stream needs the engine.

        One piece of such work runs at a time. Raises ServerError where too many wait already, or
        the streams leave no time.
        """
        if self._one_offs >= MAX_ONE_OFF_CLIPS:
            raise ServerError(
                f"{MAX_ONE_OFF_CLIPS} clips are waiting already. Try again in a moment."
            )
        self._one_offs += 1
        try:
            async with self._one_off, AsyncExitStack() as stack:
                await self._take_engine(stack)
                return await asyncio.to_thread(work)
        finally:
            self._one_offs -= 1

    async def _take_engine(self, stack: AsyncExitStack) -> None:
        """Hold the engine until ``stack`` closes. Raises ServerError where it is never free."""
        try:
            await stack.enter_async_context(self._stages.take_both(self._patience_s))
        except TimeoutError as error:
            raise ServerError(
                "This machine is busy with the jams that play. Try again in a minute, or run "
                "Riffusion on your own machine."
            ) from error

    @property
    def streams(self) -> tuple[JamStream, ...]:
        """All streams whose tracks exist."""
        return tuple(self._streams.values())

    @property
    def playing(self) -> tuple[JamStream, ...]:
        """The streams that play now."""
        return tuple(stream for stream in self._streams.values() if stream.playing)

    async def close(self) -> None:
        """End all streams and delete their tracks."""
        self._closing.set()
        if self._sweeper is not None:
            await self._sweeper
        for stream in self.streams:
            await self._remove(stream)
        self._stages.close()

    async def _sweep(self) -> None:
        """End and delete what has outlived its time.

        This is a timer and no event: the time for which a listener has been away passes without
        anything happening. A few seconds more or less do not matter here.
        """
        while self._streams and not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._sweep_s)
            self._stop_abandoned()
            await self._delete_old()

    def _stop_abandoned(self) -> None:
        for stream in self.playing:
            if stream.connection.idle_s > self._grace_s:
                stream.stop("Nobody was listening, so this jam ended. Press Play for a new one.")

    async def _delete_old(self) -> None:
        finished = [stream for stream in self.streams if not stream.playing]
        finished.sort(key=lambda stream: stream.connection.idle_s)
        for place, stream in enumerate(finished):
            is_too_many = place >= self._max_jams
            is_unused = stream.id not in self._pins
            if is_unused and (is_too_many or stream.connection.idle_s > self._keep_s):
                await self._remove(stream)

    async def _remove(self, stream: JamStream) -> None:
        del self._streams[stream.id]
        await stream.close()
