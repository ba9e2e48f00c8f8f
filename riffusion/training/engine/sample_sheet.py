"""Sheets of sample spectrograms, which show how a model in training does."""

from __future__ import annotations

from dataclasses import replace
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
from riffusion.training.evaluation.measures.distribution import measure_sharpness

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
COMPARED_PROMPTS = (
    *PROMPTS,
    "techno",
    "reggae",
    "heavy metal",
    "slow strings",
    "jazz trio",
    "country guitar",
    "salsa",
    "house",
    "string quartet",
    "afrobeat",
    "ambient pads",
    "solo piano",
)
COMPARED_COLUMNS = 2
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


def draw_comparison(engine: CompactEngine, path: Path) -> float:
    """Draw a clip for each of twenty prompts twice, fine and live from the same noise.

    Each row of ``path``.png has ``COMPARED_COLUMNS`` prompts, the fine clip on the left and the
    live one on the right. Returns the sharpness of the live clips over that of the fine ones.
    """
    sheet = _make_lead_sheet(engine.frames)
    pairs, sharpness = [], []
    for text in COMPARED_PROMPTS:
        asked = ClipRequest(Prompt(text, 1), Prompt(text, 1), bpm=BPM, lead_sheet=sheet)
        clips = [
            engine.generate([replace(asked, quality=quality)])[0] for quality in ("fine", "live")
        ]
        levels = [log_mel(clip.magnitudes).mean(0).T.numpy() for clip in clips]
        sharpness.append([measure_sharpness(level) for level in levels])
        pairs.append(np.hstack([_draw_tile(clip.magnitudes.mean(0)) for clip in clips]))
    starts = range(0, len(pairs), COMPARED_COLUMNS)
    rows = [np.hstack(pairs[start : start + COMPARED_COLUMNS]) for start in starts]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(path.with_suffix(".png"))
    fine, live = np.mean(sharpness, 0)
    return float(live / fine)


def _make_lead_sheet(frames: int) -> LeadSheet:
    beats = np.arange(frames) * 0.01 * BPM / 60
    chords = np.stack([chord.chroma() for chord in progression("Cm")])
    return LeadSheet(beats, 4, chords[(beats / 4).astype(int) % len(chords)])


def _draw_tile(magnitudes: torch.Tensor) -> npt.NDArray[np.uint8]:
    scaled = (log_mel(magnitudes) - QUIET) / (LOUD - QUIET)
    grey = (scaled.clamp(0, 1) * 255).flip(0).to(torch.uint8).numpy()
    return np.pad(grey, 2, constant_values=255)
