"""The dynamics of a jam: arcs over many bars, drops of the drums, and fills."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from riffusion.engines.clip import Controls
from riffusion.jam.settings import JamSettings

USUAL = 0.5  # what density and brightness move around where they are left to the prompt
DEPTH = 0.6  # how far they move in all
FILL_DENSITY = 0.3
# Under this level of an arc, drums that are left to the prompt are silent.
QUIET = 0.25


@dataclass(frozen=True)
class Dynamics:
    """What moves the controls of a jam: an arc began at bar ``arc_bar``.

    The drums are left out from bar ``drop_from`` up to bar ``drop_until``, and a fill is played
    from ``fill_from`` up to ``fill_until``.
    """

    arc_bar: int
    drop_from: float = 0.0
    drop_until: int = 0
    fill_from: float = 0.0
    fill_until: int = 0

    @classmethod
    def start(cls, settings: JamSettings, bar: int) -> Dynamics:
        """Return the dynamics of a jam's first settings, whose arc begins at ``bar``."""
        return cls(bar).changed(0, settings, settings)

    def changed(self, bar: float, before: JamSettings, settings: JamSettings) -> Dynamics:
        """Return the dynamics after a change of settings at ``bar``.

        A drop lasts as many whole bars as were asked for; a fill ends on a bar line.
        """
        moved = self
        if (before.arc, before.arc_bars) != (settings.arc, settings.arc_bars):
            moved = replace(moved, arc_bar=math.ceil(bar))
        if settings.drop:
            moved = replace(moved, drop_from=bar, drop_until=math.ceil(bar) + settings.drop)
        if settings.fill:
            moved = replace(moved, fill_from=bar, fill_until=math.floor(bar) + settings.fill)
        return moved

    def controls(
        self, settings: JamSettings, bar: float, heard_bar: float | None = None
    ) -> Controls:
        """Return the controls of a clip that begins at ``bar``.

        Its arc stands where it stood in ``heard_bar``, which is another bar while a loop is held.
        """
        controls = self._arc_controls(settings, bar if heard_bar is None else heard_bar)
        if self.fill_from <= bar < self.fill_until:
            controls = fill_controls(controls)
        if self.drop_from <= bar < self.drop_until:
            controls = replace(controls, drums=0.0)
        return controls

    def next_turn(self, settings: JamSettings, bar: float, heard_bar: float | None = None) -> float:
        """Return the first bar after ``bar`` where a drop or a fill begins or ends.

        The arc stands at ``bar`` where it stood in ``heard_bar``.
        """
        turns = self._turns(settings, bar, bar if heard_bar is None else heard_bar)
        return min((turn for turn in turns if turn > bar), default=math.inf)

    def _turns(self, settings: JamSettings, bar: float, heard_bar: float) -> Iterator[float]:
        yield from (self.drop_from, self.drop_until, self.fill_from, self.fill_until)
        if settings.arc != "none":
            bars = int(settings.arc_bars)
            # It ends on a bar line, to the last digit.
            end = round(bar + bars - (heard_bar - self.arc_bar) % bars)
            yield from (end - 1, end)

    def _arc_controls(self, settings: JamSettings, bar: float) -> Controls:
        if settings.arc == "none":
            return settings.controls
        bars = int(settings.arc_bars)
        phase = (bar - self.arc_bar) % bars
        level = arc_level(settings.arc, phase / bars)
        controls = move_controls(settings.controls, level)
        return fill_controls(controls) if phase >= bars - 1 else controls


def arc_level(arc: str, phase: float) -> float:
    """Return the level, 0 to 1, of an arc at ``phase``, 0 (its beginning) to 1 (its end).

    "breathe" rises to the middle and falls again; "build" rises to the end.
    """
    return 0.5 - 0.5 * math.cos(2 * math.pi * phase) if arc == "breathe" else phase


def move_controls(controls: Controls, level: float) -> Controls:
    """Return the controls at a level of an arc: at 0.5 they are as they were.

    Drums that are left to the prompt are silent at the lowest levels, and no louder than the prompt
    has them at others, so that an arc brings no drums where there are none.
    """

    def move(value: float | None) -> float:
        return min(1.0, max(0.0, (USUAL if value is None else value) + DEPTH * (level - 0.5)))

    quiet = 0.0 if level < QUIET else None
    drums = quiet if controls.drums is None else move(controls.drums)
    return Controls(move(controls.density), move(controls.brightness), drums)


def fill_controls(controls: Controls) -> Controls:
    """Return the controls of a fill: full drums and a higher density."""
    density = USUAL if controls.density is None else controls.density
    return replace(controls, drums=1.0, density=min(1.0, density + FILL_DENSITY))
