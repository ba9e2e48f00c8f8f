"""Windows of music as an engine generates it, with the sound that belongs to it.

An engine generates smoother spectrograms than any sound has, and a vocoder that was trained on
those of sound only takes that for other music. But there is no sound for what an engine generates
from noise. Therefore windows of recordings are re-noised, by so little that they stay the same
music, and the engine denoises them: its output and their sound belong together.
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
from riffusion.training.vocoder.data import Recordings, count_samples, make_batch

# The strength of re-noising goes from hardly any to where single hits begin to differ.
STRENGTHS = (0.05, 0.5)
MAX_STEPS = 2
# With guidance 0 an engine does not read its prompt and generates what it takes a window for.
UNREAD_PROMPT = "music"


@dataclass(frozen=True)
class GeneratedWindow:
    """A generated window: where it lies in its sound, and what an engine generated for it.

    ``start`` is the first sample in the file; ``levels`` are base-10 mel levels, float16 (2, mel,
    frames).
    """

    path: Path
    start: int
    levels: torch.Tensor


class GeneratedWindows:
    """Windows of recordings as an engine generates them; made once, then cropped at random."""

    def __init__(
        self, recordings: Recordings, engine: Engine, count: int, rng: np.random.Generator
    ) -> None:
        """Generate ``count`` windows, with a progress bar."""
        self._params, self._recordings = engine.params, recordings
        self._windows: list[GeneratedWindow] = []
        length_s = engine.frames * engine.params.frame_s
        with progress("generated windows", count * length_s) as advance:
            for _ in range(count):
                samples = count_samples(engine.frames, engine.params)
                path, start = recordings.draw_place(rng, samples)
                sound = torch.from_numpy(recordings.read(path, start, samples))
                flat = torch.zeros(1, engine.params.mel_bands)
                levels = make_batch(sound[None], flat, engine.params).levels[0]
                clip = regenerate(
                    engine,
                    Spectrogram(10**levels, engine.params),
                    float(rng.uniform(*STRENGTHS)),
                    int(rng.integers(1, MAX_STEPS + 1)),
                    int(rng.integers(2**31)),
                )
                self._windows.append(GeneratedWindow(path, start, log_mel(clip.magnitudes).half()))
                advance(length_s)

    def draw_crops(
        self, rng: np.random.Generator, size: int, frames: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return random crops of ``frames`` frames.

        The first tensor is their sound (size, 2, samples), the second the levels that were
        generated for it (size, 2, mel, frames).
        """
        sounds, levels = [], []
        samples, hop = count_samples(frames, self._params), self._params.hop_length
        for pick in rng.integers(len(self._windows), size=size):
            window = self._windows[pick]
            first = int(rng.integers(window.levels.shape[-1] - frames + 1))
            sounds.append(self._recordings.read(window.path, window.start + first * hop, samples))
            levels.append(window.levels[..., first : first + frames].float())
        return torch.from_numpy(np.stack(sounds)), torch.stack(levels)


def regenerate(
    engine: Engine, spectrogram: Spectrogram, strength: float, steps: int, seed: int
) -> Spectrogram:
    """Return what ``engine`` generates for a window after re-noising it by ``strength``.

    The window must be as long as those of the engine.
    """
    prompt = Prompt(UNREAD_PROMPT, seed)
    request = ClipRequest(
        prompt, prompt, anchor=spectrogram, strength=strength, guidance=0.0, steps=steps
    )
    return engine.generate([request])[0]


def check_engine(engine: Engine, params: SpectrogramParams) -> None:
    """Raise InvalidInput where ``engine`` does not generate what a vocoder of ``params`` reads."""
    if engine.params != params or engine.channels != 2:
        what = f"{engine.name}: {engine.channels} channels, {engine.params}"
        raise InvalidInput("generated", what, f"needs an engine with two channels and {params}")
