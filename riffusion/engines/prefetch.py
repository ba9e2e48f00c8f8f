"""Prefetching: a clip is generated before it is asked for, in whatever thread has time for it.

The same request gives the same clip, so a clip that was made ahead is the one that would be made
now. It is used where the request is the same, to the last value, and dropped otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from threading import Lock
from typing import Self

import numpy as np
import torch

from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine, EngineWrapper, Interrupted, never
from riffusion.networks.threads import sharing_cores
from riffusion.spectral.spectrogram import Spectrogram


class ClipTask:
    """One clip to generate: a call of an engine that depends on ``request`` alone."""

    def __init__(self, engine: Engine, request: ClipRequest) -> None:
        self.request = request
        self._engine = engine
        self._running = Lock()
        self._clip: Spectrogram | None = None
        self._is_cancelled = False

    def run(self, interrupted: Callable[[], bool] = never) -> Spectrogram:
        """Generate the clip, in any thread, or return it where that was done already.

        Where another thread is generating it, waits for that. Raises Interrupted where
        ``interrupted`` turns true or the task is cancelled, and what the engine raises.
        """

        def is_over() -> bool:
            return self._is_cancelled or interrupted()

        with self._running:
            if self._clip is None:
                if is_over():
                    raise Interrupted
                (self._clip,) = self._engine.generate([self.request], interrupted=is_over)
            return self._clip

    def cancel(self) -> None:
        """Interrupt the task, now or when it begins: nobody needs its clip."""
        self._is_cancelled = True


class PrefetchingEngine(EngineWrapper):
    """An engine that may have generated the next clip already. It holds one such clip at most."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._task: ClipTask | None = None

    def prefetch(self, request: ClipRequest) -> ClipTask:
        """Return the task to generate a clip that will be asked for, which nobody needs to run.

        The task before it is cancelled.
        """
        self._drop()
        self._task = ClipTask(self.engine, request)
        return self._task

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate clips, or return the one that is there already. See ``Engine.generate``."""
        task = self._task
        if task is not None and same_values([task.request], [*requests]):
            clip = task.run(interrupted)
            self._task = None
            return [clip]
        self._drop()
        return super().generate(requests, interrupted=interrupted)

    def _drop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None


class PrefetchThread:
    """A thread that runs one task after another. Use it in a ``with`` block."""

    def __init__(self) -> None:
        (self._thread,) = sharing_cores(1, "prefetch")
        self._task: ClipTask | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown()

    def start(self, task: ClipTask) -> None:
        """Begin a task. An error is left to whoever asks for its clip, who meets it again."""
        self._task = task
        self._thread.submit(task.run)


def same_values(one: object, other: object) -> bool:
    """Return whether two requests, or parts of requests, have the same values throughout."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(same_values, one, other))
    if is_dataclass(one):
        return all(same_values(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return one == other
