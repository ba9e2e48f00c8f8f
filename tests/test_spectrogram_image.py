"""Spectrogram images: the original's pixels and tags, ours on top, and files that are none."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from riffusion import spectrogram_image
from riffusion.errors import InvalidAudio, InvalidImage, InvalidInput, StorageError
from riffusion.image_tags import IMAGE_DESCRIPTION, Tag, read_layout
from riffusion.spectrogram import RIFFUSION, Spectrogram, SpectrogramParams, mel_spectrogram
from riffusion.spectrogram_image import (
    ImageInfo,
    audio_to_image,
    encode_image,
    from_image,
    image_of_samples,
    image_to_audio,
    read_image,
    read_info,
    to_image,
    write_image,
)
from riffusion.waveform import Waveform

SHIPPED = SpectrogramParams(
    win_length=2048,
    n_fft=2048,
    mel_bands=128,
    min_hz=20.0,
    max_hz=16000.0,
    mel_scale="slaney",
    mel_norm="slaney",
)
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


# --- the original's pixels -----------------------------------------------------------------------


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


def small_tags(stereo: bool) -> dict[int, Any]:
    return ORIGINAL_TAGS | {
        11000: 8000,
        11005: stereo,
        11020: 20,
        11030: 60,
        11040: 20,
        11060: 4000,
    }


def test_silence_is_white_and_comes_back_as_silence() -> None:
    image = audio_to_image(Waveform(np.zeros((1, 4410), np.float32), 44100))
    assert np.asarray(image).min() == 255
    assert not image_to_audio(image).samples.any()


# --- the original's tags -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_files_carry_the_originals_tags(tmp_path: Path, suffix: str) -> None:
    mel = mel_spectrogram(music(0.1, channels=2))
    write_image(to_image(mel), tmp_path / f"clip{suffix}")
    with Image.open(tmp_path / f"clip{suffix}") as image:
        tags = image.getexif()
    for tag, value in ORIGINAL_TAGS.items():
        assert tags[tag] == (True if tag == 11005 else value)
        assert isinstance(tags[tag], float if tag == 11070 else int)
    assert tags[11080] == pytest.approx(float(mel.magnitudes.max()) * 32768)


def test_a_png_has_an_exif_chunk_of_its_own() -> None:
    assert b"eXIf" in encode_image(audio_to_image(music(0.1)))


@given(
    rate=st.sampled_from([8000, 22050, 44100, 48000, 96000]),
    hop=st.integers(1, 700),
    window=st.integers(700, 5000),
    padding=st.integers(0, 5000),
    min_hz=st.floats(0, 1000),
    max_hz=st.floats(2000, 4000),
    slaney=st.booleans(),
)
@QUICK
def test_any_geometry_comes_back_from_the_tags(
    rate: int, hop: int, window: int, padding: int, min_hz: float, max_hz: float, slaney: bool
) -> None:
    kind: dict[str, Any] = {"mel_scale": "slaney", "mel_norm": "slaney"} if slaney else {}
    params = SpectrogramParams(rate, hop, window, window + padding, 7, min_hz, max_hz, **kind)
    image = read_image(encode_image(to_image(Spectrogram(torch.ones(1, 7, 3), params))))
    assert from_image(image).params == params


@pytest.mark.parametrize("stereo", [False, True])
def test_an_image_of_the_original_is_read_by_its_tags(stereo: bool) -> None:
    sides = [levels(8, 20), levels(8, 20)[:, ::-1]]
    red = np.full_like(sides[0], 9)
    image = Image.fromarray(np.stack([red, *sides], axis=2))
    spectrogram = from_image(tagged(image, small_tags(stereo) | {11080: 123.4}))
    assert spectrogram.params == SMALL
    expected = np.stack(sides if stereo else [red])[:, ::-1]
    expected = ((255 - expected.astype(np.float64)) / 255) ** 4 * 30e6
    assert np.allclose(spectrogram.magnitudes.numpy(), expected, rtol=1e-4)


def test_another_power_is_undone() -> None:
    image = tagged(Image.fromarray(levels(8, 20)), small_tags(False) | {11070: 0.5})
    expected = ((255 - levels(8, 20)[::-1].astype(np.float64)) / 255) ** 2 * 30e6
    assert np.allclose(from_image(image).magnitudes[0].numpy(), expected, rtol=1e-4)


# --- images without tags, in other modes, with strangers' tags -----------------------------------

MODES = ["L", "P", "RGB", "RGBA", "LA"]
FOREIGN_TAGS = {271: "Canon", 272: "EOS", 306: "2022:12:15 10:00:00", 274: 6, 270: "a sunset"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tags", [{}, FOREIGN_TAGS], ids=["untagged", "foreign"])
def test_untagged_images_decode_with_the_defaults(mode: str, tags: dict[int, Any]) -> None:
    image = tagged(Image.fromarray(levels()).convert(mode), tags)
    spectrogram = from_image(image)
    assert spectrogram.params == RIFFUSION
    expected = from_image(Image.fromarray(levels())).magnitudes
    assert torch.equal(spectrogram.magnitudes, expected)
    assert read_info(image) is None


def test_an_untagged_colour_image_reads_red_only() -> None:
    sides = np.stack([levels(), 255 - levels(), levels()[:, ::-1]], axis=2)
    grey = from_image(Image.fromarray(levels()))
    assert torch.equal(from_image(Image.fromarray(sides)).magnitudes, grey.magnitudes)


def test_an_untagged_stereo_image_is_known_by_its_empty_red() -> None:
    sides = np.stack([levels() * 0, levels(), 255 - levels()], axis=2)
    assert from_image(Image.fromarray(sides)).channels == 2
    assert from_image(Image.fromarray(sides * 0)).channels == 1


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_other_formats_are_read(form: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(levels()).convert("RGB").save(buffer, form)
    assert from_image(read_image(buffer.getvalue())).frames == 32


@pytest.mark.parametrize(
    "description",
    [
        "a sunset",
        "[1, 2]",
        '{"riffusion": 5}',
        '{"riffusion": {"info": [1], "mel_scale": 7}}',
        '{"info": {"prompt_a": "x"}}',
        "[" * 5000,
        "9" * 5000,
    ],
)
def test_strangers_words_in_the_description_are_ignored(description: str) -> None:
    image = tagged(Image.fromarray(levels()), {IMAGE_DESCRIPTION: description})
    assert read_info(image) is None
    assert from_image(image).params == RIFFUSION


def test_a_strangers_types_are_left_out_of_the_info() -> None:
    info = {"prompt_a": ["list"], "seed_a": "1", "alpha": True, "engine": "x", "more": 1}
    words = json.dumps({"riffusion": {"info": info}})
    image = tagged(Image.fromarray(levels()), {IMAGE_DESCRIPTION: words})
    assert read_info(image) == ImageInfo(engine="x")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow says that the block is damaged
@given(start=st.integers(0, 14), noise=st.binary(max_size=120))
@settings(deadline=None, max_examples=150)
def test_a_damaged_exif_block_leaves_the_pixels(start: int, noise: bytes) -> None:
    block = b"Exif\0\0MM\0\x2a\0\0\0\x08"[:start] + noise
    image = Image.fromarray(levels(4))
    image.info["exif"] = block
    assert from_image(image).frames == 4
    assert read_info(image) is None


@pytest.mark.parametrize(
    "tags",
    [
        {11000: 0},
        {11000: "fast"},
        {11010: 0},
        {11010: float("nan")},
        {11030: 1e12},
        {11040: 10**6},
        {11060: 30000},
        {11070: 0.0},
        {11070: -1.0},
    ],
)
def test_our_tags_with_impossible_values_are_named(tags: dict[int, Any]) -> None:
    image = Image.fromarray(levels())
    image.getexif().update(ORIGINAL_TAGS | tags)
    with pytest.raises(InvalidImage, match="image tag"):
        from_image(image)


def test_missing_tags_take_the_defaults() -> None:
    image = tagged(Image.fromarray(levels()), {11000: 22050})
    params = from_image(image).params
    assert (params.sample_rate, params.hop_length, params.n_fft) == (22050, 220, 8820)


def test_tag_numbers_are_the_originals() -> None:
    assert {tag.value for tag in Tag} == ORIGINAL_TAGS.keys() | {11007, 11080}


def test_three_bands_in_one_pixel_are_taken_apart() -> None:
    """The original's TRIPLE_RES_MONO: bands 3 n, 3 n + 1 and 3 n + 2 are red, green and blue."""
    bands = np.arange(60, dtype=np.uint8)[:, np.newaxis].repeat(4, axis=1)
    packed = bands.reshape(20, 3, 4).transpose(0, 2, 1)[::-1]
    tags = small_tags(False) | {11007: True, 11040: 60}
    spectrogram = from_image(tagged(Image.fromarray(np.ascontiguousarray(packed)), tags))
    assert spectrogram.magnitudes.shape == (1, 60, 4)
    expected = ((255 - bands.astype(np.float64)) / 255) ** 4 * 30e6
    assert np.allclose(spectrogram.magnitudes[0].numpy(), expected, rtol=1e-4)


