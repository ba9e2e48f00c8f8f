"""The engine protocol: the one interface between the music and the models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from riffusion.engines.clip import ClipRequest
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams
from riffusion.vocoder.protocol import Vocoder


class Interrupted(Exception):
    """The caller no longer needs a clip, and its generation stopped between two steps."""


def never() -> bool:
    """Return False: nothing interrupts."""
    return False


class Engine(Protocol):
    """The interface of everything that turns prompts into mel spectrograms.

    Attributes
    ----------
    name : str
        Identifies the engine and its weights. It is written into sessions and images.
    params : SpectrogramParams
        The time and frequency grid of the spectrograms.
    channels, frames : int
        The shape of a clip: (channels, ``params.mel_bands``, frames).
    context_step : int
        The length of a context must be a multiple of so many frames.
    vocoder : Vocoder
        Turns the spectrograms of this engine into samples.
    live_vocoder : Vocoder
        Turns clips of quality "live" into samples; the same where there is only one.

    Examples
    --------
    A function that takes any engine:

    >>> import riffusion
    >>> def window_s(engine: riffusion.Engine) -> float:
    ...     return engine.frames * engine.params.frame_s
    >>> round(window_s(riffusion.load_engine(device="cpu")), 2)
    5.12
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

    @property
    def live_vocoder(self) -> Vocoder: ...

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate one clip for each request.

        The same request gives the same bits on the same machine, alone or in a batch.

        Parameters
        ----------
        requests : sequence of ClipRequest
            The clips to generate.
        interrupted : callable
            Asked before each step of the denoiser whether to give up.

        Returns
        -------
        list of Spectrogram
            Magnitudes, float32 (channels, mel, frames), in the order of the requests. The frames
            of a context come back unchanged.

        Raises
        ------
        Interrupted
            When ``interrupted`` returned True.
        InvalidInput
            When a context, anchor, mask or lead sheet does not fit the engine's shape or grid.
        """
        ...


class EngineWrapper:
    """An engine that passes everything on to another one.

    Subclasses override ``generate`` to do something before or after a clip.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name, self.params = engine.name, engine.params
        self.channels, self.frames = engine.channels, engine.frames
        self.context_step = engine.context_step
        self.vocoder, self.live_vocoder = engine.vocoder, engine.live_vocoder

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate clips with the wrapped engine. See ``Engine.generate``."""
        return self.engine.generate(requests, interrupted=interrupted)
