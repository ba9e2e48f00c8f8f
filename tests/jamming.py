"""Tests build their jams here, and play them as a listener would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from riffusion.audio.mastering import Samples
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.protocol import Engine, never
from riffusion.jam.session import JamSession, render
from riffusion.jam.settings import JamSettings
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams

RATE, HOP = 44100, 441
A, B = Prompt("church bells", 1), Prompt("electronic beats", 2)
QUICK = partial(griffin_lim, iterations=1)


tempi = st.floats(60, 180)


def settings_with(**changes: Any) -> JamSettings:
    """Return the usual settings, quick to generate, with some changed."""
    return JamSettings(A, B, bpm=120.0, key="C", steps=1).changed(changes)


def jam(engine: Engine, **changes: Any) -> JamSession:
    """Return a jam with the usual settings, some of them changed, and a quick vocoder."""
    return JamSession(engine, settings_with(**changes), vocoder=QUICK)


def play(session: JamSession, samples: int, before: Samples | None = None) -> Samples:
    """Return the track up to ``samples``, of which a listener has the part ``before`` already."""
    pieces = [np.zeros((session.channels, 0), np.float32) if before is None else before]
    pieces += [block.samples for block in render(session, samples)]
    return np.concatenate(pieces, axis=1)


class Grid:
    """An engine with the sizes of the shipped one that cannot generate, for arithmetic."""

    name = "grid"
    params: SpectrogramParams = COMPACT_PARAMS
    channels = 1
    frames = 512
    context_step = 8

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        raise NotImplementedError
