"""A stream is one jam or song that plays for one listener."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator

from riffusion.audio.track import TrackFile
from riffusion.errors import InvalidInput
from riffusion.jam.block import ClipMark
from riffusion.jam.setting_values import Refusal
from riffusion.live.connection import Audio, Connection, Event, clip_event, notice
from riffusion.live.producer import LEAD_S, Producer, announce_refused
from riffusion.live.scheduler import EngineStages
from riffusion.live.source import Captured, LiveSource, Passage


class JamStream:
    """A live source with its track on disk, its producer and its listener.

    It plays from the moment it is made. All methods belong to one event loop.
    """

    def __init__(
        self, source: LiveSource, track: TrackFile, stages: EngineStages, lead_s: float = LEAD_S
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.source = source
        self.track = track
        self.connection = Connection(source.format.sample_rate)
        self._producer = Producer(source, track, self.connection, stages, lead_s)
        # Changes are read in threads; the lock keeps them in the order in which they came.
        self._changing = asyncio.Lock()
        self._task = asyncio.create_task(self._producer.run(), name=f"jam {self.id[:6]}")

    async def receive(self, message: object) -> tuple[Refusal, ...]:
        """Take a message of the listener: position, change, stop or keep.

        Returns the values of a change that were refused; the listener gets an event for each.
        Raises InvalidInput, saying what is wrong, for any other message that cannot be used.
        """
        if not isinstance(message, dict):
            raise InvalidInput("message", message, "send a JSON object")
        self.connection.touch()
        match message.get("type"):
            case "position":
                self._report(message)
            case "change":
                return await self._change(message)
            case "stop":
                self.stop()
            case "keep":
                pass
            case other:
                raise InvalidInput("message type", other, "use position, change, stop or keep")
        return ()

    def listen(self, start: int = 0) -> AsyncGenerator[Audio | Event]:
        """Yield events and audio from absolute sample ``start`` on, until the stream is over.

        A second listener takes the place of the first.
        """
        producer = self._producer
        return self.connection.listen(
            self.track,
            start,
            lambda: [*map(clip_event, producer.marks.since(start)), *producer.end_events],
        )

    def notify(self, message: str) -> None:
        """Show the listener a message; the music plays on."""
        self.connection.announce(notice(message))

    def stop(self, message: str = "Stopped.") -> None:
        """End the work. The track stays until ``close``."""
        self.connection.end(message)

    async def close(self) -> None:
        """End the work and delete the track."""
        self.stop("This jam is over.")
        self.connection.disconnect()
        await asyncio.wait([self._task])
        self.track.close()
        await asyncio.to_thread(self.source.close)

    async def capture(self, passage: Passage) -> Captured:
        """Return a song with what was heard just now as a section.

        Raises InvalidInput where that cannot be kept.
        """
        return await asyncio.to_thread(self.source.capture, passage, self.track, self.playhead)

    async def export(self) -> dict[str, object]:
        """Return what is needed to play what was heard again, ready for JSON."""
        heard = min(self.playhead, self.track.length)
        return await asyncio.to_thread(self.source.export, heard)

    @property
    def playing(self) -> bool:
        """Whether the stream is not over."""
        return not self.connection.is_over

    @property
    def playhead(self) -> int:
        """The absolute sample that plays at the listener now, as far as can be known."""
        return self.connection.playhead

    def mark_at(self, sample: int) -> ClipMark | None:
        """Return the clip that sounds at an absolute sample."""
        return self._producer.marks.at(sample)

    def _report(self, message: Event) -> None:
        self.connection.report(message.get("sample"), message.get("late", 0))
        progress = self.source.progress
        if progress.finished and self.playhead >= progress.position:
            self.stop("The song is over.")

    async def _change(self, message: Event) -> tuple[Refusal, ...]:
        """Queue a change; it is applied at the next bar line that can still be reached."""
        async with self._changing:
            refused = await asyncio.to_thread(self.source.queue_change, message)
        announce_refused(self.connection, refused)
        self.connection.changed.set()
        return refused
