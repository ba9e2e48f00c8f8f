"""Pace is how the page plays an engine that may be slower than its music.

It tells the listener beforehand, and gathers sound before it plays.
"""

from __future__ import annotations

from dataclasses import dataclass

from riffusion.jam.speed import Speed
from riffusion.live.producer import LEAD_S

# Below this factor any other work on the machine would be heard.
COMFORTABLE = 1.2
# A slow jam gathers this much sound before it begins, and again after it has run out.
GATHER_S = 20.0


@dataclass(frozen=True)
class Pace:
    """A pace says how far ahead to generate, and what to tell the listener.

    ``note`` is what a listener should know beforehand, "" for nothing; ``hold_s`` is how much sound
    is gathered before it is played, and ``lead_s`` how far ahead of the playhead to generate, in
    seconds.
    """

    note: str = ""
    hold_s: float = 0.0
    lead_s: float = LEAD_S


def pace_of(speed: Speed, steps: int) -> Pace:
    """Return the pace that suits an engine of this ``speed`` at the page's first ``steps``."""
    factor = speed.real_time_factor(steps)
    if factor >= COMFORTABLE:
        return Pace()
    fewer = speed.max_steps(COMFORTABLE)
    remedy = (
        f"With {fewer} steps or fewer (under More controls) it keeps up."
        if fewer
        else "Even one step is too slow for playing live."
    )
    note = (
        f"On this machine the model makes {factor:.2g} s of music a second at {steps} steps. "
        f"{remedy} Otherwise it plays in stretches: it gathers {GATHER_S:.0f} s before each."
    )
    return Pace(note, GATHER_S, LEAD_S + GATHER_S)
