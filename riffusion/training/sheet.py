"""A sheet of sample spectrograms: how a model in training is doing, at a glance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from riffusion.clip import ClipRequest, LeadSheet, Prompt
from riffusion.engines.compact import CompactEngine
from riffusion.engines.mel_image import log_mel
from riffusion.harmony import progression

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


def draw_sheet(model: Path, path: Path) -> None:
    """Generate one clip a prompt with the model in a folder and write them as one PNG."""
    engine = CompactEngine.load(model)
    sheet = _lead_sheet(engine.frames)
    requests = [
        ClipRequest(Prompt(text, 1), Prompt(text, 1), bpm=BPM, lead_sheet=sheet) for text in PROMPTS
    ]
    tiles = [_tile(clip.magnitudes.mean(0)) for clip in engine.generate(requests)]
    rows = [np.hstack(tiles[at : at + COLUMNS]) for at in range(0, len(tiles), COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(path)


def _lead_sheet(frames: int) -> LeadSheet:
    beats = np.arange(frames) * 0.01 * BPM / 60
    chords = np.stack([chord.chroma() for chord in progression("Cm")])
    return LeadSheet(beats, 4, chords[(beats / 4).astype(int) % len(chords)])


def _tile(magnitudes: torch.Tensor) -> npt.NDArray[np.uint8]:
    scaled = (log_mel(magnitudes) - QUIET) / (LOUD - QUIET)
    grey = (scaled.clamp(0, 1) * 255).flip(0).to(torch.uint8).numpy()
    return np.pad(grey, 2, constant_values=255)
