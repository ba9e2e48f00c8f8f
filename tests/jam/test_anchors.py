"""Anchors and masks come from names and files, and keep their place on an engine's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from riffusion.audio.waveform import Waveform
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidAudio, InvalidImage, InvalidInput
from riffusion.jam.anchors import (
    LEVEL_RMS,
    ORIGINALS,
    find_anchor,
    library,
    matched_to_engine,
    read_anchor,
)
from riffusion.jam.masks import SHAPES, fit_mask, image_mask, mask_picture, named_mask, read_mask
from riffusion.spectral.image import audio_to_image, to_image, write_image
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram, band_centres_hz, mel_spectrogram

RATE = 44100


def tone(hz: float, seconds: float = 6.0, rate: int = RATE, channels: int = 1) -> Waveform:
    wave = 0.9 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)
    return Waveform(np.tile(wave.astype(np.float32), (channels, 1)), rate)


def loudest_hz(spectrogram: Spectrogram) -> float:
    band = int(spectrogram.magnitudes.mean(dim=(0, 2)).argmax())
    return float(band_centres_hz(spectrogram.params)[band])


@pytest.mark.parametrize("kind", ["audio", "image", "own image", "stereo image", "jpeg"])
def test_any_file_lands_on_its_own_frequency(
    tiny_engine: Engine, tmp_path: Path, kind: str
) -> None:
    sound = tone(1000, rate=22050 if kind == "audio" else RATE, channels=1 + (kind[0] == "s"))
    path = tmp_path / ("anchor.jpg" if kind == "jpeg" else "anchor.png")
    if kind == "audio":
        path = tmp_path / "anchor.wav"
        soundfile.write(path, sound.samples.T, 22050)
    elif kind == "own image":
        write_image(to_image(mel_spectrogram(sound, tiny_engine.params)), path)
    else:
        write_image(audio_to_image(sound), path)
    anchor = read_anchor(str(path), tiny_engine)
    shape = (tiny_engine.channels, tiny_engine.params.mel_bands, tiny_engine.frames)
    assert tuple(anchor.magnitudes.shape) == shape
    assert anchor.params == tiny_engine.params
    assert loudest_hz(anchor) == pytest.approx(1000, rel=0.05)
    # The scale of samples from -1 to 1, not the original's of 16 bits.
    assert 1 < anchor.peak() < 1000


@given(seconds=st.floats(0.02, 8), channels=st.integers(1, 4), level=st.floats(1e-3, 1))
@settings(deadline=None, max_examples=15)
def test_sound_is_brought_to_the_engine_s_rate_channels_and_level(
    tiny_engine: Engine, seconds: float, channels: int, level: float
) -> None:
    quiet = tone(300, seconds, 22050, channels)
    made = matched_to_engine(Waveform(quiet.samples * np.float32(level), 22050), tiny_engine)
    assert (made.sample_rate, made.channels) == (RATE, tiny_engine.channels)
    assert np.sqrt(np.mean(made.samples**2)) == pytest.approx(LEVEL_RMS, rel=1e-3)


def test_silence_stays_silence(tiny_engine: Engine) -> None:
    made = matched_to_engine(Waveform(np.zeros((1, 1000), np.float32), RATE), tiny_engine)
    assert not made.samples.any()


def test_the_original_s_names_stand_for_ours() -> None:
    for original, ours in ORIGINALS.items():
        assert find_anchor(original).id == ours
    assert {anchor.id for anchor in library()} >= set(ORIGINALS.values())


@pytest.mark.parametrize("name", ["nope", "../soul_beat", "soul_beat.ogg/..", "", "SOUL_BEAT"])
def test_an_unknown_anchor_lists_the_known(name: str) -> None:
    with pytest.raises(InvalidInput, match="use one of soul_beat, funk_guitar"):
        find_anchor(name)


def test_files_that_are_no_anchor_are_told(tiny_engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("letters")
    (tmp_path / "x.wav").write_text("letters")
    with pytest.raises(InvalidImage, match="no image"):
        read_anchor(str(tmp_path / "x.png"), tiny_engine)
    with pytest.raises(InvalidAudio, match="not audio"):
        read_anchor(str(tmp_path / "x.wav"), tiny_engine)


# --- masks ---------------------------------------------------------------------------------------


def test_halves_are_complements_and_lie_where_they_say(tiny_engine: Engine) -> None:
    for one, other in (("left_half", "right_half"), ("lower_half", "upper_half")):
        assert np.array_equal(named_mask(one) + named_mask(other), named_mask("all"))
    assert named_mask("left_half")[:, :256].all()
    low = fit_mask(named_mask("lower_half"), tiny_engine)
    centres = band_centres_hz(tiny_engine.params)
    half_hz = band_centres_hz(RIFFUSION)[256]
    assert np.array_equal(low[:, 0] == 1, centres < half_hz * 0.9995)
    assert low.shape == (tiny_engine.params.mel_bands, tiny_engine.frames)


@pytest.mark.parametrize("name", SHAPES)
def test_a_picture_of_a_mask_is_that_mask(tiny_engine: Engine, tmp_path: Path, name: str) -> None:
    mask_picture(named_mask(name)).save(tmp_path / "mask.png")
    drawn = read_mask(str(tmp_path / "mask.png"), tiny_engine)
    assert np.array_equal(drawn, read_mask(name, tiny_engine))
    assert drawn.dtype == np.float32


def test_masks_that_cannot_be_are_told(tiny_engine: Engine) -> None:
    with pytest.raises(InvalidInput, match=r"mask size is \(512, 300\).*512 x 512"):
        image_mask(Image.new("L", (512, 300)))
    with pytest.raises(InvalidInput, match="use one of all, left_half"):
        read_mask("../all", tiny_engine)


def test_band_centres_are_the_corners_of_the_scale() -> None:
    """The scale is even on 2595 log10(1 + f / 700), as in HTK. Bins are 2.5 Hz apart."""
    top = 2595 * np.log10(1 + 10000 / 700)
    expected = 700 * (10 ** (np.linspace(0, top, 514)[1:-1] / 2595) - 1)
    assert np.abs(band_centres_hz(RIFFUSION) - expected).max() < 2.5
