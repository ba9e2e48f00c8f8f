"""The resident memory of a process of its own, read from outside while it works."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

FIRST_MINUTE_S = 60.0
SAMPLE_EVERY_S = 0.5


@dataclass(frozen=True)
class Watched:
    """Megabytes, and the result of the work.

    ``growth_mb`` is the highest memory after the first minute less that at the end of it.
    """

    growth_mb: float
    peak_mb: float
    result: Any


def watch(work: Callable[..., None], *arguments: object) -> Watched:
    """Run ``work(*arguments, report)`` in a new process until it sends its result to ``report``.

    Raises RuntimeError where it ends without one.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(*arguments, theirs))
    process.start()
    begin = time.monotonic()
    seen: list[tuple[float, int]] = []
    watched = psutil.Process(process.pid)
    while not ours.poll(SAMPLE_EVERY_S):
        if not process.is_alive():
            raise RuntimeError(f"{work.__name__} ended with exit code {process.exitcode}")
        seen.append((time.monotonic() - begin, watched.memory_info().rss))
    result = ours.recv()
    process.join()
    # In a run that is shorter than two minutes the first half counts as the first minute.
    settled_s = min(FIRST_MINUTE_S, seen[-1][0] / 2)
    settled = next(memory for at, memory in seen if at >= settled_s)
    highest = max(memory for at, memory in seen if at >= settled_s)
    return Watched((highest - settled) / 1e6, max(m for _, m in seen) / 1e6, result)
