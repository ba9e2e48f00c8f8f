"""Spectrogram images: 512 rows of loudness, low notes at the bottom, dark is loud.

They are the original Riffusion's, pixel by pixel: either program decodes the other's images.
"""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from riffusion.audio.waveform import INT16_SCALE, Waveform
from riffusion.errors import InvalidAudio, InvalidImage
from riffusion.spectral.band_extension import extend_band
from riffusion.spectral.griffin_lim import WHOLE_ITERATIONS, griffin_lim_in_blocks
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram, SpectrogramParams, mel_blocks
from riffusion.spectral.tags import POWER, ImageInfo, Layout, read_info, read_layout, write_tags
from riffusion.storage import write_whole

__all__ = [
    "ImageInfo",
    "audio_to_image",
    "encode_image",
    "from_image",
    "image_of_samples",
    "image_to_audio",
    "open_image",
    "pixels",
    "read_image",
    "read_info",
    "to_image",
    "write_image",
]

DECODED_MAX = 30e6  # the original's constant; it does not read its MAX_VALUE tag back
MAX_PIXELS = 512 * 100 * 60 * 29  # 29 minutes; a bigger image would be refused by Pillow itself
MAX_BYTES = 4 * MAX_PIXELS
READ_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
READ_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
WRITTEN_AS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def pixels(magnitudes: torch.Tensor, peak: float) -> npt.NDArray[np.uint8]:
    """Magnitudes (channels, mel, frames) to RGB (mel, frames, 3); ``peak`` becomes black.

    One channel is grey; of two, left is green and right is blue, and red is 0.
    """
    channels = magnitudes.shape[0]
    if channels not in (1, 2):
        raise InvalidImage("channels", channels, "an image holds one or two; mix down with .mono()")
    loudness = (magnitudes.clamp_min(0).numpy() / np.float32(peak or 1)) ** np.float32(POWER)
    levels = (255 - 255 * loudness).astype(np.uint8)[:, ::-1]
    if channels == 1:
        return np.repeat(levels[0, :, :, np.newaxis], 3, axis=2)
    return np.stack([np.zeros_like(levels[0]), levels[0], levels[1]], axis=2)


def to_image(spectrogram: Spectrogram, info: ImageInfo | None = None) -> Image.Image:
    """An RGB image, mel bands high and frames wide, that knows its parameters and ``info``.

    The loudest magnitude of all channels becomes black. Magnitudes are those of samples in
    [-1, 1]; the MAX_VALUE tag has the loudest on the original's scale, that of 16-bit samples.
    """
    peak = spectrogram.peak()
    image = Image.fromarray(pixels(spectrogram.magnitudes, peak))
    stereo = spectrogram.channels == 2
    write_tags(image, spectrogram.params, stereo, peak * INT16_SCALE, info)
    return image


def image_of_samples(
    read: Callable[[int, int], npt.NDArray[np.float32]],
    samples: int,
    params: SpectrogramParams = RIFFUSION,
    info: ImageInfo | None = None,
) -> Image.Image:
    """The image of a sound too long for memory: the same pixels as ``to_image`` of the whole.

    ``read(start, stop)`` returns those samples, float32 (channels, stop - start), and is called
    over the whole sound twice: for the peak, then for the pixels.
    """
    peak = max(float(block.max()) for block in mel_blocks(read, samples, params))
    canvas = np.empty((params.mel_bands, params.frames(samples), 3), np.uint8)
    start = 0
    for block in mel_blocks(read, samples, params):
        stereo = block.shape[0] == 2
        canvas[:, start : start + block.shape[2]] = pixels(block, peak)
        start += block.shape[2]
    image = Image.fromarray(canvas)
    write_tags(image, params, stereo, peak * INT16_SCALE, info)
    return image


def from_image(image: Image.Image) -> Spectrogram:
    """The spectrogram of an image, by its tags, or by the original's defaults without.

    Magnitudes are on the original's scale: the darkest pixel is 30e6, about what full-scale
    16-bit samples give. An image does not keep how loud the sound was; ``image_to_audio``
    therefore normalises. Raises InvalidImage where the height or the tags make no sense.
    """
    layout = _checked_layout(image)
    rgb = np.asarray(image.convert("RGB"))
    stereo = is_stereo(layout, red=bool(rgb[..., 0].any()), others=bool(rgb[..., 1:].any()))
    return magnitudes_of(rgb, layout, stereo=stereo)


def is_stereo(layout: Layout, *, red: bool, others: bool) -> bool:
    """Whether an image is stereo: as its tag says, or by which colours it has at all."""
    if layout.stereo is not None:
        return layout.stereo
    return others and not red  # no mono image is black in red alone


def magnitudes_of(rgb: npt.NDArray[np.uint8], layout: Layout, *, stereo: bool) -> Spectrogram:
    """The magnitudes of pixels (rows, columns, 3), on the original's scale."""
    planes = rgb[::-1].transpose(2, 0, 1)
    if layout.triple:
        levels = planes.swapaxes(0, 1).reshape(1, -1, planes.shape[2])
    else:
        levels = planes[1:] if stereo else planes[:1]
    loudness = (255 - levels.astype(np.float32)) / 255
    magnitudes = loudness ** np.float32(1 / layout.power) * np.float32(DECODED_MAX)
    return Spectrogram(torch.from_numpy(magnitudes), layout.params)


