"""Images of hours: the same files and sounds as short ones, in memory that does not grow."""

from __future__ import annotations

import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidImage
from riffusion.spectral.image import (
    encode_image,
    from_image,
    image_to_audio,
    read_image,
    to_image,
)
from riffusion.spectral.long_audio import long_image_to_audio
from riffusion.spectral.long_image import (
    MAX_COLUMNS,
    open_long_image,
    png_columns,
    write_sound_image,
)
from riffusion.spectral.spectrogram import SpectrogramParams, mel_spectrogram
from riffusion.spectral.tags import ImageInfo

SMALL = SpectrogramParams(
    sample_rate=8000, hop_length=80, win_length=160, n_fft=480, mel_bands=20, max_hz=4000.0
)
INFO = ImageInfo(prompt_a="bells", seed_a=7, engine="tiny")


def noise(samples: int, channels: int) -> Any:
    generator = np.random.default_rng(samples)
    return generator.uniform(-1, 1, (channels, samples)).astype(np.float32)


@given(samples=st.integers(80, 60_000), channels=st.integers(1, 2))
@settings(deadline=None, max_examples=15)
def test_the_file_holds_what_a_short_image_holds(
    tmp_path_factory: pytest.TempPathFactory, samples: int, channels: int
) -> None:
    path = tmp_path_factory.mktemp("images") / "long.png"
    sound = noise(samples, channels)
    write_sound_image(path, lambda a, b: sound[:, a:b], samples, SMALL, INFO)
    whole = to_image(mel_spectrogram(Waveform(sound, 8000), SMALL), INFO)
    image = read_image(path)
    assert np.array_equal(np.asarray(image), np.asarray(whole))
    assert dict(image.getexif()) == dict(whole.getexif())
    assert png_columns(path) == image.width
    expected = from_image(whole).magnitudes
    with open_long_image(path) as long:
        assert (long.frames, long.channels) == (image.width, channels)
        assert long.layout.params == SMALL
        for start in range(0, long.frames, 100):
            part = long.cut(start, start + 100).magnitudes
            assert bool((part == expected[..., start : start + 100]).all())


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
def test_any_png_is_read_as_pillow_reads_it(tmp_path: Path, mode: str) -> None:
    """Pillow uses all five kinds of row filters."""
    generator = np.random.default_rng(0)
    grey = generator.normal(0, 9, (512, 300)).cumsum(0).cumsum(1).astype(np.uint8)
    image = Image.fromarray(grey).convert(mode)
    image.save(tmp_path / "stranger.png")
    with open_long_image(tmp_path / "stranger.png") as long:
        assert bool((long.cut(0, 300).magnitudes == from_image(image).magnitudes).all())


@pytest.mark.parametrize("channels", [1, 2])
def test_the_sound_is_that_of_a_short_image(tmp_path: Path, channels: int) -> None:
    """2,000 frames are four blocks of Griffin-Lim."""
    seconds = np.arange(2000 * 80) / 8000
    sides = [0.4 * np.sin(2 * np.pi * hz * seconds) for hz in (440, 660)[:channels]]
    sound = np.array(sides, np.float32)
    path, audio = tmp_path / "tone.png", tmp_path / "tone.flac"
    write_sound_image(path, lambda a, b: sound[:, a:b], sound.shape[1], SMALL)
    with open_long_image(path) as long:
        assert long_image_to_audio(long, audio) == pytest.approx(20.0)
    heard, rate = soundfile.read(audio, always_2d=True)
    expected = image_to_audio(read_image(path))
    assert (heard.shape[1], rate) == (channels, 8000)
    np.testing.assert_allclose(heard.T, expected.samples, atol=2 / 32768)


def traced_peak(columns: int, path: Path) -> int:
    """Most bytes that Python and NumPy held while an image was written and read."""
    params = replace(SMALL, mel_bands=100, n_fft=960)

    def read(start: int, stop: int) -> Any:
        return np.sin(np.arange(start, stop, dtype=np.float32) * 0.05)[np.newaxis]

    tracemalloc.start()
    try:
        write_sound_image(path, read, params.samples(columns), params)
        with open_long_image(path) as image:
            for start in range(0, columns, 512):
                image.cut(start, start + 512)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    """The pixels of the longer one alone would be 6 MB."""
    short, long = (traced_peak(columns, tmp_path / "x.png") for columns in (2_000, 20_000))
    assert long - short < 1_500_000


def whole_png() -> bytes:
    return encode_image(Image.effect_noise((200, 512), 50).convert("RGB"))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no PNG"),
        (b"letters", "no PNG"),
        (whole_png()[:20], "damaged"),
        (whole_png()[:3000], "damaged"),
        (whole_png()[:-2000] + bytes(2000), "damaged"),
        (encode_image(Image.new("RGB", (50, 300))), "512 rows"),
        (encode_image(Image.new("RGB", (1, 512))), "2 to"),
    ],
)
def test_what_is_no_long_image_is_told(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(InvalidImage, match=says), open_long_image(path):
        pass


def test_a_width_of_days_and_an_interlaced_image_are_refused(tmp_path: Path) -> None:
    head = bytearray(whole_png())
    head[16:20] = (MAX_COLUMNS + 1).to_bytes(4, "big")
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
    (tmp_path / "wide.png").write_bytes(head)
    with pytest.raises(InvalidImage, match="six hours"), open_long_image(tmp_path / "wide.png"):
        pass
    with pytest.raises(InvalidImage, match="no such file"), open_long_image(tmp_path / "none.png"):
        pass
    with pytest.raises(InvalidImage, match="make several"):
        write_sound_image(tmp_path / "x.png", lambda a, b: noise(b - a, 1), 441 * MAX_COLUMNS)


@given(at=st.integers(40, 3000), noise=st.binary(min_size=1, max_size=40))
@settings(deadline=None, max_examples=60)
def test_damage_raises_nothing_but_invalid_image(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes
) -> None:
    data = whole_png()
    path = tmp_path_factory.mktemp("damaged") / "x.png"
    path.write_bytes(data[:at] + noise + data[at + len(noise) :])
    try:
        with open_long_image(path) as long:
            assert bool(long.cut(0, 10).magnitudes.isfinite().all())
    except InvalidImage:
        pass


def test_a_jpeg_of_more_than_it_holds_says_png(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match=r"write a \.png"):
        write_sound_image(tmp_path / "x.jpg", lambda a, b: noise(b - a, 1), 80 * 66_000, SMALL)
