"""Spectrogram images: 512 rows of mel bands, low ones at the bottom, dark pixels are loud.

The pixels are those of the original Riffusion: either program decodes the images of the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from riffusion.audio.waveform import INT16_SCALE, Waveform
from riffusion.errors import InvalidAudio, InvalidImage
from riffusion.spectral.band_extension import extend_band
from riffusion.spectral.griffin_lim import WHOLE_ITERATIONS, griffin_lim_in_blocks
from riffusion.spectral.image_file import (
    MAX_BYTES,
    MAX_PIXELS,
    READ_SUFFIXES,
    WRITTEN_AS,
    encode_image,
    open_image,
    write_image,
)
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram, SpectrogramParams, mel_blocks
from riffusion.spectral.tags import POWER, ImageInfo, Layout, read_info, read_layout, write_tags

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "READ_SUFFIXES",
    "WRITTEN_AS",
    "ImageInfo",
    "audio_to_image",
    "encode_image",
    "from_image",
    "image_to_audio",
    "open_image",
    "pixels",
    "read_image",
    "read_info",
    "samples_to_image",
    "to_image",
    "write_image",
]

DECODED_MAX = 30e6  # the original's constant; it does not read its MAX_VALUE tag back


def pixels(magnitudes: torch.Tensor, peak: float) -> npt.NDArray[np.uint8]:
    """Return RGB pixels (mel, frames, 3) of magnitudes (channels, mel, frames).

    The magnitude ``peak`` becomes black. One channel is grey; of two, left is green, right is blue
    and red is 0. Raises InvalidImage for more channels.
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
    """Return the image of a spectrogram, with its parameters and ``info`` in EXIF tags.

    The largest magnitude of all channels becomes black. The MAX_VALUE tag has it on the scale of
    the original, that of 16-bit samples.

    Parameters
    ----------
    spectrogram : Spectrogram
        One or two channels.
    info : ImageInfo, optional
        Where the music comes from.

    Returns
    -------
    PIL.Image.Image
        RGB, ``mel_bands`` rows and a column for each frame.

    Raises
    ------
    InvalidInput
        For magnitudes that are NaN or infinite.
    InvalidImage
        For more than two channels.

    Examples
    --------
    >>> import torch
    >>> import riffusion
    >>> mel = riffusion.Spectrogram(torch.rand(1, 512, 100), riffusion.SpectrogramParams())
    >>> riffusion.to_image(mel).size
    (100, 512)
    """
    peak = spectrogram.peak()
    image = Image.fromarray(pixels(spectrogram.magnitudes, peak))
    stereo = spectrogram.channels == 2
    write_tags(image, spectrogram.params, stereo, peak * INT16_SCALE, info)
    return image


