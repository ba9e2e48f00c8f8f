"""Image bytes against an implementation of the original's format written from its constants.

Nothing of ours or of torchaudio is in the reference: NumPy in double precision, frame by frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.codec import make_original_vocoder, measure_error
from riffusion.audio.waveform import Waveform
from riffusion.jam.anchors import anchor_sound, find_anchor
from riffusion.spectral.image import audio_to_image, image_to_audio

RATE = 44100
HOP, WINDOW, PADDED = (int(ms / 1000 * RATE) for ms in (10, 100, 400))
BANDS, TOP_HZ = 512, 10000.0


def reference_image(samples: Any) -> Any:
    """uint8 (512, columns, 3) of int16-scaled samples (channels, n)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)  # periodic Hann
    left = (PADDED - WINDOW) // 2
    frame_window = np.pad(window, (left, PADDED - WINDOW - left))
    bank = filter_bank()
    mels = []
    for channel in samples:
        padded = np.pad(channel, PADDED // 2, mode="reflect")
        frames = [
            bank @ np.abs(np.fft.rfft(padded[at : at + PADDED] * frame_window))
            for at in range(0, len(channel) // HOP * HOP + 1, HOP)
        ]
        mels.append(np.stack(frames, axis=1))
    loudness = (np.array(mels) / np.max(mels)) ** 0.25
    grey = (255 - 255 * loudness).astype(np.uint8)[:, ::-1]
    red_green_blue = [grey[0]] * 3 if len(grey) == 1 else [0 * grey[0], grey[0], grey[1]]
    return np.stack(red_green_blue, axis=2)


def filter_bank() -> Any:
    """Triangles (512, bins) whose corners are even on the HTK mel scale, each 1 at its peak."""
    mels = np.linspace(0, 2595 * np.log10(1 + TOP_HZ / 700), BANDS + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    bins_hz = np.linspace(0, RATE // 2, PADDED // 2 + 1)
    low, middle, high = (corners[at : BANDS + at, np.newaxis] for at in range(3))
    rising, falling = (bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle)
    return np.clip(np.minimum(rising, falling), 0, None)


def music(channels: int) -> Any:
    """A second and a quarter of decaying chords and a noise, not a whole number of columns."""
    time = np.arange(55_321) / RATE
    generator = np.random.default_rng(0)
    sides = []
    for side in range(channels):
        chord = sum(np.sin(2 * np.pi * hz * (side + 1) * time) for hz in (110.0, 277.2, 1318.5))
        sides.append(
            0.1 * chord * np.exp(-(time % 0.4) * 5) + generator.normal(0, 0.003, len(time))
        )
    return np.array(sides).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
def test_images_are_those_of_the_original_s_constants(channels: int) -> None:
    samples = music(channels)
    image = np.asarray(audio_to_image(Waveform(samples, RATE))).astype(int)
    expected = reference_image(samples.astype(np.float64) * 32768).astype(int)
    assert image.shape == expected.shape == (512, 126, 3)
    assert np.abs(image - expected).max() <= 1
    assert (image != expected).any(axis=2).mean() <= 0.01


@pytest.mark.parametrize("mono", [True, False])
def test_our_way_back_is_closer_than_the_original_s(mono: bool) -> None:
    """On one clip; ``python -m benchmarks codec`` has all of them, and the times."""
    sound = anchor_sound(find_anchor("night_drive"))
    sound = Waveform(sound.samples[:, : 2 * RATE], RATE)
    sound = sound.mono() if mono else sound
    image = audio_to_image(sound)
    ours, original = (image_to_audio(image), make_original_vocoder()(image))
    assert measure_error(sound, ours) < 0.95 * measure_error(sound, original)
