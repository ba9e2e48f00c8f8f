"""The engine is warmed up and timed while the first page loads, so that Play finds it ready."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from riffusion.engines.protocol import Engine
from riffusion.errors import RiffusionError
from riffusion.jam.session import JamSession
from riffusion.jam.setting_values import read_settings
from riffusion.jam.speed import FEW_STEPS, measure_speed
from riffusion.live.pace import Pace, pace_of
from riffusion.live.registry import JamRegistry
from riffusion.serving.uploads import UploadStore


async def warm_up(registry: JamRegistry, pace: Future[Pace]) -> None:
    """Make the first clips of the registry's engine, and set ``pace`` to what suits its speed.

    A jam that starts meanwhile takes the engine after the piece of work that is under way, and
    what is warm by then serves it; the rest comes when no jam needs the engine.
    """
    found = Pace()
    try:
        await registry.run_one_off(partial(play_first_clip, registry.engine))
        found = await registry.run_one_off(partial(first_pace, registry.engine))
    except RiffusionError:
        pass  # Jams leave no time to measure, or none can be played at all, as Play will say.
    finally:
        registry.lead_s = found.lead_s
        pace.set_result(found)


def play_first_clip(engine: Engine) -> None:
    """Make the beginning of a jam with the defaults of the page, which loads all that jams need."""
    settings = replace(read_settings({}, UploadStore()), steps=FEW_STEPS)
    JamSession(engine, settings).block()


def first_pace(engine: Engine) -> Pace:
    """Return the pace for the defaults of the page."""
    settings = read_settings({}, UploadStore())
    return pace_of(measure_speed(engine, settings), settings.steps)