def samples_to_image(
    read: Callable[[int, int], npt.NDArray[np.float32]],
    samples: int,
    params: SpectrogramParams = RIFFUSION,
    info: ImageInfo | None = None,
) -> Image.Image:
    """Return the image of a sound whose spectrogram is too long for memory.

    The pixels are those of ``to_image``. ``read(start, stop)`` returns a part of the sound, float32
    (channels, stop - start), and is called over the whole sound twice: for the peak, then for the
    pixels.
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
    """Return the spectrogram of an image, by its tags or else by the defaults of the original.

    Magnitudes are on the scale of the original: a black pixel is 30e6, about what full-scale 16-bit
    samples give. An image does not keep how loud the sound was.

    Parameters
    ----------
    image : PIL.Image.Image
        A spectrogram image.

    Returns
    -------
    Spectrogram
        One or two channels.

    Raises
    ------
    InvalidImage
        Where the height, the mode or the tags are not those of a spectrogram.

    Examples
    --------
    >>> import torch
    >>> import riffusion
    >>> mel = riffusion.Spectrogram(torch.rand(2, 512, 100), riffusion.SpectrogramParams())
    >>> riffusion.from_image(riffusion.to_image(mel)).magnitudes.shape
    torch.Size([2, 512, 100])
    """
    layout = _checked_layout(image)
    rgb = np.asarray(image.convert("RGB"))
    stereo = is_stereo(layout, red=bool(rgb[..., 0].any()), others=bool(rgb[..., 1:].any()))
    return pixels_to_magnitudes(rgb, layout, stereo=stereo)


def is_stereo(layout: Layout, *, red: bool, others: bool) -> bool:
    """Return whether an image is stereo: by its tag, or by the colours that it has at all."""
    if layout.stereo is not None:
        return layout.stereo
    return others and not red  # no mono image is black in red alone


def pixels_to_magnitudes(
    rgb: npt.NDArray[np.uint8], layout: Layout, *, stereo: bool
) -> Spectrogram:
    """Return the magnitudes of pixels (rows, columns, 3), on the scale of the original."""
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
    """Return the spectrogram image of a sound.

    Parameters
    ----------
    waveform : Waveform
        The sound, of any sample rate; more than two channels are mixed to one.
    params : SpectrogramParams
        The time and frequency grid.
    info : ImageInfo, optional
        Where the music comes from.
    stereo : bool
        False mixes two channels to one.

    Returns
    -------
    PIL.Image.Image
        RGB, with the parameters and ``info`` in EXIF tags.

    Raises
    ------
    InvalidAudio
        For less than one frame of sound.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> riffusion.audio_to_image(riffusion.Waveform(np.zeros((2, 44100)), 44100)).size
    (101, 512)
    """
    if not stereo or waveform.channels > 2:
        waveform = waveform.mono()
    samples = waveform.resample(params.sample_rate).samples
    if samples.shape[1] < params.hop_length:
        hint = f"too short for an image; use at least {params.hop_length}, {params.frame_s:g} s"
        raise InvalidAudio("audio samples", samples.shape[1], hint)
    return samples_to_image(
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
    """Return the sound of a spectrogram image, with its loudest sample at full scale.

    Parameters
    ----------
    image : PIL.Image.Image
        A spectrogram image.
    iterations : int
        Iterations of Griffin-Lim, 1 to 1000.
    seed : int
        Seeds the random phases of the first frame.
    extended : bool
        Adds a guess of what lies above the highest band, up to 20 kHz (band_extension.py).
    advance : callable, optional
        Is called with the seconds that were finished, now and then.

    Returns
    -------
    Waveform
        The sound at the sample rate in the tags of the image.

    Raises
    ------
    InvalidImage
        For an image that is no spectrogram.
    InvalidInput
        For an illegal number of iterations or seed.

    Examples
    --------
    >>> import torch
    >>> import riffusion
    >>> mel = riffusion.Spectrogram(torch.rand(1, 512, 101), riffusion.SpectrogramParams())
    >>> riffusion.image_to_audio(riffusion.to_image(mel), iterations=2).duration_s
    1.0
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
    """Read a spectrogram image from a file or from the bytes of one.

    Parameters
    ----------
    source : str, path or bytes
        A PNG, JPEG, WebP, BMP, GIF or TIFF file.

    Returns
    -------
    PIL.Image.Image
        The image, wholly read and checked.

    Raises
    ------
    InvalidImage
        For an image that is missing, damaged, far too large or no spectrogram.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> image = riffusion.audio_to_image(riffusion.Waveform(np.zeros((1, 44100)), 44100))
    >>> riffusion.write_image(image, "silence.png")
    >>> riffusion.read_image("silence.png").size
    (101, 512)
    """
    image = open_image(source)
    _checked_layout(image)
    return image


def _checked_layout(image: Image.Image) -> Layout:
    """Return how to read ``image``. Raises InvalidImage where it is no spectrogram."""
    layout = read_layout(image)
    width, height = image.size
    if height != layout.rows:
        hint = (
            f"a spectrogram image has {layout.rows} rows, one a frequency band; "
            "give one made by Riffusion or by 'riffusion encode', unscaled and uncropped"
        )
        raise InvalidImage("image height", height, hint)
    if width < 2:
        raise InvalidImage("image width", width, "a spectrogram image has at least two columns")
    if image.mode.startswith(("I", "F")):
        raise InvalidImage("image mode", image.mode, "save it with 8 bits a channel")
    return layout
