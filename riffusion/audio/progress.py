"""A progress bar on standard error, for work that makes audio."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_S = 1.0  # shorter work shows nothing
REDRAW_S = 0.2
REDRAW_LOG_S = 10.0  # a log file gets a line now and then instead of a redrawn one
BAR_WIDTH = 24


def describe(what: str, made_s: float, total_s: float, elapsed_s: float) -> str:
    """One line: how far, how many seconds of audio, and how many times faster than real time."""
    done = made_s / total_s if total_s else 1.0
    bar = ("#" * round(done * BAR_WIDTH)).ljust(BAR_WIDTH, ".")
    speed = made_s / elapsed_s if elapsed_s else 0.0
    return f"{what} {bar} {done:4.0%}  {made_s:.1f} of {total_s:.1f} s  {speed:.1f} x real time"


@contextmanager
def progress(what: str, total_s: float) -> Iterator[Callable[[float], None]]:
    """Show how ``total_s`` seconds of audio get made.

    Yields a function to call with the seconds just made. The last line stays on the screen, also
    when the work was interrupted.
    """
    stream = sys.stderr
    start, end, every_s = ("\r", "", REDRAW_S) if stream.isatty() else ("", "\n", REDRAW_LOG_S)
    begin = time.perf_counter()
    made_s = 0.0
    next_draw = begin + QUIET_S

    def draw(ending: str) -> None:
        line = describe(what, made_s, total_s, time.perf_counter() - begin)
        stream.write(f"{start}{line}{ending}")
        stream.flush()

    def advance(seconds: float) -> None:
        nonlocal made_s, next_draw
        made_s = min(made_s + seconds, total_s)
        now = time.perf_counter()
        if now >= next_draw:
            draw(end)
            next_draw = now + every_s

    try:
        yield advance
    finally:
        if time.perf_counter() - begin >= QUIET_S:
            draw("\n")
