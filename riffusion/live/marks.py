"""Clip marks say which clip of a track sounds where."""

from __future__ import annotations

from collections import deque

from riffusion.jam.session import ClipMark

MAX_MARKS = 20_000


class ClipMarks:
    """The marks of a track in the order of their start samples; the oldest are dropped."""

    def __init__(self, max_marks: int = MAX_MARKS) -> None:
        self._marks: deque[ClipMark] = deque(maxlen=max_marks)

    def add(self, mark: ClipMark) -> bool:
        """Add a mark in place of those from its start sample on.

        Returns whether the mark was new.
        """
        if self._marks and self._marks[-1] == mark:
            return False
        while self._marks and self._marks[-1].start_sample >= mark.start_sample:
            self._marks.pop()
        self._marks.append(mark)
        return True

    def at(self, sample: int) -> ClipMark | None:
        """Return the clip that sounds at an absolute sample."""
        return next((m for m in reversed(self._marks) if m.start_sample <= sample), None)

    def since(self, sample: int) -> list[ClipMark]:
        """Return the clips that sound at an absolute sample and after it."""
        current = self.at(sample)
        first = current.start_sample if current else 0
        return [mark for mark in self._marks if mark.start_sample >= first]
