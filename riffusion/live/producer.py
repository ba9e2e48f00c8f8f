"""A producer generates a source ahead of the listener's playhead and writes it to the track.

Work in a thread writes to the track on disk, which alone decides what the listener is sent. A live
change rewrites the track from a bar line on and moves the listener's cursor back, so that the
listener's buffer is overwritten by absolute sample and always equals the track.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial

from riffusion.audio.track import TrackFile
from riffusion.engines.prefetch import ClipTask
from riffusion.engines.protocol import Interrupted
from riffusion.errors import RiffusionError, StorageError
from riffusion.jam.block import ClipMarks, JamBlock
from riffusion.jam.setting_values import Refusal
from riffusion.live.connection import Connection, Event, clip_event, notice
from riffusion.live.scheduler import EngineStages, Priority
from riffusion.live.source import LiveSource

LEAD_S = 6.0
# A change must be generated before its bar line is heard. Without measurements, expect this.
FIRST_GUESS_S = 0.8
RECENT_TURNS = 8
# A stream that has this much ahead of its playhead lets others go first.
COMFORT_S = 3.0
# A section that comes back is ready at once, for minutes: no more of it beyond the lead.
MAX_READY_S = 6.0
DISK_RETRY_S = 2.0


class Producer:
    """Keeps ``track`` ahead of the playhead of ``connection`` by ``lead_s`` seconds.

    ``stages`` are shared by all producers of an engine. ``marks`` are the clips of the track.
    """

    def __init__(
        self,
        source: LiveSource,
        track: TrackFile,
        connection: Connection,
        stages: EngineStages,
        lead_s: float = LEAD_S,
    ) -> None:
        self.marks = ClipMarks()
        self._source = source
        self._track = track
        self._connection = connection
        self._stages = stages
        self._rate = source.format.sample_rate
        self._lead = round(lead_s * self._rate)
        self._max_ahead = round((lead_s + MAX_READY_S) * self._rate)
        self._unwritten: JamBlock | None = None
        # The clip after the one that is vocoded, while it is generated.
        self._prefetch: asyncio.Task[bool] | None = None
        # When the clip was begun of which nothing has been written yet.
        self._began: float | None = None
        self._costs_s: deque[float] = deque([FIRST_GUESS_S], maxlen=RECENT_TURNS)

    @property
    def end_events(self) -> list[Event]:
        """The event that tells where the track ends; none where it goes on."""
        progress = self._source.progress
        return [{"type": "end", "at": progress.position}] if progress.finished else []

    async def run(self) -> None:
        """Generate until the stream is over. An error of ours ends it with its message."""
        try:
            while not self._connection.is_over:
                self._connection.changed.clear()
                wait_s = self._wait_s()
                if wait_s == 0:
                    await self._take_turn()
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._connection.changed.wait(), wait_s)
        except RiffusionError as error:
            self._connection.end(str(error))
        finally:
            self._connection.end("The jam stopped unexpectedly. Press Play to start it again.")
            await self._finish_prefetch()

    def _wait_s(self) -> float | None:
        """Return the seconds until the source needs the engine; None if a listener must act first.

        The result is 0 where it needs the engine now.
        """
        progress = self._source.progress
        if self._source.has_change or progress.position == 0:
            return 0.0
        if not self._connection.connected or not self._has_more:
            return None
        return self._connection.seconds_until(progress.position - self._lead)

    @property
    def _has_more(self) -> bool:
        """Whether there is a block to write."""
        return self._unwritten is not None or not self._source.progress.finished

    @property
    def _needs_clip(self) -> bool:
        """Whether the next block needs a clip that has not been generated."""
        progress = self._source.progress
        is_there = progress.ready or progress.has_pending_audio or self._unwritten is not None
        return not (is_there or progress.finished)

    @property
    def _ahead(self) -> int:
        """The number of samples that are generated and not heard yet."""
        return self._source.progress.position - self._connection.playhead

    @property
    def _delay_s(self) -> float:
        """The seconds from a change to its first samples at the listener, as far as is known."""
        return expected_cost_s(tuple(self._costs_s)) + self._connection.network_delay_s

    def _priority(self) -> Priority:
        """Return how urgent the work of this stream is now."""
        if self._source.has_change:
            return Priority.CHANGE
        is_low = self._ahead < COMFORT_S * self._rate
        return Priority.LOW_BUFFER if is_low else Priority.LEAD

    async def _take_turn(self) -> None:
        """Apply the change that waits, and bring one clip to the track, or a part of it."""
        try:
            with self._stages.turn():
                # What is left of the last clip is vocoded while the next one is generated.
                if self._needs_clip or self._source.has_change:
                    await self._advance()
                if self._has_more and not self._connection.is_over:
                    await self._vocode()
        except Interrupted:
            return
        except StorageError as error:
            self._began = None
            self._connection.announce(notice(str(error)))
            await asyncio.sleep(DISK_RETRY_S)

    async def _advance(self) -> None:
        """Apply the change that waits, and place the next clip, which may be there already."""
        is_made = await self._finish_prefetch()
        if not (is_made and self._needs_clip):
            await self._denoise()
            return
        await asyncio.to_thread(self._source.place_clip)
        await self._begin_prefetch()

    async def _denoise(self) -> None:
        """Wait for the denoiser; apply the change that waits, and generate a clip."""
        async with self._stages.denoiser.take(self._priority):
            if self._connection.is_over:
                raise Interrupted
            began = time.monotonic()
            interrupted = self._should_step_back
            if self._source.has_change:
                await self._apply_change()
                # The clip of a change is finished, whatever else changes meanwhile.
                interrupted = self._is_over
            if self._needs_clip:
                place = partial(self._source.place_clip, interrupted=interrupted)
                await self._stages.denoiser.run(place)
                self._began = began

    async def _begin_prefetch(self) -> None:
        """Begin the clip after the one that was placed, where the lead needs that too."""
        missing = self._source.progress.placed - self._connection.playhead < self._lead
        if not (missing and self._connection.connected):
            return
        if task := await asyncio.to_thread(self._source.prefetch):
            self._prefetch = asyncio.create_task(self._run_ahead(task))

    async def _run_ahead(self, task: ClipTask) -> bool:
        """Generate a clip before its turn. Return whether it is there."""
        try:
            async with self._stages.denoiser.take(self._priority):
                await self._stages.denoiser.run(partial(task.run, self._should_give_up))
        except (Interrupted, RiffusionError):
            # Where the clip is impossible, the session says so in its turn.
            return False
        return True

    async def _finish_prefetch(self) -> bool:
        """Wait for the clip that is generated ahead. Return whether there is one, and no change."""
        if self._prefetch is None:
            return False
        prefetch, self._prefetch = self._prefetch, None
        return await prefetch and not self._source.has_change

    async def _apply_change(self) -> None:
        not_before = self._connection.playhead + math.ceil(self._delay_s * self._rate)
        # It may vocode what is left of a clip up to the change.
        apply = partial(self._source.apply_change, not_before)
        applied = await self._stages.vocoder.run(apply)
        announce_refused(self._connection, applied.refused)
        self._trim_unwritten()
        if applied.at is not None:
            self._connection.announce({"type": "changed", "at": applied.at})

    async def _vocode(self) -> None:
        """Wait for the vocoder; write what is left of the last clip to the track piece by piece.

        Each piece is sent as soon as it is there; the first decides how long a change takes. Where
        clips are so short that the next one begins in the same piece, the turn ends with it.
        """
        async with self._stages.vocoder.take(self._priority):
            first_index: int | None = None
            while not self._connection.is_over:
                length = self._track.length
                blocks: list[JamBlock] = []
                try:
                    write = partial(self._write_blocks, blocks, self._should_step_back)
                    await self._stages.vocoder.run(write)
                finally:
                    self._publish(blocks, length)
                if self._began is not None:
                    self._costs_s.append(time.monotonic() - self._began)
                    self._began = None
                    # Somebody may have waited for this piece; the next clip comes after it.
                    await self._begin_prefetch()
                first_index = blocks[0].clip.index if first_index is None else first_index
                is_next = blocks[-1].clip.index != first_index
                has_more = self._source.progress.has_pending_audio
                if is_next or not has_more or self._should_step_back():
                    return

    def _write_blocks(self, written: list[JamBlock], interrupted: Callable[[], bool]) -> None:
        """Write the next block to the track, and those that are ready. Runs in a thread."""
        while not written or (self._source.progress.ready and self._ahead < self._max_ahead):
            if self._unwritten is None:
                self._unwritten = self._source.block(interrupted=interrupted)
            self._track.write(self._unwritten.start, self._unwritten.samples)
            written.append(self._unwritten)
            self._unwritten = None

    def _publish(self, blocks: list[JamBlock], length: int) -> None:
        """Tell the listener of new blocks; those before the old ``length`` rewrite the track."""
        starts = (block.start for block in blocks)
        self._connection.wake_listener(min([length, self._track.length, *starts]))
        for block in blocks:
            if self.marks.add(block.clip):
                self._connection.announce(clip_event(block.clip))
        if blocks:
            for event in self.end_events:
                self._connection.announce(event)

    def _is_over(self) -> bool:
        return self._connection.is_over

    def _should_step_back(self) -> bool:
        """Whether to give up what is not urgent. Asked in the thread that computes it."""
        ahead_s = self._ahead / self._rate
        # What a change of its own rewrites is not worth finishing, unless sound is about to end.
        is_outdated = self._source.has_change and ahead_s > 2 * self._delay_s
        others_first = self._stages.urgent and ahead_s > COMFORT_S
        return self._connection.is_over or is_outdated or others_first

    def _should_give_up(self) -> bool:
        """Whether a clip that is generated ahead is worth nothing, or others need the engine."""
        return self._source.has_change or self._should_step_back()

    def _trim_unwritten(self) -> None:
        """Cut a block that waits for space on the disk where the source took it back."""
        if (block := self._unwritten) is not None:
            kept = block.samples[:, : max(0, self._source.progress.position - block.start)]
            self._unwritten = replace(block, samples=kept) if kept.shape[1] else None


def announce_refused(connection: Connection, refused: Collection[Refusal]) -> None:
    """Tell the listener which values of a change cannot be used, each by its field."""
    for refusal in refused:
        connection.announce({"type": "refused", "field": refusal.field, "message": refusal.message})


def expected_cost_s(recent_s: Collection[float]) -> float:
    """Return how many seconds the next clip takes: the longest of the recent ones but for one.

    One that took long because the machine was busy does not count; two are no accident.
    """
    slowest = sorted(recent_s, reverse=True)
    return slowest[min(1, len(slowest) - 1)]
