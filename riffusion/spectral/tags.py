"""The EXIF tags of a spectrogram image.

The geometry is in the tags of the original Riffusion, so that either program reads the images of
the other. What these cannot hold (the mel scale, prompts, seeds, engine) is JSON in the tag
ImageDescription.
"""

from __future__ import annotations

import json
import math
import numbers
import struct
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Any

from PIL import Image

from riffusion.errors import InvalidImage, InvalidInput
from riffusion.spectral.spectrogram import SpectrogramParams

IMAGE_DESCRIPTION = 0x010E
POWER = 0.25


class Tag(IntEnum):
    """The original Riffusion's EXIF tags."""

    SAMPLE_RATE = 11000
    STEREO = 11005
    TRIPLE_RES_MONO = 11007
    STEP_SIZE_MS = 11010
    WINDOW_DURATION_MS = 11020
    PADDED_DURATION_MS = 11030
    NUM_FREQUENCIES = 11040
    MIN_FREQUENCY = 11050
    MAX_FREQUENCY = 11060
    POWER_FOR_IMAGE = 11070
    MAX_VALUE = 11080


DEFAULTS: dict[Tag, float] = {
    Tag.SAMPLE_RATE: 44100,
    Tag.STEP_SIZE_MS: 10,
    Tag.WINDOW_DURATION_MS: 100,
    Tag.PADDED_DURATION_MS: 400,
    Tag.NUM_FREQUENCIES: 512,
    Tag.MIN_FREQUENCY: 0,
    Tag.MAX_FREQUENCY: 10000,
    Tag.POWER_FOR_IMAGE: POWER,
}


@dataclass(frozen=True)
class ImageInfo:
    """An image's info says where its music comes from. None stands for what does not apply.

    Parameters
    ----------
    prompt_a, prompt_b : str, optional
        The two prompts.
    seed_a, seed_b : int, optional
        Their seeds.
    alpha : float, optional
        The position between them: 0 is A, 1 is B.
    engine : str, optional
        The name of the engine.
    bpm : float, optional
        The tempo.
    harmony : str, optional
        The chords or the key.
    sections : str, optional
        The sections of a song, a line each: the column that it begins at, and its name.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> info = riffusion.ImageInfo(prompt_a="church bells", seed_a=7)
    >>> waveform = riffusion.Waveform(np.zeros((1, 44100)), 44100)
    >>> image = riffusion.audio_to_image(waveform, info=info)
    """

    prompt_a: str | None = None
    prompt_b: str | None = None
    seed_a: int | None = None
    seed_b: int | None = None
    alpha: float | None = None
    engine: str | None = None
    bpm: float | None = None
    harmony: str | None = None
    sections: str | None = None


@dataclass(frozen=True)
class Layout:
    """A layout says how the pixels of an image are read.

    ``power`` is the exponent from magnitudes to pixels, ``stereo`` is None where no tag says. With
    ``triple``, red, green and blue are three bands of a mono sound, so ``rows`` is a third of the
    bands. The original wrote such images for a while; they are read, never written.
    """

    params: SpectrogramParams
    power: float
    stereo: bool | None
    triple: bool

    @property
    def rows(self) -> int:
        """The height of the image in pixels."""
        return self.params.mel_bands // 3 if self.triple else self.params.mel_bands


def write_tags(
    image: Image.Image,
    params: SpectrogramParams,
    stereo: bool,
    max_value: float,
    info: ImageInfo | None,
) -> None:
    """Write the geometry and ``info`` to the EXIF tags of ``image``.

    ``max_value`` is the largest magnitude on the scale of 16-bit samples.
    """
    rate = params.sample_rate
    description = {
        "mel_scale": params.mel_scale,
        "mel_norm": params.mel_norm,
        "info": None if info is None else asdict(info),
    }
    image.getexif().update(
        {
            Tag.SAMPLE_RATE: rate,
            Tag.STEREO: int(stereo),
            Tag.STEP_SIZE_MS: _milliseconds(params.hop_length, rate),
            Tag.WINDOW_DURATION_MS: _milliseconds(params.win_length, rate),
            Tag.PADDED_DURATION_MS: _milliseconds(params.n_fft, rate),
            Tag.NUM_FREQUENCIES: params.mel_bands,
            Tag.MIN_FREQUENCY: _whole(params.min_hz),
            Tag.MAX_FREQUENCY: _whole(params.max_hz),
            Tag.POWER_FOR_IMAGE: POWER,
            Tag.MAX_VALUE: float(max_value),
            IMAGE_DESCRIPTION: json.dumps({"riffusion": description}),
        }
    )


