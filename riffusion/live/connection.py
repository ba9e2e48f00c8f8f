"""A connection sends a track to one listener and knows what the listener hears.

Its methods belong to the event loop, except ``playhead``, ``is_over`` and ``connected``, which
threads may read.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import asdict, dataclass, field

from riffusion.audio.track import TrackFile
from riffusion.errors import InvalidInput
from riffusion.jam.block import ClipMark

Event = dict[str, object]

FRAME_S = 0.25
# The server allows for a network delay, and for more each time that audio came too late.
MIN_NETWORK_DELAY_S = 0.1
NETWORK_DELAY_STEP_S = 0.1
MAX_NETWORK_DELAY_S = 1.0
# The playhead moves on between two reports, but not for ever: the listener may have paused.
MAX_SILENCE_S = 1.0
# A listener that leaves this many events unread, besides those it began with, is disconnected.
MAX_EVENTS = 1000
UNREAD = f"This connection left {MAX_EVENTS} messages unread and was closed."


@dataclass(frozen=True)
class Audio:
    """Samples of the track from absolute sample ``start`` on: int16, interleaved."""

    start: int
    pcm: bytes


@dataclass
class Listener:
    """One connected listener: the next sample to send, and the events to send before it.

    At most ``max_events`` may be unread.
    """

    cursor: int
    events: deque[Event]
    max_events: int
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_overrun(self) -> bool:
        """Whether no more events may be unread."""
        return len(self.events) >= self.max_events


class Connection:
    """The listener of a stream, of which there is at most one at a time.

    ``changed`` is set whenever the producer of the stream may have something to do.
    """

    def __init__(self, sample_rate: int) -> None:
        self.changed = asyncio.Event()
        self.network_delay_s = MIN_NETWORK_DELAY_S
        self._sample_rate = sample_rate
        self._listener: Listener | None = None
        self._over: Event | None = None
        self._opened_at = self._touched_at = self._reported_at = time.monotonic()
        self._reported = 0
        self._late = 0

    @property
    def is_over(self) -> bool:
        """Whether the stream has ended."""
        return self._over is not None

    @property
    def connected(self) -> bool:
        """Whether somebody listens now."""
        return self._listener is not None

    @property
    def idle_s(self) -> float:
        """The seconds since somebody last listened or sent a message."""
        return 0.0 if self.connected else time.monotonic() - self._touched_at

    @property
    def playhead(self) -> int:
        """The absolute sample that plays at the listener now, as far as can be known."""
        listener = self._listener  # it may disconnect while another thread asks
        if listener is None or self.is_over or not self._reported:
            return self._reported
        passed_s = min(time.monotonic() - self._reported_at, MAX_SILENCE_S)
        return min(self._reported + round(passed_s * self._sample_rate), listener.cursor)

    def seconds_until(self, sample: int) -> float | None:
        """Return how long the playhead takes to pass ``sample``; None if a report must come first.

        The result is 0 where it has passed that sample.
        """
        needed = sample + 1 - self.playhead
        if needed <= 0:
            return 0.0
        if not self.connected or self.is_over or not self._reported:
            return None
        wait_s = needed / self._sample_rate
        moving_s = MAX_SILENCE_S - (time.monotonic() - self._reported_at)
        return wait_s if wait_s <= moving_s else None

    def touch(self) -> None:
        """Note that the listener is there."""
        self._touched_at = time.monotonic()

    def report(self, sample: object, late: object) -> None:
        """Take the listener's playhead, and how many samples in all reached it too late.

        The playhead cannot run faster than time, whatever the listener claims. Raises InvalidInput
        for what is no count of samples.
        """
        if not isinstance(sample, int | float) or not 0 <= sample < 2**53:
            raise InvalidInput("position", sample, "send the absolute sample that plays now")
        if not isinstance(late, int | float) or not 0 <= late < 2**53:
            raise InvalidInput("late", late, "send how many samples came too late")
        now = time.monotonic()
        sent = self._listener.cursor if self._listener else self._reported
        possible = round((now - self._opened_at) * self._sample_rate)
        self._reported, self._reported_at = min(int(sample), sent, possible), now
        if late > self._late:
            more_s = self.network_delay_s + NETWORK_DELAY_STEP_S
            self.network_delay_s = min(more_s, MAX_NETWORK_DELAY_S)
        self._late = int(late)
        self.changed.set()

    def announce(self, event: Event) -> None:
        """Send an event to the listener, if there is one.

        An event that repeats the last unread one is left out. A listener that has left too many
        unread is disconnected; it can connect again from its playhead.
        """
        listener = self._listener
        if listener is None or (listener.events and listener.events[-1] == event):
            return
        if listener.is_overrun:
            self._replace_listener(None)
            return
        listener.events.append(event)
        listener.wake.set()

    def wake_listener(self, rewritten_from: int) -> None:
        """Tell the listener of new audio; it is sent what it has from ``rewritten_from`` again."""
        if self._listener is not None:
            self._listener.cursor = min(self._listener.cursor, rewritten_from)
            self._listener.wake.set()

    def end(self, message: str) -> None:
        """End the stream, and say why; nothing happens where it has ended already."""
        if self._over is None:
            self._over = {"type": "over", "message": message}
            self.changed.set()
            if self._listener is not None:
                self._listener.wake.set()

    def disconnect(self) -> None:
        """Let go of the listener."""
        self._replace_listener(None)

    async def listen(
        self, track: TrackFile, start: int, known: Callable[[], Iterable[Event]]
    ) -> AsyncGenerator[Audio | Event]:
        """Yield ``known()`` events, then events and audio from ``start`` on, until the stream ends.

        A second listener takes the place of the first.
        """
        cursor = min(max(start, 0), track.length)
        events = deque(known())
        listener = Listener(cursor, events, len(events) + MAX_EVENTS)
        self._replace_listener(listener)
        frame = round(FRAME_S * self._sample_rate)
        try:
            while self._listener is listener:
                listener.wake.clear()
                if listener.events:
                    yield listener.events.popleft()
                elif listener.cursor < track.length:
                    at = listener.cursor
                    pcm = track.read(at, at + frame)
                    listener.cursor = at + pcm.shape[1]
                    yield Audio(at, pcm.T.tobytes())
                elif self._over is not None:
                    yield self._over
                    return
                else:
                    await listener.wake.wait()
            if listener.is_overrun:
                yield notice(UNREAD)
        finally:
            if self._listener is listener:
                self._replace_listener(None)

    def _replace_listener(self, listener: Listener | None) -> None:
        old, self._listener = self._listener, listener
        self._touched_at = time.monotonic()
        self.changed.set()
        if old is not None:
            old.wake.set()


def notice(message: str) -> Event:
    """Return the event that shows the listener a message; the music plays on."""
    return {"type": "notice", "message": message}


def clip_event(mark: ClipMark) -> Event:
    """Return the event that tells which clip sounds from a sample on."""
    return {"type": "clip", **asdict(mark)}
