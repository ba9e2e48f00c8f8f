"""Blocks are what a jam gives out: samples with their place in the track and the clip they are of.

A clip mark says what a clip plays and where it begins; its fields are those of the messages that
the page and other clients receive.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from riffusion.jam.clip_window import BEAT_DIGITS, ClipWindow
from riffusion.jam.timeline import Segment

Samples = npt.NDArray[np.float32]

# Some days of clips: the marks of an endless track stay small.
MAX_MARKS = 20_000


@dataclass(frozen=True)
class ClipMark:
    """A clip that sounds from sample ``start_sample`` on, which is beat ``beat`` of bar ``bar``.

    ``index`` counts the clips of the jam from 0, ``beat`` the beats of the bar; it has a fraction
    where a change lands between two. ``alpha`` is the position on the walk from prompt A (0) to
    prompt B (1), the two of all prompts that it walks between. ``bpm`` is the tempo in the middle
    of its bars. ``chords`` are the names of the chords of the bars that it sounds in, one a bar;
    there are none in the recording that a jam goes on from, whose bars are below 0. ``others`` are
    the prompts that sound together with the two.
    """

    index: int
    start_sample: int
    bar: int
    prompt_a: str
    prompt_b: str
    seed_a: int
    seed_b: int
    alpha: float
    bpm: float
    beats_per_bar: int
    key: str
    chords: tuple[str, ...]
    others: tuple[str, ...] = field(default=(), kw_only=True)
    beat: float = field(default=0.0, kw_only=True)


@dataclass(frozen=True)
class JamBlock:
    """Float32 ``samples`` (channels, n) from absolute sample ``start`` on, all of one ``clip``."""

    start: int
    samples: Samples
    clip: ClipMark


class ClipMarks:
    """The marks of the clips of a track, in order; at most the newest ``max_marks`` of them."""

    def __init__(self, max_marks: int = MAX_MARKS) -> None:
        self._marks: list[ClipMark] = []
        self._max_marks = max_marks

    @property
    def next_index(self) -> int:
        """The index of the clip after the last one."""
        return self._marks[-1].index + 1 if self._marks else 0

    def add(self, mark: ClipMark) -> bool:
        """Append a mark, and return whether it is a new one.

        It replaces those that begin where it begins, or later.
        """
        if self._marks and self._marks[-1] == mark:
            return False
        self.cut(mark.start_sample)
        self._marks.append(mark)
        del self._marks[: -self._max_marks]
        return True

    def at(self, sample: int) -> ClipMark | None:
        """Return the mark of the clip that sounds at ``sample``."""
        count = self._count_until(sample)
        return self._marks[count - 1] if count else None

    def since(self, sample: int) -> list[ClipMark]:
        """Return the mark of the clip that sounds at ``sample``, and all that follow."""
        return self._marks[max(0, self._count_until(sample) - 1) :]

    def cut(self, sample: int) -> None:
        """Drop the marks of clips that begin at or after ``sample``."""
        del self._marks[self._count_until(sample - 1) :]

    def forget(self, sample: int) -> None:
        """Drop the marks of clips that begin before ``sample``."""
        del self._marks[: self._count_until(sample - 1)]

    def _count_until(self, sample: int) -> int:
        """Return how many clips have begun at ``sample``."""
        return bisect_right(self._marks, sample, key=lambda mark: mark.start_sample)


def mark_opening(segment: Segment, samples: int) -> ClipMark:
    """Return the mark of a recording of ``samples`` samples, from which the jam goes on.

    ``segment`` is the first one of the jam.
    """
    return _mark(
        segment,
        segment.bar,
        index=0,
        start_sample=0,
        bar=-math.ceil(samples / segment.grid.bar_samples),
        bpm=segment.settings.bpm,
        chords=(),
    )


def mark_clip(segment: Segment, window: ClipWindow, index: int) -> ClipMark:
    """Return the mark of clip ``index``, which plays ``window`` under the settings of a segment."""
    bars = range(math.floor(window.bar), math.ceil(window.stop_bar))
    beat = (window.bar - bars[0]) * segment.grid.beats_per_bar
    return _mark(
        segment,
        window.bar,
        index=index,
        start_sample=window.start,
        bar=bars[0],
        beat=round(beat, BEAT_DIGITS),
        bpm=window.bpm,
        chords=tuple(segment.chord(bar).name for bar in bars),
    )


def _mark(segment: Segment, place: float, **known: Any) -> ClipMark:
    """Return a mark with the settings and prompts of a segment at a place, in bars."""
    settings, blend = segment.settings, segment.blend(place)
    return ClipMark(
        prompt_a=blend.start.text,
        prompt_b=blend.end.text,
        seed_a=blend.start.seed,
        seed_b=blend.end.seed,
        alpha=blend.alpha,
        beats_per_bar=settings.beats_per_bar,
        key=settings.key,
        others=tuple(other.prompt.text for other in blend.others),
        **known,
    )
