"""An engine that records what it is asked for and what it generates, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.spectral.spectrogram import Spectrogram


class RecordedEngine(EngineWrapper):
    """Another engine whose ``requests`` are recorded, and in ``generated`` with their clips."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.requests: list[ClipRequest] = []
        self.generated: list[tuple[ClipRequest, Spectrogram]] = []

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        self.requests += requests
        clips = super().generate(requests, interrupted=interrupted)
        self.generated += zip(requests, clips, strict=True)
        return clips
