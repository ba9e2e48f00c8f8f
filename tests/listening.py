"""An engine that remembers what was asked of it and what it made, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.spectral.spectrogram import Spectrogram


class Listening(EngineWrapper):
    """Another engine, heard: ``requests`` as they came, and with their clips as ``heard``."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.requests: list[ClipRequest] = []
        self.heard: list[tuple[ClipRequest, Spectrogram]] = []

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        self.requests += requests
        clips = super().generate(requests, interrupted=interrupted)
        self.heard += zip(requests, clips, strict=True)
        return clips
