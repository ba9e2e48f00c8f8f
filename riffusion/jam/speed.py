"""Whether an engine keeps up with a jam on this machine, asked before it plays."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from riffusion.engines.protocol import Engine
from riffusion.jam.session import JamSession, bars_per_clip
from riffusion.jam.settings import JamSettings

FEW_STEPS, MORE_STEPS = 1, 3
# A first clip as slow as this is not slow because things are loaded and tuned in it.
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Speed:
    """Seconds that a clip takes, ``fixed_s`` and ``step_s`` for each step, and that it sounds."""

    fixed_s: float
    step_s: float
    sound_s: float

    def real_time_factor(self, steps: int) -> float:
        """Seconds of music a second of computing: over 1 keeps up with the listener."""
        return self.sound_s / (self.fixed_s + steps * self.step_s)

    def max_steps(self, factor: float = 1.0) -> int:
        """The most steps with which the real-time factor is at least ``factor``; 0 if none is."""
        spare_s = self.sound_s / factor - self.fixed_s
        return max(0, math.floor(spare_s / self.step_s))


def measure_speed(
    engine: Engine, settings: JamSettings, clock: Callable[[], float] = time.perf_counter
) -> Speed:
    """Time the first clip of jams with few and with more steps: generated, vocoded, mastered.

    Where one step alone takes longer than it sounds, all its time counts as the step's.
    """

    def first_clip_s(steps: int) -> float:
        session = JamSession(engine, replace(settings, steps=steps))
        start = clock()
        session.block()
        # A clip becomes sound piece by piece: all of them count.
        while session.has_pending_audio:
            session.block()
        return clock() - start

    few_s = first_clip_s(FEW_STEPS)
    if few_s < PATIENCE_S:
        few_s = first_clip_s(FEW_STEPS)
    bar_s = settings.beats_per_bar * 60.0 / settings.bpm
    sound_s = bars_per_clip(engine, settings) * bar_s
    if few_s > sound_s:
        # Too slow even so: more steps would only tell how much too slow, and take minutes.
        return Speed(0.0, few_s / FEW_STEPS, sound_s)
    more_s = first_clip_s(MORE_STEPS)
    # Where a step costs less than the clock's jitter it must still cost something.
    step_s = max((more_s - few_s) / (MORE_STEPS - FEW_STEPS), 0.01 * few_s)
    return Speed(max(0.0, few_s - FEW_STEPS * step_s), step_s, sound_s)
