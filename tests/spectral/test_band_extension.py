"""What is added above an image's range: only there, in proportion, and the same block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform, read_audio
from riffusion.cli.main import main
from riffusion.spectral.band_extension import extend_band, extended_blocks
from riffusion.spectral.image import audio_to_image, image_to_audio, write_image

RATE = 44100
EDGE_HZ = 10000.0


def sloping_noise(samples: int, dB_per_octave: float = -12.0, seed: int = 0) -> Waveform:
    """Stereo noise that falls evenly from 1 kHz on, ends at 10 kHz, and fades in and out."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((2, samples)), axis=1)
    hz = np.fft.rfftfreq(samples, 1 / RATE)
    gain = 10 ** (dB_per_octave / 20 * np.log2(np.maximum(hz, 1000) / 1000))
    noise = np.fft.irfft(spectrum * gain * (hz < EDGE_HZ), samples, axis=1)
    noise *= np.minimum(1.0, 8 * np.hanning(samples))
    return Waveform((0.1 * noise).astype(np.float32), RATE)


def band_db(sound: Waveform, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(sound.samples, axis=1)) ** 2
    hz = np.fft.rfftfreq(sound.samples.shape[1], 1 / RATE)
    return float(10 * np.log10(power[:, (hz >= low_hz) & (hz < high_hz)].mean() + 1e-12))


@pytest.mark.parametrize("slope", [-6.0, -12.0, -24.0])
def test_the_envelope_goes_on_as_steeply_as_it_fell(slope: float) -> None:
    extended = extend_band(sloping_noise(3 * RATE, slope), EDGE_HZ)
    fall = band_db(extended, 14000, 16000) - band_db(extended, 7000, 8000)
    assert fall == pytest.approx(slope, abs=2.5)


def test_what_lies_below_the_edge_stays() -> None:
    sound = sloping_noise(RATE)
    extended = extend_band(sound, EDGE_HZ)
    added = Waveform(extended.samples - sound.samples, RATE)
    assert band_db(added, 0, 9800) < band_db(sound, 0, 9800) - 60
    assert band_db(added, 20200, RATE / 2) < band_db(added, 15000, 20000) - 40


def test_an_attack_stays_where_it_was() -> None:
    sound = sloping_noise(RATE)
    sound.samples[:, : RATE // 2] = 0.0
    added = extend_band(sound, EDGE_HZ).samples - sound.samples
    power = np.square(added).mean(axis=0)
    # One frame of 2048 samples may spread before it.
    assert power[: RATE // 2 - 2048].max() < 1e-12
    assert power[: RATE // 2].sum() < 0.02 * power.sum()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 6000), min_size=1, max_size=6))
def test_stream_equals_batch(sizes: list[int]) -> None:
    sound = sloping_noise(max(2, sum(sizes)))
    cuts = np.split(sound.samples, np.cumsum(sizes)[:-1], axis=1)
    pieces = np.concatenate(list(extended_blocks(cuts, RATE, EDGE_HZ)), axis=1)
    assert pieces.shape == sound.samples.shape
    assert np.allclose(pieces, extend_band(sound, EDGE_HZ).samples, atol=1e-6)


def test_silence_and_a_full_band_stay_as_they_are() -> None:
    silence = Waveform(np.zeros((1, 5000), np.float32), RATE)
    assert not extend_band(silence, EDGE_HZ).samples.any()
    sound = sloping_noise(5000)
    assert np.array_equal(extend_band(sound, 20000.0).samples, sound.samples)
    low = Waveform(sound.samples, 16000)
    assert np.array_equal(extend_band(low, 8000.0).samples, low.samples)


def test_images_are_extended_only_when_asked(tmp_path: Path) -> None:
    image = audio_to_image(sloping_noise(RATE))
    plain, extended = image_to_audio(image), image_to_audio(image, extended=True)
    assert band_db(plain, 11000, 20000) < band_db(extended, 11000, 20000) - 30
    write_image(image, tmp_path / "image.png")
    arguments = ["image-to-audio", "--image", str(tmp_path / "image.png"), "--audio"]
    assert main([*arguments, str(tmp_path / "plain.flac")]) == 0
    assert main([*arguments, str(tmp_path / "extended.flac"), "--extend-band"]) == 0
    for name, sound in (("plain", plain), ("extended", extended)):
        written = read_audio(tmp_path / f"{name}.flac").samples
        assert np.allclose(written, sound.samples, atol=1e-4)