def audio_to_image(
    waveform: Waveform,
    params: SpectrogramParams = RIFFUSION,
    info: ImageInfo | None = None,
    *,
    stereo: bool = True,
) -> Image.Image:
    """The image of a sound, resampled if need be; ``stereo`` False, or over two channels, mixes."""
    if not stereo or waveform.channels > 2:
        waveform = waveform.mono()
    samples = waveform.resample(params.sample_rate).samples
    if samples.shape[1] < params.hop_length:
        legal = f"too short for an image; use at least {params.hop_length}, {params.frame_s:g} s"
        raise InvalidAudio("audio samples", samples.shape[1], legal)
    return image_of_samples(
        lambda start, stop: samples[:, start:stop], samples.shape[1], params, info
    )


def image_to_audio(
    image: Image.Image,
    *,
    iterations: int = WHOLE_ITERATIONS,
    seed: int = 0,
    extended: bool = False,
    advance: Callable[[float], None] | None = None,
) -> Waveform:
    """The sound of a spectrogram image, its loudest sample at full scale.

    ``extended`` adds a guess of what lies above the image's highest band, up to 20 kHz (see
    band_extension.py). ``advance`` is told the seconds that are done, now and then.
    """
    spectrogram = from_image(image)
    sound = griffin_lim_in_blocks(spectrogram, iterations=iterations, seed=seed, advance=advance)
    if extended:
        sound = extend_band(sound, spectrogram.params.max_hz)
    peak = float(np.abs(sound.samples).max())
    if peak == 0:
        return sound
    full_scale = (INT16_SCALE - 1) / INT16_SCALE
    return Waveform(sound.samples * np.float32(full_scale / peak), sound.sample_rate)


def read_image(source: str | os.PathLike[str] | bytes) -> Image.Image:
    """Open a spectrogram image from a path or from bytes, wholly read and checked.

    Raises InvalidImage for what is missing, damaged, far too large or no spectrogram.
    """
    image = open_image(source)
    _checked_layout(image)
    return image


def open_image(source: str | os.PathLike[str] | bytes) -> Image.Image:
    """Open any picture, wholly read. Raises InvalidImage like ``read_image``."""
    name, data = _name_and_bytes(source)
    try:
        image = Image.open(io.BytesIO(data), formats=READ_FORMATS)
        if math.prod(image.size) > MAX_PIXELS:
            raise Image.DecompressionBombError
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        legal = f"has too many pixels; use at most {MAX_PIXELS} (29 minutes)"
        raise InvalidImage("image", name, legal) from error
    except UnidentifiedImageError as error:
        raise InvalidImage("image", name, "is no image we can read; use PNG or JPEG") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
        legal = f"is damaged or cut off ({error}); save or upload it again"
        raise InvalidImage("image", name, legal) from error
    return image


def write_image(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write PNG (exact) or JPEG (smaller, lossy) by the suffix of ``path``, with its metadata.

    Raises InvalidImage for another suffix, StorageError where the file cannot be written.
    """
    write_whole(path, encode_image(image, Path(path).suffix))


def encode_image(image: Image.Image, suffix: str = ".png") -> bytes:
    """The bytes of an image file of the format of ``suffix``, with its metadata."""
    form = WRITTEN_AS.get(suffix.lower())
    if form is None:
        raise InvalidImage("image format", suffix, "use " + ", ".join(WRITTEN_AS))
    buffer = io.BytesIO()
    # JPEG: full colour resolution, or the two sides of a stereo image would mix.
    settings = {} if form == "PNG" else {"quality": 95, "subsampling": 0}
    try:
        image.save(buffer, form, exif=image.getexif(), **settings)
    except (OSError, ValueError) as error:
        legal = f"{form} cannot hold it ({error}); write a .png"
        raise InvalidImage("image size", image.size, legal) from error
    return buffer.getvalue()


def _checked_layout(image: Image.Image) -> Layout:
    """How to read ``image``; InvalidImage where its size or mode is not a spectrogram's."""
    layout = read_layout(image)
    width, height = image.size
    if height != layout.rows:
        legal = (
            f"a spectrogram image has {layout.rows} rows, one a frequency band; "
            "give one made by Riffusion or by 'riffusion encode', unscaled and uncropped"
        )
        raise InvalidImage("image height", height, legal)
    if width < 2:
        raise InvalidImage("image width", width, "a spectrogram image has at least two columns")
    if image.mode.startswith(("I", "F")):
        raise InvalidImage("image mode", image.mode, "save it with 8 bits a channel")
    return layout


def _name_and_bytes(source: str | os.PathLike[str] | bytes) -> tuple[str, bytes]:
    """What to call an image in a message, and its contents."""
    if isinstance(source, bytes):
        name, size = f"{len(source)} bytes", len(source)
    else:
        path = Path(source)
        if not path.is_file():
            legal = "no such file; check the name and the folder"
            raise InvalidImage("image", str(source), legal)
        name, size = path.name, path.stat().st_size
    if size == 0:
        raise InvalidImage("image", name, "is empty (0 bytes); save or upload it again")
    if size > MAX_BYTES:
        raise InvalidImage("image", name, f"is larger than {MAX_BYTES // 10**6} MB; cut it first")
    return name, source if isinstance(source, bytes) else Path(source).read_bytes()
