"""The placement of a song says from which bar to which its sections are played, on one bar grid.

A placement is a tuple of placed sections, in order. Changes of a song while it plays are pure
functions from one placement to another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from riffusion.errors import InvalidInput
from riffusion.music.rhythm import BarGrid
from riffusion.song.model import Section, Song


@dataclass(frozen=True)
class PlacedSection:
    """The section that is ``index``-th in the order of ``song``, from bar ``bar`` of ``grid`` on.

    It has ``bars`` bars, as many as the section or fewer where another one cuts in. The ``last``
    one fades out in the last bar of its section.
    """

    song: Song
    index: int
    bar: int
    bars: int
    grid: BarGrid
    last: bool = False

    @property
    def name(self) -> str:
        """The name of the section."""
        return self.song.order[self.index]

    @property
    def section(self) -> Section:
        """The section itself."""
        return self.song.section(self.name)

    @property
    def occurrence(self) -> int:
        """The number of times that the same name comes before it in the song."""
        return self.song.order[: self.index].count(self.name)

    @property
    def following(self) -> Section | None:
        """The section after it in the song, or None at the end."""
        order = self.song.order[self.index + 1 : self.index + 2]
        return self.song.section(order[0]) if order else None

    @property
    def start_bpm(self) -> float:
        """The tempo that it begins with: with a ramp, that of the section before it."""
        return self.grid.tempo_at(self.bar)

    @property
    def start(self) -> int:
        """The sample of its first bar line."""
        return self.grid.bar_sample(self.bar)

    @property
    def stop(self) -> int:
        """The sample of the bar line after it."""
        return self.grid.bar_sample(self.bar + self.bars)

    @property
    def fade_start(self) -> int:
        """The sample of the last bar line of its section."""
        return self.grid.bar_sample(self.bar + self.section.bars - 1)


def place_sections(song: Song, sample_rate: int) -> tuple[PlacedSection, ...]:
    """Return the placement of a song from sample 0 on.

    The grid continues through sections of one tempo, so that rounding never adds up; another tempo
    takes over on the bar line of its section, or after the bars of its ramp.
    """
    first = song.section(song.order[0])
    grid = BarGrid(sample_rate, song.bpm_of(first), song.beats_of(first))
    return tuple(_place_from(song, 0, 0, grid))


def change_placement(
    placement: Sequence[PlacedSection], song: Song, jump: int | None, earliest: int
) -> tuple[PlacedSection, ...]:
    """Return the placement after a change to ``song``; bar lines before ``earliest`` do not move.

    Without a jump the section at sample ``earliest`` is played to its end and the new song follows.
    With one the section of that number in the new order begins at the next bar line. Raises
    InvalidInput for a jump to nowhere, or after the end.
    """
    number = max(0, bisect_left(placement, earliest, key=lambda placed: placed.start) - 1)
    playing, order = placement[number], song.order
    if jump is not None and not 0 <= jump < len(order):
        hint = f"the song has sections 0 to {len(order) - 1}"
        raise InvalidInput("section to jump to", jump, hint)
    if earliest > playing.stop:
        if jump is not None:
            raise InvalidInput("jump", order[jump], "comes too late: the song is over")
        return tuple(placement)
    if jump is None:
        *before, current = placement[: number + 1]
        index = follow_section(song, current) + 1
    else:
        *before, current = _cut(placement, playing.grid.next_bar(earliest))
        index = jump
    if earliest <= current.fade_start:
        current = replace(current, last=index >= len(order))
    after = _place_from(song, index, current.bar + current.bars, current.grid)
    return (*before, current, *after)


def first_difference(old: Sequence[PlacedSection], new: Sequence[PlacedSection]) -> int | None:
    """Return the bar line, as a sample, from which on two placements differ, or None."""
    for before, after in zip_longest(old, new):
        if before == after:
            continue
        if before is None or after is None:
            return (before or after).start
        if replace(before, bars=after.bars, last=after.last) != after:
            return before.start
        faded = before.fade_start if before.last != after.last else before.stop
        return min(before.stop, after.stop, faded)
    return None


def follow_section(song: Song, placed: PlacedSection) -> int:
    """Return which section of a changed song is the placed one: the nearest of its name.

    Where the name is gone, it is the section that took its place, or else the one before it.
    """
    found = [index for index, name in enumerate(song.order) if name == placed.name]
    renamed = len(song.order) == len(placed.song.order)
    gone = placed.index if renamed else placed.index - 1
    return min(found, key=lambda index: abs(index - placed.index), default=gone)


def _cut(placement: Sequence[PlacedSection], bar: int) -> tuple[PlacedSection, ...]:
    """Return the part of a placement before bar line ``bar``."""
    *whole, last = (placed for placed in placement if placed.bar < bar)
    return (*whole, replace(last, bars=min(last.bars, bar - last.bar)))


def _place_from(song: Song, first: int, bar: int, grid: BarGrid) -> Iterator[PlacedSection]:
    """Yield the sections of a song from number ``first`` on, placed from bar ``bar`` on."""
    for index, name in enumerate(song.order[first:], start=first):
        section = song.section(name)
        wanted = (song.bpm_of(section), song.beats_of(section))
        # Where a section was cut into, it may have been in the middle of its ramp.
        if wanted != (grid.bpm, grid.beats_per_bar) or bar < grid.ramp_end:
            grid = grid.changed(bar, *wanted, section.ramp_bars)
        yield PlacedSection(song, index, bar, section.bars, grid, last=index + 1 == len(song.order))
        bar += section.bars
