"""JamRegistry: one engine, the jams that play on it, and who may play.

All methods but the constructor belong to the event loop of the server.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from riffusion.audio.track import TrackFile
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput, ServerError
from riffusion.jam.session import JamSession
from riffusion.jam.settings import JamSettings
from riffusion.live.producer import LEAD_S, ChangeReader, JamStream
from riffusion.live.scheduler import EngineQueue
from riffusion.live.source import LiveSource
from riffusion.serving.changes import read_jam_change, read_song_change
from riffusion.serving.uploads import UploadStore
from riffusion.song.model import Song
from riffusion.song.session import SongSession

MAX_JAMS = 4
GRACE_S = 60.0
KEEP_S = 1800.0
SWEEP_S = 5.0
MAX_ONE_OFF_CLIPS = 8
PATIENCE_S = 60.0
LOOK_S = 0.05
Made = TypeVar("Made")


def _unhurried() -> bool:
    """Guests wait until jams have what they need."""
    return False


class JamRegistry:
    """Opens, finds and ends jams.

    At most ``max_jams`` play at a time. One whose listener has been away for ``grace_s`` stops;
    its track is deleted ``keep_s`` after the listener was last there, or earlier when more than
    ``max_jams`` tracks are kept. Tracks lie in ``folder`` (default: for temporary files).
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
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.engine = engine
        self._max_jams = max_jams
        self._grace_s = grace_s
        self._keep_s = keep_s
        self._sweep_s = sweep_s
        self._lead_s = lead_s
        self._folder = folder
        # Exports take a core each: one at a time, so that the music goes on.
        self.exports = asyncio.Semaphore(1)
        self.shelf = UploadStore()
        self._turns = EngineQueue()
        self._starting = 0
        self._guests = 0
        self._guest = asyncio.Semaphore(1)
        self._streams: dict[str, JamStream] = {}
        self._borrowed: dict[str, int] = {}
        self._leaving = asyncio.Event()
        self._janitor: asyncio.Task[None] | None = None

    async def open(self, settings: JamSettings) -> JamStream:
        """Start a jam. ServerError when all places are taken, InvalidInput for bad settings."""
        read = partial(read_jam_change, shelf=self.shelf)
        return await self._open(lambda: JamSession(self.engine, settings), read)

    async def open_song(self, song: Song) -> JamStream:
        """Start a song. ServerError when all places are taken, InvalidInput for a bad tempo."""
        read = partial(read_song_change, shelf=self.shelf)
        return await self._open(lambda: SongSession(self.engine, song), read)

    async def _open(self, start: Callable[[], LiveSource[Any]], read: ChangeReader) -> JamStream:
        if len(self.playing) + self._starting >= self._max_jams:
            raise ServerError(
                f"All {self._max_jams} places on this machine are taken. Try again in a minute, "
                "or run Riffusion on your own machine."
            )
        self._starting += 1
        try:
            # In a thread: an anchor is read and heard first, and others go on meanwhile.
            session = await asyncio.to_thread(start)
        finally:
            self._starting -= 1
        track = TrackFile(session.sample_rate, session.channels, self._folder)
        stream = JamStream(session, track, self._turns, read, lead_s=self._lead_s)
        self._streams[stream.id] = stream
        if self._janitor is None or self._janitor.done():
            self._janitor = asyncio.create_task(self._sweep(), name="janitor")
        return stream

    def find(self, stream_id: str) -> JamStream:
        """The jam with this id. InvalidInput where it is over and gone."""
        stream = self._streams.get(stream_id)
        if stream is None:
            raise InvalidInput("jam", stream_id, "is over and its track is gone; press Play again")
        return stream

    @asynccontextmanager
    async def borrow(self, stream_id: str) -> AsyncIterator[JamStream]:
        """The jam with this id, whose track stays while it is in use here."""
        stream = self.find(stream_id)
        self._borrowed[stream_id] = self._borrowed.get(stream_id, 0) + 1
        try:
            yield stream
        finally:
            self._borrowed[stream_id] -= 1
            if not self._borrowed[stream_id]:
                del self._borrowed[stream_id]

    async def perform(self, work: Callable[[], Made]) -> Made:
        """Do ``work`` with the engine, in a thread, while no jam needs it.

        Jams come first: work begins only when all that play have their lead, one piece at a time.
        Raises ServerError where too many wait already, or the jams leave no time.
        """
        if self._guests >= MAX_ONE_OFF_CLIPS:
            raise ServerError(
                f"{MAX_ONE_OFF_CLIPS} clips are waiting already. Try again in a moment."
            )
        self._guests += 1
        try:
            async with self._guest:
                await self._jams_have_their_lead()
                async with self._turns.take(_unhurried):
                    return await asyncio.to_thread(work)
        finally:
            self._guests -= 1

    async def _jams_have_their_lead(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while any(stream.hungry for stream in self.playing):
                    await asyncio.sleep(LOOK_S)
        except TimeoutError as error:
            raise ServerError(
                "This machine is busy with the jams that play. Try again in a minute, or run "
                "Riffusion on your own machine."
            ) from error

    @property
    def streams(self) -> tuple[JamStream, ...]:
        """All jams whose tracks exist."""
        return tuple(self._streams.values())

    @property
    def playing(self) -> tuple[JamStream, ...]:
        """The jams that play now."""
        return tuple(stream for stream in self.streams if stream.playing)

    async def close(self) -> None:
        """End all jams and delete their tracks."""
        self._leaving.set()
        if self._janitor is not None:
            await self._janitor
        for stream in self.streams:
            await self._remove(stream)

    async def _sweep(self) -> None:
        while self._streams and not self._leaving.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), self._sweep_s)
            self._end_the_lost()
            await self._delete_the_old()

    def _end_the_lost(self) -> None:
        for stream in self.playing:
            if stream.away_s > self._grace_s:
                stream.stop("Nobody was listening, so this jam ended. Press Play for a new one.")

    async def _delete_the_old(self) -> None:
        finished = [stream for stream in self.streams if not stream.playing]
        finished.sort(key=lambda stream: stream.away_s)
        for place, stream in enumerate(finished):
            too_many = place >= self._max_jams
            unused = stream.id not in self._borrowed
            if unused and (too_many or stream.away_s > self._keep_s):
                await self._remove(stream)

    async def _remove(self, stream: JamStream) -> None:
        del self._streams[stream.id]
        await stream.close()