# --- what we add ---------------------------------------------------------------------------------

WORDS = st.none() | st.text(max_size=50)
SEEDS = st.none() | st.integers(0, 2**63 - 1)
SHARES = st.none() | st.floats(0, 1)


@given(
    info=st.builds(
        ImageInfo,
        prompt_a=WORDS,
        prompt_b=WORDS,
        seed_a=SEEDS,
        seed_b=SEEDS,
        alpha=SHARES,
        engine=WORDS,
        bpm=st.none() | st.floats(1, 400),
        harmony=WORDS,
    ),
    suffix=st.sampled_from([".png", ".jpg"]),
)
@QUICK
def test_prompts_seeds_and_engine_come_back(info: ImageInfo, suffix: str) -> None:
    image = to_image(Spectrogram(torch.ones(1, 20, 3), SMALL), info)
    assert read_info(image) == info
    assert read_info(read_image(encode_image(image, suffix))) == info


def test_an_image_without_info_has_none() -> None:
    assert read_info(audio_to_image(music(0.1))) is None


# --- between audio and image ---------------------------------------------------------------------


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
    long = image_of_samples(read, samples, SMALL, info)
    whole = to_image(mel_spectrogram(Waveform(noise, SMALL.sample_rate), SMALL), info)
    assert np.array_equal(np.asarray(long), np.asarray(whole))
    assert dict(long.getexif()) == dict(whole.getexif())
    assert read_at_once <= 256 * SMALL.hop_length + SMALL.win_length


# --- bad input -----------------------------------------------------------------------------------


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
    assert before > spectrogram_image.MOST_PIXELS, "or Pillow warns before we refuse"


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


def test_the_layout_of_a_plain_image_is_the_originals() -> None:
    layout = read_layout(Image.new("L", (4, 512)))
    assert (layout.params, layout.power, layout.stereo) == (RIFFUSION, 0.25, None)
    assert (layout.rows, layout.triple) == (512, False)
