"""JamStream: one listener's jam or song, generated a little ahead of what is being heard.

The track on disk is the one truth. Work in a thread writes to it; whoever listens is sent what it
holds from a cursor on. A live change rewrites the track from a bar line and moves the cursor
back, so the listener's buffer is overwritten by absolute sample and always equals the track.
All methods belong to one event loop.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from riffusion.audio.track import TrackFile
from riffusion.engines.protocol import Interrupted
from riffusion.errors import InvalidInput, RiffusionError, StorageError
from riffusion.jam.block import ClipMark, JamBlock
from riffusion.live.scheduler import EngineQueue
from riffusion.live.source import LiveSource

Event = dict[str, object]
# A change from a message of the page, and from the one that still waits, which it replaces.
ChangeReader = Callable[[Event, Any], Any]

LEAD_S = 6.0
FRAME_S = 0.25
# A change must be ready before its bar line is heard. Until there are measurements, expect this.
FIRST_GUESS_S = 0.8
RECENT_TURNS = 8
# And it must travel to the listener: more is allowed for each time that it came too late.
MIN_TRAVEL_S = 0.1
MORE_TRAVEL_S = 0.1
MAX_TRAVEL_S = 1.0
# Who has this much ahead lets others go first.
COMFORT_S = 3.0
# The playhead moves on between two reports, but not for ever: the listener may have paused.
MAX_SILENCE_S = 1.0
# A section that comes back is ready at once, for minutes: no more of it beyond the lead.
MAX_READY_S = 6.0
DISK_RETRY_S = 2.0
MAX_MARKS = 20_000


@dataclass(frozen=True)
class Audio:
    """Samples of the track from absolute sample ``start`` on: int16, interleaved."""

    start: int
    pcm: bytes


@dataclass
class Listener:
    """The one connection that listens: how far it was sent, and what it is still to be told."""

    cursor: int
    events: deque[Event] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class JamStream:
    """Drives ``session`` for one listener and keeps the track.

    ``turns`` is shared by all streams of an engine. ``read`` reads the session's changes.
    """

    def __init__(
        self,
        session: LiveSource[Any],
        track: TrackFile,
        turns: EngineQueue,
        read: ChangeReader,
        *,
        lead_s: float = LEAD_S,
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.session = session
        self.track = track
        self.marks: deque[ClipMark] = deque(maxlen=MAX_MARKS)
        self._turns = turns
        self._read = read
        self._lead = round(lead_s * session.sample_rate)
        self._ear: Listener | None = None
        self._wake = asyncio.Event()
        self._pending: Any = None
        self._unwritten: JamBlock | None = None
        self._costs_s: deque[float] = deque([FIRST_GUESS_S], maxlen=RECENT_TURNS)
        self.travel_s, self._late = MIN_TRAVEL_S, 0
        self._born = self.touched = self._clock()
        self._heard, self._heard_at = 0, self._born
        self._over: Event | None = None
        self._task = asyncio.create_task(self._play(), name=f"jam {self.id[:6]}")

    # What a listener does

    def tell(self, message: object) -> None:
        """A message of the page. Raises InvalidInput, saying what is wrong with it."""
        if not isinstance(message, dict):
            raise InvalidInput("message", message, "send a JSON object")
        self.touched = self._clock()
        match message.get("type"):
            case "position":
                self._report(message.get("sample"))
                self._allow_for_travel(message.get("late", 0))
            case "change":
                self.change(self._read(message, self._pending))
            case "stop":
                self.stop()
            case "keep":
                pass
            case other:
                raise InvalidInput("message type", other, "use position, change, stop or keep")

    def change(self, change: Any) -> None:
        """Change the session from the next bar line on that can still be reached."""
        self._pending = change
        self._wake.set()

    async def listen(self, start: int = 0) -> AsyncGenerator[Audio | Event]:
        """What happens and what sounds from absolute sample ``start`` on, until the jam is over.

        A second listener takes the place of the first.
        """
        ear = Listener(min(max(start, 0), self.track.length), deque(self._known(start)))
        self._replace_ear(ear)
        frame = round(FRAME_S * self.session.sample_rate)
        try:
            while self._ear is ear:
                ear.news.clear()
                if ear.events:
                    yield ear.events.popleft()
                elif ear.cursor < self.track.length:
                    at = ear.cursor
                    pcm = self.track.read(at, at + frame)
                    ear.cursor = at + pcm.shape[1]
                    yield Audio(at, pcm.T.tobytes())
                elif self._over is not None:
                    yield self._over
                    return
                else:
                    await ear.news.wait()
        finally:
            if self._ear is ear:
                self._replace_ear(None)

    def stop(self, message: str = "Stopped.") -> None:
        """End the work. The track stays until ``close``."""
        if self._over is None:
            self._over = {"type": "over", "message": message}
            self._wake.set()
            self._nudge()

    async def close(self) -> None:
        """End the work and delete the track."""
        self.stop("This jam is over.")
        self._replace_ear(None)
        await asyncio.wait([self._task])
        self.track.close()
        self.session.close()

    def notify(self, message: str) -> None:
        """Show the listener a message; the music goes on."""
        self._announce({"type": "notice", "message": message})

    # What others ask

    @property
    def playing(self) -> bool:
        return self._over is None

    @property
    def hungry(self) -> bool:
        """Whether it plays and needs the engine now."""
        return self.playing and self._has_work()

    @property
    def heard_by(self) -> bool:
        """Whether somebody listens now."""
        return self._ear is not None

    @property
    def away_s(self) -> float:
        """Seconds since somebody last listened or sent a message."""
        return 0.0 if self._ear is not None else self._clock() - self.touched

    @property
    def heard(self) -> int:
        """Samples that have been heard by now, as far as we know."""
        ear = self._ear  # asked in another thread, too, while a listener may go
        if ear is None or not self.playing or not self._heard:
            return self._heard
        passed_s = min(self._clock() - self._heard_at, MAX_SILENCE_S)
        return min(self._heard + round(passed_s * self.session.sample_rate), ear.cursor)

    def mark_at(self, sample: int) -> ClipMark | None:
        """The clip that sounds at ``sample``."""
        return next((m for m in reversed(self.marks) if m.start_sample <= sample), None)

    def export_session(self) -> Event:
        """What is needed to play it again; of a jam, what was heard."""
        content = self.session.export()
        if "samples" in content:
            content["samples"] = min(self.heard, self.track.length)
        return content

    # The work

    async def _play(self) -> None:
        try:
            while self.playing:
                if self._has_work():
                    await self._take_turn()
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except RiffusionError as error:
            self.stop(str(error))
        finally:
            self.stop("The jam stopped unexpectedly. Press Play to start it again.")

    def _has_work(self) -> bool:
        if self._pending is not None or self.session.position == 0:
            return True
        lacks_lead = self.session.position - self.heard < self._lead
        return self.heard_by and lacks_lead and self._has_more()

    def _has_more(self) -> bool:
        return self._unwritten is not None or not self.session.finished

    def _may_write_more(self) -> bool:
        """Whether more is ready, and not yet too far ahead."""
        most = self._lead + round(MAX_READY_S * self.session.sample_rate)
        return self.session.ready and self.session.position - self.heard < most

    async def _take_turn(self) -> None:
        """Wait for the engine, then generate one clip, or take up the change that waits."""
        async with self._turns.take(self._has_change):
            if not self.playing:
                return
            began = self._clock()
            change, self._pending = self._pending, None
            try:
                if change is not None:
                    await self._take_up(change)
                if self._has_more():
                    step_back = self._gone if change else self._should_step_back
                    await self._generate_clip(began, step_back)
            except Interrupted:
                return
            except StorageError as error:
                self.notify(str(error))
        if self._unwritten is not None:
            await asyncio.sleep(DISK_RETRY_S)

    async def _take_up(self, change: Any) -> None:
        delay_s = expected_cost_s(self._costs_s) + self.travel_s
        not_before = self.heard + math.ceil(delay_s * self.session.sample_rate)
        try:
            at = await asyncio.to_thread(self.session.change, change, not_before)
        except InvalidInput as error:
            self.notify(str(error))
            return
        self._trim_unwritten()
        if at is not None:
            self._announce({"type": "changed", "at": at})

    async def _generate_clip(self, began: float, interrupted: Callable[[], bool]) -> None:
        """Write the next clip to the track piece by piece, or what is left of the last one.

        Each piece is sent as soon as it is there; the first decides how long a change takes.
        """
        is_new = not (self.session.has_pending_audio or self.session.ready)
        await self._generate_piece(interrupted)
        if is_new:
            self._costs_s.append(self._clock() - began)
        while self.session.has_pending_audio and not interrupted():
            await self._generate_piece(interrupted)

    async def _generate_piece(self, interrupted: Callable[[], bool]) -> None:
        before = self.track.length
        blocks: list[JamBlock] = []
        try:
            await asyncio.to_thread(self._generate, blocks, interrupted)
        finally:
            self._publish(blocks, before)

    def _has_change(self) -> bool:
        return self._pending is not None

    def _gone(self) -> bool:
        return not self.playing

    def _should_step_back(self) -> bool:
        """Whether to give up a clip that is not urgent. Asked in the thread that generates it."""
        ahead = self.session.position - self.heard
        hurry = self._has_change() or self._turns.hurried
        return self._gone() or (hurry and ahead > COMFORT_S * self.session.sample_rate)

    def _trim_unwritten(self) -> None:
        """A block that waits for space on the disk ends where the session took it back."""
        if (block := self._unwritten) is not None:
            kept = block.samples[:, : max(0, self.session.position - block.start)]
            self._unwritten = replace(block, samples=kept) if kept.shape[1] else None

    def _generate(self, written: list[JamBlock], interrupted: Callable[[], bool]) -> None:
        """Write the blocks that are ready next to the track. Runs in a thread."""
        while not written or self._may_write_more():
            if self._unwritten is None:
                self._unwritten = self.session.block(interrupted=interrupted)
            self.track.write(self._unwritten.start, self._unwritten.samples)
            written.append(self._unwritten)
            self._unwritten = None

    def _publish(self, blocks: list[JamBlock], before: int) -> None:
        """Let the listener know of new blocks; those before the old end are a splice."""
        if self._ear is not None:
            spliced = min([before, self.track.length, *(block.start for block in blocks)])
            self._ear.cursor = min(self._ear.cursor, spliced)
        for block in blocks:
            if not self.marks or self.marks[-1] != block.clip:
                self._add_mark(block.clip)
        if blocks and self.session.finished:
            self._announce(self._end())
        self._nudge()

    def _add_mark(self, mark: ClipMark) -> None:
        while self.marks and self.marks[-1].start_sample >= mark.start_sample:
            self.marks.pop()
        self.marks.append(mark)
        self._announce(_clip_event(mark))

    def _known(self, start: int) -> list[Event]:
        """The clips from ``start`` on, and the end, where there is one."""
        current = self.mark_at(start)
        first = current.start_sample if current else 0
        marks = [_clip_event(mark) for mark in self.marks if mark.start_sample >= first]
        return [*marks, self._end()] if self.session.finished else marks

    def _end(self) -> Event:
        return {"type": "end", "at": self.session.position}

    def _report(self, sample: object) -> None:
        """The listener's playhead. It cannot run faster than time, whatever is claimed."""
        if not isinstance(sample, int | float) or not 0 <= sample < 2**53:
            raise InvalidInput("position", sample, "send the absolute sample that plays now")
        now = self._clock()
        sent = self._ear.cursor if self._ear else self._heard
        possible = round((now - self._born) * self.session.sample_rate)
        self._heard, self._heard_at = min(int(sample), sent, possible), now
        if self.session.finished and self._heard >= self.session.position:
            self.stop("The song is over.")
        self._wake.set()

    def _allow_for_travel(self, late: object) -> None:
        """``late``: samples that reached the listener after they should have been heard."""
        if not isinstance(late, int | float) or not 0 <= late < 2**53:
            raise InvalidInput("late", late, "send how many samples came too late")
        if late > self._late:
            self.travel_s = min(self.travel_s + MORE_TRAVEL_S, MAX_TRAVEL_S)
        self._late = int(late)

    def _announce(self, event: Event) -> None:
        if self._ear is not None:
            self._ear.events.append(event)
            self._nudge()

    def _replace_ear(self, ear: Listener | None) -> None:
        old, self._ear = self._ear, ear
        self.touched = self._clock()
        self._wake.set()
        if old is not None:
            old.news.set()

    def _nudge(self) -> None:
        if self._ear is not None:
            self._ear.news.set()

    @staticmethod
    def _clock() -> float:
        return time.monotonic()


def expected_cost_s(recent_s: Collection[float]) -> float:
    """How long the next clip takes, in seconds: the longest of the recent ones but for one.

    One that took long because the machine was busy does not count; two are no accident.
    """
    max_first = sorted(recent_s, reverse=True)
    return max_first[min(1, len(max_first) - 1)]


def _clip_event(mark: ClipMark) -> Event:
    return {"type": "clip", **asdict(mark)}
