"""Conditioning features: lead sheets and controls as the numbers that the network is given."""

from __future__ import annotations

import numpy as np
import torch

from riffusion.engines.clip import Controls, LeadSheet
from riffusion.engines.compact.network import BEAT_KNOWN, CHORDS, LEAD_SHEET_DIM, TURNS
from riffusion.errors import InvalidInput


def lead_sheet_features(sheet: LeadSheet | None, frames: int) -> torch.Tensor:
    """Return a lead sheet as float32 (frames, 17).

    The columns are cosine and sine of the beat phase, cosine and sine of the bar phase, a flag
    that the beat is known, and twelve pitch classes. All are 0 without a sheet. Raises
    InvalidInput when the sheet is not ``frames`` frames long.
    """
    features = torch.zeros(frames, LEAD_SHEET_DIM)
    if sheet is None:
        return features
    if sheet.frames != frames:
        raise InvalidInput("lead sheet", f"{sheet.frames} frames", f"needs {frames} frames")
    phases = 2 * np.pi * np.stack([sheet.beats, sheet.beats / sheet.beats_per_bar])
    waves = np.stack([np.cos(phases), np.sin(phases)], 1).reshape(4, -1)
    features[:, TURNS] = torch.from_numpy(waves.T.astype(np.float32))
    features[:, BEAT_KNOWN] = 1.0
    features[:, CHORDS] = torch.from_numpy(np.array(sheet.chroma, np.float32))
    return features


def control_features(controls: Controls) -> torch.Tensor:
    """Return controls as float32 (6,).

    The values are density, brightness and drums (0 where unknown), then three known flags.
    """
    values = (controls.density, controls.brightness, controls.drums)
    numbers = [v or 0.0 for v in values] + [float(v is not None) for v in values]
    return torch.tensor(numbers, dtype=torch.float32)
