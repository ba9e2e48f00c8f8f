"""Files that are no spectrogram image are refused in words."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidAudio, InvalidImage, InvalidInput, StorageError
from riffusion.spectral import image as spectrogram_image
from riffusion.spectral.image import (
    audio_to_image,
    encode_image,
    from_image,
    read_image,
    to_image,
    write_image,
)
from riffusion.spectral.spectrogram import Spectrogram
from tests.images import (
    SMALL,
    levels,
    music,
)


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG that claims a size, whatever it holds."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


WHOLE = encode_image(Image.fromarray(levels(300)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes"),
        (b"words, not a picture", "no image we can read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image we can read"),
        (WHOLE[: len(WHOLE) // 2], "damaged or cut off"),
        (WHOLE[:40], "damaged or cut off|no image we can read"),
        (png(174_100, 512, b""), "too many pixels"),
        (png(200_000, 512, b""), "too many pixels"),
        (png(10**6, 10**6, b""), "too many pixels"),
        (png(2**31 - 1, 512, b""), "too many pixels"),
        (encode_image(Image.new("RGB", (640, 480))), "has 512 rows"),
        (encode_image(Image.new("RGB", (1, 512))), "at least two columns"),
        (encode_image(Image.new("I;16", (20, 512))), "8 bits a channel"),
    ],
)
def test_files_that_are_no_spectrogram(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "upload.png").write_bytes(data)
    with pytest.raises(InvalidImage, match=says):
        read_image(tmp_path / "upload.png")
    with pytest.raises(InvalidImage, match=says):
        read_image(data)


def test_pillows_own_limits_stay_as_they_are() -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(InvalidImage, match="too many pixels"):
        read_image(png(10**6, 10**6, b""))
    assert before == Image.MAX_IMAGE_PIXELS
    assert before is not None
    assert before > spectrogram_image.MAX_PIXELS, "or Pillow warns before we refuse"


@given(start=st.integers(8, len(WHOLE)), noise=st.binary(min_size=1, max_size=60))
@settings(deadline=None, max_examples=150)
def test_a_damaged_png_raises_nothing_but_invalid_image(start: int, noise: bytes) -> None:
    try:
        image = read_image(WHOLE[:start] + noise + WHOLE[start + len(noise) :])
    except InvalidImage:
        return
    assert from_image(image).magnitudes.isfinite().all()


def test_a_missing_file_and_a_folder_are_no_image(tmp_path: Path) -> None:
    for path in (tmp_path / "not there.png", tmp_path):
        with pytest.raises(InvalidImage, match="no such file"):
            read_image(path)


def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match=r"\.png, \.jpg"):
        write_image(audio_to_image(music(0.1)), tmp_path / "clip.xyz")


def test_a_jpeg_too_wide_says_png() -> None:
    with pytest.raises(InvalidImage, match=r"write a \.png"):
        encode_image(Image.new("L", (70_000, 8)), ".jpg")


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="choose another folder"):
        write_image(audio_to_image(music(0.1)), tmp_path / "nowhere" / "clip.png")


def test_three_channels_and_nan_do_not_make_an_image() -> None:
    with pytest.raises(InvalidInput, match="one or two"):
        to_image(Spectrogram(torch.ones(3, 20, 4), SMALL))
    with pytest.raises(InvalidInput, match="finite"):
        to_image(Spectrogram(torch.full((1, 20, 4), torch.nan), SMALL))


def test_a_sound_shorter_than_a_frame_is_refused() -> None:
    with pytest.raises(InvalidAudio, match="too short"):
        audio_to_image(Waveform(np.zeros((1, 440), np.float32), 44100))
