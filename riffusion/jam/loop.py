"""The loop of a jam: which bars come round, how far they have turned, and what a hold repeats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from riffusion.jam.settings import JamSettings


@dataclass(frozen=True)
class Loop:
    """The bars of a loop come round from bar ``first_bar`` on, ``bars`` of them; 0 is no loop.

    In the round from ``first_bar`` on, its noise has turned by ``turn`` quarter turns, and it turns
    by ``variation`` from one round to the next. From bar ``hold_bar`` on, where it is not None, the
    round before it comes again and again as it was.
    """

    bars: int
    first_bar: int
    variation: float
    turn: float = 0.0
    hold_bar: int | None = None

    @classmethod
    def start(cls, settings: JamSettings, chords: int, chords_bar: int) -> Loop:
        """Return the loop of a jam's first settings, whose ``chords`` begin at ``chords_bar``."""
        bars = loop_bars(settings, chords)
        return cls(bars, chords_bar, settings.variation, hold_bar=0 if settings.hold else None)

    def changed(self, bar: float, settings: JamSettings, chords: int, chords_bar: int) -> Loop:
        """Return the loop that goes on from ``bar`` with other settings or chords.

        It has turned as far as it had there, and its rounds begin with those of the chords.
        """
        bars, now = loop_bars(settings, chords), math.floor(bar)
        hold_bar = math.ceil(bar) if self.hold_bar is None else self.hold_bar
        loop = replace(
            self,
            bars=bars,
            variation=settings.variation,
            hold_bar=hold_bar if settings.hold else None,
        )
        released = self.hold_bar is not None and not settings.hold
        same = (bars, settings.variation) == (self.bars, self.variation)
        if same and not released and (self.first_bar - chords_bar) % max(1, bars) == 0:
            return loop
        first_bar = now - (now - chords_bar) % max(1, bars)
        return replace(loop, first_bar=first_bar, turn=self.turn_at(now))

    def heard_bar(self, bar: float) -> float:
        """Return the bar whose music is heard in ``bar``: an earlier one while the loop is held.

        Where the jam is too young to have played all bars of the loop, it is one that was still to
        come.
        """
        if self.hold_bar is None or bar < self.hold_bar:
            return bar
        heard = self.hold_bar - self.bars + (bar - self.hold_bar) % self.bars
        return heard if heard >= 0 else heard + self.bars

    def turn_at(self, bar: int) -> float:
        """Return how far the noise of a bar has turned, in quarter turns."""
        if not self.bars:
            return self.turn
        rounds = (math.floor(self.heard_bar(bar)) - self.first_bar) // self.bars
        return self.turn + rounds * self.variation

    def place(self, bar: int) -> int:
        """Return the place of a bar in the loop, from 0."""
        return (math.floor(self.heard_bar(bar)) - self.first_bar) % max(1, self.bars)

    def next_round(self, bar: float) -> int:
        """Return the first bar at or after ``bar`` that begins a round; any bar without a loop."""
        first = math.ceil(bar)
        return first + (self.first_bar - first) % max(1, self.bars)

    def end_round(self, bar: float, most: float) -> float:
        """Return where the round of ``bar`` ends, or the last of more rounds that end by ``most``.

        Without a loop it never ends.
        """
        if not self.bars:
            return math.inf
        end = self.next_round(math.floor(bar) + 1)
        while end + self.bars <= most:
            end += self.bars
        return end

    def end_clip(self, bar: float, most: float) -> float:
        """Return the bar line with which a clip from ``bar`` on ends, at most ``most``.

        Clips end where rounds end, in parts as equal as they can be, so that each round has the
        same clips.
        """
        if not self.bars:
            return most
        first, end = math.floor(bar), self.end_round(bar, most)
        clips = math.ceil((end - first) / (most - first))
        return min(most, first + math.ceil((end - first) / clips))


def loop_bars(settings: JamSettings, chords: int) -> int:
    """Return how many bars come round: those of the ``chords``, or as many as are asked for.

    Without a loop a hold repeats the bars of the chords.
    """
    wanted = chords if settings.loop == "chords" else int(settings.loop)
    return wanted or (chords if settings.hold else 0)
