"""What images say about themselves: the original's tags, strangers' and ours."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from riffusion.errors import InvalidImage
from riffusion.spectral.image import (
    ImageInfo,
    audio_to_image,
    encode_image,
    from_image,
    read_image,
    read_info,
    to_image,
    write_image,
)
from riffusion.spectral.spectrogram import (
    RIFFUSION,
    Spectrogram,
    SpectrogramParams,
    mel_spectrogram,
)
from riffusion.spectral.tags import IMAGE_DESCRIPTION, Tag
from tests.images import (
    ORIGINAL_TAGS,
    QUICK,
    SMALL,
    levels,
    music,
    small_tags,
    tagged,
)


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
