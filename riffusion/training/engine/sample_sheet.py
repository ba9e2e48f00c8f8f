"""A sheet of sample spectrograms and their sound, which shows how a model in training does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from riffusion.audio.waveform import Waveform, write_audio
from riffusion.engines.clip import ClipRequest, LeadSheet, Prompt
from riffusion.engines.compact.engine import CompactEngine
from riffusion.music.harmony import progression
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.log_mel import log_mel

PROMPTS = (
    "church bells",
    "electronic beats",
    "funky piano",
    "jazzy saxophone",
    "blues guitar",
    "rock",
    "bossa nova",
    "drum and bass",
)
COLUMNS = 4
BPM = 120.0
QUIET, LOUD = -4.0, 1.0


def draw_sample_sheet(model: Path, path: Path) -> None:
    """Generate a clip for each prompt with the model in a folder.

    ``path``.png shows the spectrograms beside each other, ``path``.wav has the clips one after
    another.
    """
    engine = CompactEngine.load(model)
    sheet = _make_lead_sheet(engine.frames)
    requests = [
        ClipRequest(Prompt(text, 1), Prompt(text, 1), bpm=BPM, lead_sheet=sheet) for text in PROMPTS
    ]
    clips = engine.generate(requests)
    tiles = [_draw_tile(clip.magnitudes.mean(0)) for clip in clips]
    rows = [np.hstack(tiles[at : at + COLUMNS]) for at in range(0, len(tiles), COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(path.with_suffix(".png"))
    sounds = [griffin_lim(clip, iterations=16) for clip in clips]
    samples = np.concatenate([sound.samples for sound in sounds], axis=1)
    samples /= max(1.0, float(np.abs(samples).max()))
    write_audio(Waveform(samples, engine.params.sample_rate), path.with_suffix(".wav"))


def _make_lead_sheet(frames: int) -> LeadSheet:
    beats = np.arange(frames) * 0.01 * BPM / 60
    chords = np.stack([chord.chroma() for chord in progression("Cm")])
    return LeadSheet(beats, 4, chords[(beats / 4).astype(int) % len(chords)])


def _draw_tile(magnitudes: torch.Tensor) -> npt.NDArray[np.uint8]:
    scaled = (log_mel(magnitudes) - QUIET) / (LOUD - QUIET)
    grey = (scaled.clamp(0, 1) * 255).flip(0).to(torch.uint8).numpy()
    return np.pad(grey, 2, constant_values=255)
