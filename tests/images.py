"""Sounds, pixels and tags for tests of spectrogram images."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from hypothesis import settings
from PIL import Image

from riffusion.audio.waveform import Waveform
from riffusion.spectral.spectrogram import SpectrogramParams

SMALL = SpectrogramParams(
    sample_rate=8000, hop_length=80, win_length=160, n_fft=480, mel_bands=20, max_hz=4000.0
)
ORIGINAL_TAGS = {
    11000: 44100,
    11005: False,
    11010: 10,
    11020: 100,
    11030: 400,
    11040: 512,
    11050: 0,
    11060: 10000,
    11070: 0.25,
}
QUICK = settings(deadline=None, max_examples=40)


def music(seconds: float = 1.0, channels: int = 1, rate: int = 44100) -> Waveform:
    t = np.arange(int(seconds * rate)) / rate
    sides = [
        sum(0.1 * np.sin(2 * np.pi * hz * (side + 1) * t) for hz in (220.0, 277.2, 329.6))
        * np.exp(-(t % 0.5) * 3)
        for side in range(channels)
    ]
    return Waveform(np.array(sides).astype(np.float32), rate)


def levels(width: int = 32, height: int = 512) -> Any:
    """Grey levels that name their place: no two rows and no two columns are alike."""
    return (np.add.outer(np.arange(height) * 3, np.arange(width) * 7) % 256).astype(np.uint8)


def tagged(image: Image.Image, tags: dict[int, Any], form: str = "PNG") -> Image.Image:
    """``image`` as a file with EXIF ``tags``, opened by Pillow alone."""
    image.getexif().update(tags)
    buffer = io.BytesIO()
    image.save(buffer, form, exif=image.getexif())
    return Image.open(buffer)


def table(magnitudes: Any) -> Any:
    """Encoding by the original's formula, one pixel at a time, in double precision."""
    channels, bands, frames = magnitudes.shape
    out = np.zeros((bands, frames, 3), np.uint8)
    most = float(magnitudes.max())
    for band in range(bands):
        for frame in range(frames):
            pixel = [int(255 - 255 * (float(m) / most) ** 0.25) for m in magnitudes[:, band, frame]]
            out[bands - 1 - band, frame] = pixel * 3 if channels == 1 else [0, *pixel]
    return out


def small_tags(stereo: bool) -> dict[int, Any]:
    return ORIGINAL_TAGS | {
        11000: 8000,
        11005: stereo,
        11020: 20,
        11030: 60,
        11040: 20,
        11060: 4000,
    }
