"""Music as an engine draws it, with the sound it stands for.

An engine draws smoother than the spectrogram of any sound is, and a vocoder that has only seen
those of sound takes that for other music. But of what an engine makes out of nothing no sound is
known. So windows of recordings are re-noised, by so little that they stay the same music, and the
engine denoises them again: its drawing, their sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from riffusion.audio.progress import progress
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams
from riffusion.training.vocoder.data import Recordings, make_lesson, samples_under

# How far windows are re-noised: from hardly at all to where single hits begin to differ.
STRENGTHS = (0.05, 0.5)
MAX_STEPS = 2
# Led by no prompt, an engine draws what it takes a window for: guidance 0 does not read this one.
NOBODY = "music"


@dataclass(frozen=True)
class Redrawn:
    """Where a window of sound is, file and first sample, and how an engine drew it: base-10 mel
    levels, float16 (2, mel, frames)."""

    path: Path
    start: int
    levels: torch.Tensor


class GeneratedWindows:
    """Windows of recordings, each as an engine draws it again; made once, cut at random."""

    def __init__(
        self, recordings: Recordings, engine: Engine, count: int, rng: np.random.Generator
    ) -> None:
        self._params, self._recordings = engine.params, recordings
        self._windows: list[Redrawn] = []
        length_s = engine.frames * engine.params.frame_s
        with progress("generated windows", count * length_s) as advance:
            for _ in range(count):
                samples = samples_under(engine.frames, engine.params)
                path, start = recordings.place(rng, samples)
                sound = torch.from_numpy(recordings.read(path, start, samples))
                flat = torch.zeros(1, engine.params.mel_bands)
                levels = make_lesson(sound[None], flat, engine.params).levels[0]
                drawn = redraw(
                    engine,
                    Spectrogram(10**levels, engine.params),
                    float(rng.uniform(*STRENGTHS)),
                    int(rng.integers(1, MAX_STEPS + 1)),
                    int(rng.integers(2**31)),
                )
                self._windows.append(Redrawn(path, start, log_mel(drawn.magnitudes).half()))
                advance(length_s)

    def batch(
        self, rng: np.random.Generator, size: int, frames: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops of ``frames`` frames: their sound (size, 2, samples), and the levels that were
        drawn for it (size, 2, mel, frames)."""
        sounds, levels = [], []
        samples, hop = samples_under(frames, self._params), self._params.hop_length
        for pick in rng.integers(len(self._windows), size=size):
            window = self._windows[pick]
            first = int(rng.integers(window.levels.shape[-1] - frames + 1))
            sounds.append(self._recordings.read(window.path, window.start + first * hop, samples))
            levels.append(window.levels[..., first : first + frames].float())
        return torch.from_numpy(np.stack(sounds)), torch.stack(levels)


def redraw(
    engine: Engine, spectrogram: Spectrogram, strength: float, steps: int, seed: int
) -> Spectrogram:
    """As ``engine`` draws a window, as long as it draws them, after re-noising by ``strength``."""
    prompt = Prompt(NOBODY, seed)
    request = ClipRequest(
        prompt, prompt, anchor=spectrogram, strength=strength, guidance=0.0, steps=steps
    )
    return engine.generate([request])[0]


def check_engine(engine: Engine, params: SpectrogramParams) -> None:
    """Raise InvalidInput where ``engine`` does not draw what a vocoder of ``params`` reads."""
    if engine.params != params or engine.channels != 2:
        what = f"{engine.name}: {engine.channels} channels, {engine.params}"
        raise InvalidInput("generated", what, f"needs an engine with two channels and {params}")
