"""The mel spectrogram against the formulas, written down a second time in plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform
from riffusion.engines.compact.engine import COMPACT_PARAMS as SHIPPED
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.spectral.spectrogram import (
    RIFFUSION,
    Spectrogram,
    SpectrogramParams,
    linear_magnitudes,
    mel_blocks,
    mel_spectrogram,
)

SMALL = SpectrogramParams(
    sample_rate=8000, hop_length=50, win_length=160, n_fft=480, mel_bands=20, max_hz=4000.0
)
GEOMETRIES = pytest.mark.parametrize("params", [RIFFUSION, SHIPPED], ids=["riffusion", "shipped"])


def chord(params: SpectrogramParams, seconds: float = 1.0, channels: int = 1) -> Waveform:
    """Three notes with overtones that die away, over a little noise; channels differ."""
    t = np.arange(int(seconds * params.sample_rate)) / params.sample_rate
    out = 0.002 * np.random.default_rng(0).standard_normal((channels, len(t)))
    for channel in range(channels):
        for note in (220.0, 277.2, 329.6):
            for overtone in range(1, 6):
                hz = note * overtone * (1 + channel)
                out[channel] += 0.1 / overtone * np.sin(2 * np.pi * hz * t) * np.exp(-2 * t)
    return Waveform(out.astype(np.float32), params.sample_rate)


def hz_of_mel(mel: Any, scale: str) -> Any:
    """O'Shaughnessy's formula (HTK), and Slaney's: linear below 1 kHz, logarithmic above."""
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))


def mel_of_hz(hz: float, scale: str) -> float:
    if scale == "htk":
        return float(2595 * np.log10(1 + hz / 700))
    return hz * 3 / 200 if hz < 1000 else float(15 + 27 * np.log(hz / 1000) / np.log(6.4))


