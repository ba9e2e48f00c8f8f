"""Where the sections of a song are played: on one grid of bar lines that nothing ever leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from riffusion.music.rhythm import BarGrid
from riffusion.song.model import Section, Song


@dataclass(frozen=True)
class PlacedSection:
    """The ``index``-th section in the order of ``song``, played from bar ``bar`` of ``grid`` on.

    ``bars`` are as many as the section has, or fewer where something else cuts in. What is
    ``last`` fades out in the last bar of its section.
    """

    song: Song
    index: int
    bar: int
    bars: int
    grid: BarGrid
    last: bool = False

    @property
    def name(self) -> str:
        return self.song.order[self.index]

    @property
    def section(self) -> Section:
        return self.song.section(self.name)

    @property
    def occurrence(self) -> int:
        """How often its name comes before it in the song."""
        return self.song.order[: self.index].count(self.name)

    @property
    def following(self) -> Section | None:
        """The section that the song has after it."""
        order = self.song.order[self.index + 1 : self.index + 2]
        return self.song.section(order[0]) if order else None

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
        """The sample of its section's last bar line."""
        return self.grid.bar_sample(self.bar + self.section.bars - 1)


def places_of(song: Song, sample_rate: int) -> tuple[PlacedSection, ...]:
    """Each section of a song where it is played, from sample 0 on.

    The grid runs on through sections of one tempo, so rounding never adds up; another tempo takes
    over on the bar line of its section.
    """
    first = song.section(song.order[0])
    grid = BarGrid(sample_rate, song.bpm_of(first), song.beats_per_bar)
    return tuple(_places_from(song, 0, 0, grid))


def continued(played: Sequence[PlacedSection], song: Song, index: int) -> tuple[PlacedSection, ...]:
    """``played``, and what ``song`` has from its ``index``-th section on behind it."""
    before = played[-1]
    return (*played, *_places_from(song, index, before.bar + before.bars, before.grid))


def cut_at(places: Sequence[PlacedSection], bar: int) -> tuple[PlacedSection, ...]:
    """What of ``places`` is played before bar line ``bar``."""
    *whole, last = (place for place in places if place.bar < bar)
    return (*whole, replace(last, bars=min(last.bars, bar - last.bar)))


def place_in(song: Song, place: PlacedSection) -> int:
    """Which section of a changed song is the one that plays: the nearest of its name.

    Where there is none any more, the song goes on with what took its place.
    """
    found = [index for index, name in enumerate(song.order) if name == place.name]
    renamed = len(song.order) == len(place.song.order)
    gone = place.index if renamed else place.index - 1
    return min(found, key=lambda index: abs(index - place.index), default=gone)


def _places_from(song: Song, first: int, bar: int, grid: BarGrid) -> Iterator[PlacedSection]:
    for index, name in enumerate(song.order[first:], start=first):
        section = song.section(name)
        wanted = (song.bpm_of(section), song.beats_per_bar)
        if wanted != (grid.bpm, grid.beats_per_bar):
            grid = grid.changed(bar, *wanted)
        yield PlacedSection(song, index, bar, section.bars, grid, last=index + 1 == len(song.order))
        bar += section.bars
