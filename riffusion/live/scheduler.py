"""The engine queues decide which work uses the denoiser, and which the vocoder, next.

They are driven by events: whoever gives one back passes it to the most urgent of those who wait.
Priorities are asked for at that moment, because they change while work waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from riffusion.networks.threads import sharing_cores

T = TypeVar("T")


class Priority(IntEnum):
    """The urgency of work; lower values go first."""

    CHANGE = 0
    """A listener waits for a change to be heard."""
    LOW_BUFFER = 1
    """A stream has little audio left."""
    LEAD = 2
    """A stream has enough for now, and fills its lead."""
    ONE_OFF = 3
    """A clip that no stream waits for."""


@dataclass(eq=False)
class _Waiter:
    priority: Callable[[], Priority]
    granted: asyncio.Future[None]


class EngineQueue:
    """Lets one piece of work at a time use a part of the engine, the most urgent first.

    Among equally urgent work, whatever has waited longest goes first. Work that generates ahead of
    a playhead should ask ``urgent`` now and then, from whatever thread, and give up its clip where
    it is true.
    """

    def __init__(self, name: str = "engine") -> None:
        self._waiting: list[_Waiter] = []
        # In threads that start later PyTorch may use as few cores as others do at that moment.
        (self._thread,) = sharing_cores(1, name)
        self._is_busy = False

    @asynccontextmanager
    async def take(
        self, priority: Callable[[], Priority], patience_s: float | None = None
    ) -> AsyncIterator[None]:
        """Wait for the engine, and hold it inside the block.

        ``priority`` tells how urgent the work is now. Raises TimeoutError where the engine was not
        free within ``patience_s`` seconds.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(priority, loop.create_future())
        self._waiting.append(waiter)
        loop.call_soon(self._grant)
        try:
            await asyncio.wait_for(waiter.granted, patience_s)
        except BaseException:
            # A cancelled task may have been given the engine in the same moment.
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self._release()
            raise
        try:
            yield
        finally:
            self._release()

    async def run(self, work: Callable[[], T]) -> T:
        """Run work in the thread of this queue: by whoever holds it, or for a moment by others."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    @property
    def urgent(self) -> bool:
        """Whether a change waits for the engine."""
        return any(waiter.priority() is Priority.CHANGE for waiter in tuple(self._waiting))

    def _release(self) -> None:
        self._is_busy = False
        # A stream that has more to do asks again before the engine is passed on.
        asyncio.get_running_loop().call_soon(self._grant)

    def _grant(self) -> None:
        """Pass the engine to the most urgent work that waits, if it is free."""
        # Work that was cancelled waits no more, even if its task has not run since.
        waiting = [waiter for waiter in self._waiting if not waiter.granted.done()]
        if self._is_busy or not waiting:
            return
        # min() returns the first of equals, which has waited longest.
        waiter = min(waiting, key=lambda waiter: waiter.priority())
        self._waiting.remove(waiter)
        self._is_busy = True
        waiter.granted.set_result(None)


class EngineStages:
    """The two stages of an engine, which work at the same time: each has a core of its own.

    One clip at a time is denoised and one is vocoded, so that memory and cores do not run short
    however many streams there are. A stream holds one stage after the other and never waits for one
    while it holds the other.
    """

    def __init__(self) -> None:
        self.denoiser, self.vocoder = EngineQueue("denoiser"), EngineQueue("vocoder")
        self._turns = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def close(self) -> None:
        """Let the threads end."""
        self.denoiser.close()
        self.vocoder.close()

    @property
    def urgent(self) -> bool:
        """Whether a change waits for a stage."""
        return self.denoiser.urgent or self.vocoder.urgent

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Note, inside the block, that a stream needs the stages."""
        self._turns += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._turns -= 1
            # A stream that has more to do begins its next turn first.
            asyncio.get_running_loop().call_soon(self._note_idle)

    @asynccontextmanager
    async def take_both(self, patience_s: float) -> AsyncIterator[None]:
        """Wait until no stream needs a stage, and hold both inside the block: for one-off work.

        Raises TimeoutError where that was not the case within ``patience_s`` seconds.
        """

        def priority() -> Priority:
            return Priority.ONE_OFF

        async with AsyncExitStack() as stack:
            async with asyncio.timeout(patience_s):
                await self._idle.wait()
                await stack.enter_async_context(self.denoiser.take(priority))
                await stack.enter_async_context(self.vocoder.take(priority))
            yield

    def _note_idle(self) -> None:
        if not self._turns:
            self._idle.set()