def read_layout(image: Image.Image) -> Layout:
    """Return the geometry of ``image`` by its tags, or else by the defaults of the original.

    Raises InvalidImage for illegal tags.
    """
    tags = _tags(image)
    values = {tag: _number(tags, tag, default) for tag, default in DEFAULTS.items()}
    rate = values[Tag.SAMPLE_RATE]
    ours = _description(tags)
    power = values[Tag.POWER_FOR_IMAGE]
    if not 0.01 <= power <= 10:
        raise InvalidImage("image tag POWER_FOR_IMAGE", power, "use 0.01 to 10; usual is 0.25")
    try:
        params = SpectrogramParams(
            sample_rate=int(rate),
            hop_length=_samples(values[Tag.STEP_SIZE_MS], rate),
            win_length=_samples(values[Tag.WINDOW_DURATION_MS], rate),
            n_fft=_samples(values[Tag.PADDED_DURATION_MS], rate),
            mel_bands=int(values[Tag.NUM_FREQUENCIES]),
            min_hz=values[Tag.MIN_FREQUENCY],
            max_hz=values[Tag.MAX_FREQUENCY],
            mel_scale="slaney" if ours.get("mel_scale") == "slaney" else "htk",
            mel_norm="slaney" if ours.get("mel_norm") == "slaney" else None,
        )
    except InvalidInput as error:
        raise InvalidImage(f"image tag for {error.what}", error.value, error.hint) from error
    stereo = None if Tag.STEREO not in tags else bool(tags[Tag.STEREO])
    return Layout(params, power, stereo, bool(tags.get(Tag.TRIPLE_RES_MONO)))


def read_info(image: Image.Image) -> ImageInfo | None:
    """Return prompts, seeds and engine of ``image``, or None where it has none of our tags."""
    found = _description(_tags(image)).get("info")
    if not isinstance(found, dict):
        return None
    return ImageInfo(**{field.name: _legal(field.name, found) for field in fields(ImageInfo)})


def exif_table(image: Image.Image) -> dict[str, Any]:
    """Return the tags of ``image`` by the names of the original, and the fields of its info."""
    tags = _tags(image)
    table = {tag.name: tags[tag] for tag in Tag if tag in tags}
    info = read_info(image)
    described = asdict(info) if info else {}
    return table | {name.upper(): value for name, value in described.items() if value is not None}


def _legal(name: str, found: dict[str, Any]) -> Any:
    """Return the value of a field of ImageInfo, None where it has another type."""
    value = found.get(name)
    kind: type[Any] = str
    if name.startswith("seed"):
        kind = int
    elif name in ("alpha", "bpm"):
        kind = numbers.Real
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _tags(image: Image.Image) -> dict[int, Any]:
    """Return the EXIF tags of ``image``, none where they are damaged."""
    try:
        return dict(image.getexif())
    except (SyntaxError, struct.error):
        return {}  # the pixels are still good


def _description(tags: dict[int, Any]) -> dict[str, Any]:
    """Return our JSON in the tag ImageDescription, empty where another program wrote it."""
    try:
        ours = json.loads(tags.get(IMAGE_DESCRIPTION, ""))["riffusion"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return ours if isinstance(ours, dict) else {}


def _number(tags: dict[int, Any], tag: Tag, default: float) -> float:
    """Return the value of a tag. Raises InvalidImage where it is no finite number."""
    value = tags.get(tag, default)
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        hint = f"needs a number; the original's images have {default:g}"
        raise InvalidImage(f"image tag {tag.name}", value, hint)
    return float(value)


def _samples(milliseconds: float, rate: float) -> int:
    """Return a duration in samples, rounded down as the original does."""
    return int(milliseconds / 1000 * rate)


def _milliseconds(samples: int, rate: int) -> float:
    """Return a duration that ``_samples`` turns back into ``samples``, whole if possible."""
    duration = samples / rate * 1000
    while _samples(duration, rate) < samples:
        duration = math.nextafter(duration, math.inf)
    return _whole(duration)


def _whole(value: float) -> float:
    """Return ``value`` as an int where it is whole."""
    return int(value) if value == int(value) else value
