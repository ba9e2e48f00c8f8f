"""A progress bar on standard error, for work that makes audio."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

QUIET_S = 1.0  # shorter work shows nothing
REDRAW_S = 0.2
REDRAW_LOG_S = 10.0  # a log file gets a line now and then instead of a redrawn one
FORMAT = (
    "{desc} {bar:24} {percentage:3.0f}%  {n:.1f} of {total:.1f} s  {rate_noinv:.1f} x real time"
)


@contextmanager
def progress(what: str, total_s: float) -> Iterator[Callable[[float], None]]:
    """Show how much of ``total_s`` seconds of audio is made, and how fast.

    Yields a function to call with the seconds just made. The last line stays on the screen, also
    when the work was interrupted.
    """
    is_screen = sys.stderr.isatty()
    with tqdm(
        desc=what,
        total=max(total_s, 1e-9),
        file=sys.stderr if is_screen else _LogLines(sys.stderr),
        bar_format=FORMAT,
        ascii=".#",
        delay=QUIET_S,
        mininterval=REDRAW_S if is_screen else REDRAW_LOG_S,
        miniters=0,
        smoothing=0,
    ) as bar:
        try:
            yield lambda seconds: _advance(bar, seconds)
        finally:
            if bar.format_dict["elapsed"] >= QUIET_S:
                bar.delay = 0  # closing now shows the last line, even where none was shown before


def _advance(bar: tqdm, seconds: float) -> None:
    """Move the bar by ``seconds``, at most to its end."""
    bar.update(min(seconds, bar.total - bar.n))


class _LogLines(io.TextIOBase):
    """Writes each state of a bar as a line of its own, where a line cannot be redrawn."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        line = text.strip("\r\n ")
        if line:
            self._stream.write(line + "\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()