def reference_bank(params: SpectrogramParams) -> Any:
    """Triangles (mel, bins) between corners evenly spaced on the mel scale."""
    low, high = (mel_of_hz(hz, params.mel_scale) for hz in (params.min_hz, params.max_hz))
    corners = hz_of_mel(np.linspace(low, high, params.mel_bands + 2), params.mel_scale)
    bins = np.linspace(0, params.sample_rate / 2, params.n_fft // 2 + 1)
    bank = []
    for left, centre, right in zip(corners, corners[1:], corners[2:], strict=False):
        rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
        area = 2 / (right - left) if params.mel_norm == "slaney" else 1.0
        bank.append(area * np.clip(np.minimum(rising, falling), 0, None))
    return np.array(bank)


def reference_mel(samples: Any, params: SpectrogramParams) -> Any:
    """One channel, frame by frame, from the definitions."""
    half = params.n_fft // 2
    padded = np.pad(samples.astype(np.float64), half, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(params.win_length) / params.win_length)
    around = params.n_fft - params.win_length
    window = np.pad(hann, (around // 2, around - around // 2))
    starts = range(0, len(padded) - params.n_fft + 1, params.hop_length)
    stft = [np.abs(np.fft.rfft(padded[s : s + params.n_fft] * window)) for s in starts]
    return reference_bank(params) @ np.array(stft).T


@GEOMETRIES
def test_it_is_the_mel_spectrogram_of_the_definitions(params: SpectrogramParams) -> None:
    waveform = chord(params, seconds=0.5)
    mel = mel_spectrogram(waveform, params).magnitudes[0].numpy()
    expected = reference_mel(waveform.samples[0], params)
    assert mel.shape == expected.shape
    # Single precision: torchaudio computes the corners of the filters in float32.
    assert np.abs(mel - expected).max() < 2e-4 * expected.max()


@given(samples=st.integers(1, 40_000), channels=st.integers(1, 2), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_any_length_from_one_sample_has_its_frames(samples: int, channels: int, seed: int) -> None:
    noise = np.random.default_rng(seed).uniform(-1, 1, (channels, samples)).astype(np.float32)
    mel = mel_spectrogram(Waveform(noise, SMALL.sample_rate), SMALL)
    assert mel.magnitudes.shape == (channels, SMALL.mel_bands, samples // SMALL.hop_length + 1)
    # Channels do not mix, and blocks do not show: the last frames are those of the tail alone.
    alone = mel_spectrogram(Waveform(noise[-1:], SMALL.sample_rate), SMALL)
    assert torch.allclose(mel.magnitudes[-1:], alone.magnitudes, rtol=1e-4, atol=1e-5)
    cut = max(0, samples // SMALL.hop_length - 10) * SMALL.hop_length
    tail = mel_spectrogram(Waveform(noise[:, cut:], SMALL.sample_rate), SMALL)
    clear = 0 if cut == 0 else 2  # frames whose window the cut does not reach
    expected = mel.magnitudes[..., cut // SMALL.hop_length + clear :]
    assert torch.allclose(tail.magnitudes[..., clear:], expected, rtol=1e-4, atol=1e-4)


@given(samples=st.integers(1, 60_000))
@settings(deadline=None, max_examples=20)
def test_blocks_read_little_at_a_time_and_are_the_whole(samples: int) -> None:
    noise = np.random.default_rng(samples).uniform(-1, 1, (2, samples)).astype(np.float32)
    longest = 256 * SMALL.hop_length + SMALL.win_length

    def read(start: int, stop: int) -> Any:
        assert 0 <= start < stop <= samples
        assert stop - start <= longest
        return noise[:, start:stop]

    whole = mel_spectrogram(Waveform(noise, SMALL.sample_rate), SMALL)
    blocks = list(mel_blocks(read, samples, SMALL))
    assert torch.equal(torch.cat(blocks, dim=2), whole.magnitudes)


@GEOMETRIES
@pytest.mark.parametrize("hz", [110.0, 440.0, 3000.0])
def test_a_sine_lights_its_band(params: SpectrogramParams, hz: float) -> None:
    t = np.arange(params.sample_rate) / params.sample_rate
    waveform = Waveform(np.sin(2 * np.pi * hz * t)[None].astype(np.float32), params.sample_rate)
    mel = mel_spectrogram(waveform, params).magnitudes[0, :, 50]
    low, high = (mel_of_hz(edge, params.mel_scale) for edge in (params.min_hz, params.max_hz))
    band = (mel_of_hz(hz, params.mel_scale) - low) / (high - low) * (params.mel_bands + 1) - 1
    assert abs(int(mel.argmax()) - band) <= 1


@pytest.mark.parametrize(("params", "most"), [(RIFFUSION, 0.13), (SHIPPED, 0.11)])
def test_undoing_the_mel_scale_explains_the_mel_spectrogram(
    params: SpectrogramParams, most: float
) -> None:
    mel = mel_spectrogram(chord(params, channels=2), params)
    linear = linear_magnitudes(mel)
    assert linear.shape == (2, params.n_fft // 2 + 1, mel.frames)
    assert bool((linear >= 0).all())
    again = torch.from_numpy(reference_bank(params)).float() @ linear
    assert float((again - mel.magnitudes).norm() / mel.magnitudes.norm()) < most


def test_every_fourth_bin_is_every_fourth_bin() -> None:
    mel = mel_spectrogram(chord(RIFFUSION, 0.2), RIFFUSION)
    assert torch.allclose(linear_magnitudes(mel, 4), linear_magnitudes(mel)[:, ::4], rtol=1e-4)


def test_another_sample_rate_says_how_to_resample() -> None:
    with pytest.raises(InvalidAudio, match=r"\.resample\(44100\)"):
        mel_spectrogram(chord(SMALL), RIFFUSION)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hop_length": 0},
        {"hop_length": 441.0},
        {"sample_rate": True},
        {"n_fft": 10**9},
        {"mel_bands": -5},
        {"hop_length": 5000},
        {"win_length": 20000},
        {"max_hz": 30000.0},
        {"min_hz": -1.0},
        {"min_hz": 10000.0},
        {"max_hz": float("nan")},
    ],
)
def test_impossible_grids_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"use|at most"):
        SpectrogramParams(**wrong)


def test_a_spectrogram_has_three_axes_and_its_bands() -> None:
    for shape in ((512, 4), (1, 128, 4)):
        with pytest.raises(InvalidInput, match="512 mel bands"):
            Spectrogram(torch.zeros(shape), RIFFUSION)


def test_samples_and_frames_are_inverse() -> None:
    for frames in (2, 3, 512):
        assert RIFFUSION.frames(RIFFUSION.samples(frames)) == frames
    assert RIFFUSION.samples(512) / RIFFUSION.sample_rate == pytest.approx(5.11)
    assert RIFFUSION.frame_s == pytest.approx(0.01)


def test_cut_takes_frames() -> None:
    mel = Spectrogram(torch.arange(20.0).expand(1, 512, 20), RIFFUSION)
    assert mel.cut(5, 8).magnitudes[0, 0].tolist() == [5, 6, 7]
    assert (mel.cut(5, 8).frames, mel.channels) == (3, 1)
