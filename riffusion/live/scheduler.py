"""EngineQueue: one engine, many jams. Urgent work asks others to step back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class EngineQueue:
    """One at a time, whoever asks first is served first.

    Who generates ahead of what is heard should look at ``hurried`` now and then, from whatever
    thread, and give up the turn where somebody waits for something that a listener waits for.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting: list[Callable[[], bool]] = []

    @asynccontextmanager
    async def take(self, hurried: Callable[[], bool]) -> AsyncIterator[None]:
        """Wait for a turn. ``hurried`` tells whether this has become urgent while it waits."""
        self._waiting.append(hurried)
        try:
            await self._lock.acquire()
        finally:
            self._waiting.remove(hurried)
        try:
            yield
        finally:
            self._lock.release()

    @property
    def hurried(self) -> bool:
        """Whether somebody waits who is in a hurry."""
        return any(hurried() for hurried in tuple(self._waiting))
