"""What an evaluation asks a model for, and the clips it answers with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from riffusion.clip import ClipRequest, Controls, LeadSheet, Prompt
from riffusion.engines.base import Engine
from riffusion.engines.mel_image import log_mel
from riffusion.harmony import parse_key, progression
from riffusion.progress import progress
from riffusion.spectrogram import Spectrogram
from riffusion.training.dataset import FloatArray

TEMPI = (84, 92, 100, 108, 116, 124, 132, 140)
KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True)
class Asked:
    """One request of an evaluation. ``right`` names the styles or instruments that would do."""

    prompt: str
    right: tuple[str, ...]
    seed: int
    bpm: float
    key: str
    controls: Controls = field(default_factory=Controls)

    def request(self, engine: Engine) -> ClipRequest:
        """As the engine is asked: four chords of the key, one a bar."""
        prompt = Prompt(self.prompt, self.seed)
        return ClipRequest(
            prompt, prompt, bpm=self.bpm, lead_sheet=self.lead_sheet(engine), controls=self.controls
        )

    def lead_sheet(self, engine: Engine) -> LeadSheet:
        chords = np.stack([chord.chroma() for chord in progression(self.key)])
        beats = np.arange(engine.frames) * engine.params.frame_s * self.bpm / 60
        return LeadSheet(beats, 4, chords[(beats / 4).astype(int) % len(chords)])

    @property
    def tonic(self) -> tuple[int, str]:
        """What ``sounding_key`` should find."""
        key = parse_key(self.key)
        return key.tonic, key.mode


@dataclass(frozen=True)
class Sample:
    """A clip and what was asked for."""

    asked: Asked
    clip: Spectrogram
    chroma: FloatArray

    @property
    def levels(self) -> FloatArray:
        """Log-mel, (frames, channels, bands)."""
        return log_mel(self.clip.magnitudes).permute(2, 0, 1).numpy()


def ask(prompts: Sequence[tuple[str, tuple[str, ...]]], seeds: int) -> list[Asked]:
    """Every prompt with ``seeds`` seeds, at tempi and in keys that have nothing to do with it."""
    pairs = [(prompt, right, n) for prompt, right in prompts for n in range(seeds)]
    return [
        Asked(
            prompt,
            right,
            1000 * seed + number,
            float(TEMPI[number * 5 % len(TEMPI)]),
            KEYS[number * 7 % 12] + ("m" if number % 2 else ""),
        )
        for number, (prompt, right, seed) in enumerate(pairs)
    ]


def with_controls(asked: Asked, name: str, values: Sequence[float]) -> list[Asked]:
    """The same request at several values of one control, all else (the seed too) equal."""
    return [replace(asked, controls=Controls(**{name: value})) for value in values]


def answers(engine: Engine, asked: Sequence[Asked], what: str) -> list[Sample]:
    """Generate a clip for each request, with a progress bar."""
    clip_s = engine.frames * engine.params.frame_s
    samples = []
    with progress(what, len(asked) * clip_s) as advance:
        for one in asked:
            request = one.request(engine)
            sheet = request.lead_sheet
            chroma = np.zeros((0, 12), np.float32) if sheet is None else sheet.chroma
            samples.append(Sample(one, engine.generate([request])[0], chroma))
            advance(clip_s)
    return samples
