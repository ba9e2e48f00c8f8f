"""Spectrogram images: the original's pixels and tags, ours on top, and files that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from riffusion.audio.waveform import Waveform
from riffusion.engines.compact.engine import COMPACT_PARAMS as SHIPPED
from riffusion.spectral.image import (
    ImageInfo,
    audio_to_image,
    encode_image,
    from_image,
    image_to_audio,
    read_image,
    samples_to_image,
    to_image,
)
from riffusion.spectral.spectrogram import (
    RIFFUSION,
    Spectrogram,
    SpectrogramParams,
    mel_spectrogram,
)
from riffusion.spectral.tags import read_layout
from tests.images import (
    QUICK,
    SMALL,
    music,
    small_tags,
    table,
    tagged,
)


@pytest.mark.parametrize("channels", [1, 2])
def test_pixels_are_those_of_the_formula(channels: int) -> None:
    mel = mel_spectrogram(music(0.1, channels))
    image = np.asarray(to_image(mel)).astype(int)
    expected = table(mel.magnitudes.numpy())
    assert image.shape == expected.shape == (512, 11, 3)
    assert np.abs(image - expected).max() <= 1
    assert (image != expected).mean() < 0.01
    assert image[..., 1:].min() == 0, "the loudest is black"


def test_low_notes_are_at_the_bottom_and_loud_is_dark() -> None:
    magnitudes = torch.zeros(1, 20, 3)
    magnitudes[0, 0, 1] = 1.0
    magnitudes[0, 19, 2] = 1 / 16
    image = np.asarray(to_image(Spectrogram(magnitudes, SMALL)))
    assert image[19, 1].tolist() == [0, 0, 0]
    assert image[0, 2].tolist() == [127, 127, 127]
    assert image[19, 2].tolist() == [255, 255, 255]


@given(
    grey=hnp.arrays(np.uint8, st.tuples(st.integers(1, 2), st.just(20), st.integers(2, 12))),
)
@QUICK
def test_encoding_undoes_decoding(grey: Any) -> None:
    """From pixels to magnitudes and back: at most one level off, where truncation bites."""
    grey[..., 0, 0] = 0  # an image has a black pixel, in each channel here
    channels = [np.zeros_like(grey[0]), *grey] if len(grey) == 2 else [grey[0]] * 3
    first = tagged(Image.fromarray(np.stack(channels, axis=2)), small_tags(len(grey) == 2))
    spectrogram = from_image(first)
    assert spectrogram.channels == len(grey)
    again = np.asarray(to_image(spectrogram)).astype(int)
    assert np.abs(again - np.asarray(first).astype(int)).max() <= 1


@given(
    magnitudes=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 2), st.just(20), st.integers(2, 12)),
        elements=st.floats(0, 1000, width=32),
    )
)
@QUICK
def test_decoding_undoes_encoding(magnitudes: Any) -> None:
    """Up to the level an image does not keep, and one step of 255 in the fourth root."""
    magnitudes[0, 0, 0] = 1.0
    image = to_image(Spectrogram(torch.from_numpy(magnitudes), SMALL))
    decoded = from_image(image).magnitudes.numpy()
    assert decoded.shape == magnitudes.shape
    assert decoded.max() == np.float32(30e6)
    roots = (magnitudes / magnitudes.max()) ** 0.25
    decoded_roots = (decoded / np.float32(30e6)) ** 0.25
    assert np.all(decoded_roots - roots > -1e-5)
    assert np.all(decoded_roots - roots < 1 / 255 + 1e-5)


def test_silence_is_white_and_comes_back_as_silence() -> None:
    image = audio_to_image(Waveform(np.zeros((1, 4410), np.float32), 44100))
    assert np.asarray(image).min() == 255
    assert not image_to_audio(image).samples.any()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("params", [RIFFUSION, SHIPPED], ids=["riffusion", "shipped"])
def test_audio_to_image_to_audio(channels: int, params: SpectrogramParams) -> None:
    waveform = music(1.0, channels)
    image = read_image(encode_image(audio_to_image(waveform, params)))
    assert image.size == (101, params.mel_bands)
    sound = image_to_audio(image)
    assert sound.samples.shape == (channels, 44100)
    assert np.abs(sound.samples).max() == pytest.approx(32767 / 32768)
    assert np.array_equal(sound.samples, image_to_audio(image).samples)
    before = mel_spectrogram(waveform, params).magnitudes
    after = mel_spectrogram(sound, params).magnitudes
    after *= (before * after).sum() / after.square().sum()  # an image does not keep the level
    assert float((after - before).norm() / before.norm()) < 0.16
    for side in range(channels):
        spectrum = np.abs(np.fft.rfft(sound.samples[side]))
        notes = np.array([220.0, 277.2, 329.6]) * (side + 1)
        assert np.abs(notes - spectrum.argmax() / sound.duration_s).min() < 15


def test_a_jpeg_keeps_left_and_right_apart() -> None:
    sides = np.random.default_rng(0).uniform(-1, 1, (2, 22050)).astype(np.float32)
    image = audio_to_image(Waveform(sides, 44100))
    jpeg = read_image(encode_image(image, ".jpg"))
    difference = np.abs(np.asarray(jpeg).astype(int) - np.asarray(image)).mean(axis=(0, 1))
    assert np.all(difference < [1.5, 2.2, 4.0])  # twice that with colour at half resolution


def test_sound_is_resampled_and_mixed_as_asked() -> None:
    assert audio_to_image(music(1.0, rate=22050)).size == (101, 512)
    assert from_image(audio_to_image(music(0.1, 2), stereo=False)).channels == 1
    assert from_image(audio_to_image(music(0.1, 3))).channels == 1


@given(samples=st.integers(80, 45_000), channels=st.integers(1, 2))
@settings(deadline=None, max_examples=20)
def test_a_long_sound_in_pieces_gives_the_image_of_the_whole(samples: int, channels: int) -> None:
    noise = np.random.default_rng(samples).uniform(-1, 1, (channels, samples)).astype(np.float32)
    read_at_once = 0

    def read(start: int, stop: int) -> Any:
        nonlocal read_at_once
        read_at_once = max(read_at_once, stop - start)
        return noise[:, start:stop]

    info = ImageInfo(prompt_a="bells")
    long = samples_to_image(read, samples, SMALL, info)
    whole = to_image(mel_spectrogram(Waveform(noise, SMALL.sample_rate), SMALL), info)
    assert np.array_equal(np.asarray(long), np.asarray(whole))
    assert dict(long.getexif()) == dict(whole.getexif())
    assert read_at_once <= 256 * SMALL.hop_length + SMALL.win_length


def test_the_layout_of_a_plain_image_is_the_originals() -> None:
    layout = read_layout(Image.new("L", (4, 512)))
    assert (layout.params, layout.power, layout.stereo) == (RIFFUSION, 0.25, None)
    assert (layout.rows, layout.triple) == (512, False)
