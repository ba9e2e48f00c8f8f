"""Clip marks say which clip of a track sounds where."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from riffusion.jam.session import ClipMark

MAX_MARKS = 20_000


@dataclass
class ClipMarks:
    """The marks of a track in the order of their start samples; the oldest are dropped."""

    marks: deque[ClipMark] = field(default_factory=lambda: deque(maxlen=MAX_MARKS))

    def add(self, mark: ClipMark) -> bool:
        """Add a mark in place of those from its start sample on.

        Returns whether the mark was new.
        """
        if self.marks and self.marks[-1] == mark:
            return False
        while self.marks and self.marks[-1].start_sample >= mark.start_sample:
            self.marks.pop()
        self.marks.append(mark)
        return True

    def at(self, sample: int) -> ClipMark | None:
        """Return the clip that sounds at an absolute sample."""
        return next((m for m in reversed(self.marks) if m.start_sample <= sample), None)

    def since(self, sample: int) -> list[ClipMark]:
        """Return the clips that sound at an absolute sample and after it."""
        found: list[ClipMark] = []
        for mark in reversed(self.marks):
            found.append(mark)
            if mark.start_sample <= sample:
                break
        return found[::-1]
