"""The one interface between music and model: requests in, spectrograms out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from riffusion.engines.clip import ClipRequest
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams
from riffusion.vocoder.protocol import Vocoder


class Interrupted(Exception):
    """A clip was given up on, because whoever asked for it does not need it any more."""


def never() -> bool:
    """Nothing interrupts."""
    return False


class Engine(Protocol):
    """Turns prompts into spectrograms.

    ``name`` identifies engine and weights (it goes into sessions and images), ``params`` is the
    grid of what it makes, ``frames`` the length of a window, and a context must be a multiple of
    ``context_step`` frames long. ``vocoder`` turns what it makes into sound.
    """

    @property
    def name(self) -> str: ...

    @property
    def params(self) -> SpectrogramParams: ...

    @property
    def channels(self) -> int: ...

    @property
    def frames(self) -> int: ...

    @property
    def context_step(self) -> int: ...

    @property
    def vocoder(self) -> Vocoder: ...

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """A batch of requests to a batch of (channels, mel, ``frames``) spectrograms.

        The same request gives the same bits on the same machine, alone or in a batch. Where a
        request has a context its frames come back unchanged. Raises ``Interrupted`` where
        ``interrupted``, which is asked before each step of the denoiser, says so.
        """
        ...


class EngineWrapper:
    """Another engine, with something to do before or after its clips: override ``generate``."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name, self.params = engine.name, engine.params
        self.channels, self.frames = engine.channels, engine.frames
        self.context_step, self.vocoder = engine.context_step, engine.vocoder

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """See ``Engine.generate``."""
        return self.engine.generate(requests, interrupted=interrupted)
