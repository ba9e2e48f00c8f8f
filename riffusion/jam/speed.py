"""The speed of an engine says whether it keeps up with a jam on this machine, before one plays."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from riffusion.engines.protocol import Engine
from riffusion.jam.clip_window import mean_hop_s
from riffusion.jam.session import JamSession
from riffusion.jam.settings import JamSettings

FEW_STEPS, MORE_STEPS = 1, 3
# A first clip is slower than others, because weights are loaded and kernels tuned for it; where it
# takes this long, that is not the reason.
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Speed:
    """A clip that sounds for ``sound_s`` takes ``fixed_s`` and ``step_s`` for each step."""

    fixed_s: float
    step_s: float
    sound_s: float

    def real_time_factor(self, steps: int) -> float:
        """Return seconds of music per second of computing; over 1 the engine keeps up."""
        return self.sound_s / (self.fixed_s + steps * self.step_s)

    def max_steps(self, factor: float = 1.0) -> int:
        """Return with how many steps at most the real-time factor is ``factor``; 0 if with none."""
        spare_s = self.sound_s / factor - self.fixed_s
        return max(0, math.floor(spare_s / self.step_s))


def measure_speed(
    engine: Engine, settings: JamSettings, clock: Callable[[], float] = time.perf_counter
) -> Speed:
    """Time the first clip of jams with few and with more steps: generated, vocoded and mastered.

    Where a clip of one step takes longer than it sounds, all of its time counts as the step's.

    Parameters
    ----------
    engine : Engine
        The engine to time.
    settings : JamSettings
        The jam that it should keep up with. Its number of steps does not matter.
    clock : callable
        Returns the time in seconds.

    Raises
    ------
    InvalidInput
        If the engine cannot play these settings.

    Examples
    --------
    >>> import riffusion
    >>> bells = riffusion.Prompt("church bells")
    >>> engine = riffusion.load_engine(device="cpu")
    >>> speed = riffusion.measure_speed(engine, riffusion.JamSettings(bells, bells))
    >>> speed.real_time_factor(steps=8) > 0  # seconds of music per second of computing
    True
    """

    def first_clip_s(steps: int) -> float:
        session = JamSession(engine, replace(settings, steps=steps))
        start = clock()
        first = session.block().clip
        # A clip is vocoded piece by piece, and all pieces count.
        while session.has_pending_audio and session.block().clip == first:
            pass
        return clock() - start

    few_s = first_clip_s(FEW_STEPS)
    if few_s < PATIENCE_S:
        few_s = first_clip_s(FEW_STEPS)
    sound_s = mean_hop_s(engine, settings)
    if few_s > sound_s:
        # It is too slow already: timing more steps would take minutes and not change that.
        return Speed(0.0, few_s / FEW_STEPS, sound_s)
    more_s = first_clip_s(MORE_STEPS)
    # A step must cost something, also where it costs less than the jitter of the clock.
    step_s = max((more_s - few_s) / (MORE_STEPS - FEW_STEPS), 0.01 * few_s)
    return Speed(max(0.0, few_s - FEW_STEPS * step_s), step_s, sound_s)
