"""Masks say which part of an anchor is generated anew: white repaints, black keeps the anchor.

A mask is a picture in Riffusion's geometry: 512 rows with the highest band on top, and 512 columns.
It is mapped to the mel bands of an engine by their frequencies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.spectral.image import READ_SUFFIXES, open_image
from riffusion.spectral.spectrogram import RIFFUSION, SpectrogramParams, band_centres_hz

Mask = npt.NDArray[np.float32]

ROWS = COLUMNS = 512
HIGHEST_ROWS = 0.3
LOWEST_ROWS = 0.25

# Each shape says whether a point is repainted, from its time (0 to 1) and its height (0 is the
# lowest band, 1 the highest).
SHAPES: Mapping[str, Callable[[Any, Any], npt.NDArray[np.bool_]]] = {
    "all": lambda time, height: time >= 0,
    "left_half": lambda time, height: time < 0.5,
    "right_half": lambda time, height: time >= 0.5,
    "middle": lambda time, height: np.abs(time - 0.5) <= 0.25,
    "ends": lambda time, height: np.abs(time - 0.5) > 0.25,
    "lower_half": lambda time, height: height < 0.5,
    "upper_half": lambda time, height: height >= 0.5,
    "low_bands": lambda time, height: height < LOWEST_ROWS,
    "high_bands": lambda time, height: height >= 1 - HIGHEST_ROWS,
}


def named_mask(name: str) -> Mask:
    """Return a mask by name: float32 (512, 512), the lowest band first.

    Raises InvalidInput that lists the names.
    """
    shape = SHAPES.get(name)
    if shape is None:
        raise InvalidInput("mask", name, f"use one of {', '.join(SHAPES)}")
    height, time = (np.indices((ROWS, COLUMNS), dtype=np.float32) + 0.5) / ROWS
    return shape(time, height).astype(np.float32)


def image_mask(image: Image.Image) -> Mask:
    """Return the mask that a picture of 512 x 512 pixels shows: white is 1, repaint.

    Raises InvalidInput for another size, which would leave open which pixel belongs to which band.
    """
    if image.size != (COLUMNS, ROWS):
        hint = f"a mask has {COLUMNS} x {ROWS} pixels, those of a clip's image"
        raise InvalidInput("mask size", image.size, hint)
    return np.asarray(image.convert("L"), dtype=np.float32)[::-1] / np.float32(255)


def mask_picture(mask: Mask) -> Image.Image:
    """Return the picture of a mask, which ``image_mask`` reads."""
    return Image.fromarray((255 * mask[::-1]).round().astype(np.uint8))


def fit_mask(mask: Mask, engine: Engine) -> Mask:
    """Return a mask of 512 x 512 on the grid of an engine: (mel bands, frames).

    Each band takes the row that holds its frequency; bands above the picture take its top row.
    """
    columns = np.arange(engine.frames) * COLUMNS // engine.frames
    return np.ascontiguousarray(mask_rows(mask, engine)[:, columns])


def mask_rows(mask: Mask, engine: Engine) -> Mask:
    """Return a mask in the mel bands of an engine, with its columns unchanged: (mel bands, 512)."""
    return mask[_rows(engine.params)]


def read_mask(source: str, engine: Engine) -> Mask:
    """Return a mask for the requests of an engine: float32 (mel bands, frames), 1 repaints.

    Parameters
    ----------
    source : str
        A name, such as ``lower_half``, or an image file of 512 x 512 pixels.
    engine : Engine
        Determines the mel bands and the frames.

    Raises
    ------
    InvalidInput
        If ``source`` is neither a name nor such a file. The message lists the names.

    Examples
    --------
    >>> import riffusion
    >>> engine = riffusion.load_engine(device="cpu")
    >>> mask = riffusion.read_mask("lower_half", engine)
    >>> mask.shape
    (128, 512)
    """
    if Path(source).suffix.lower() in READ_SUFFIXES:
        return fit_mask(image_mask(open_image(source)), engine)
    return fit_mask(named_mask(source), engine)


def _rows(params: SpectrogramParams) -> npt.NDArray[np.int64]:
    """Return for each mel band the nearest row of Riffusion's picture, from the lowest one on."""
    if params == RIFFUSION:
        return np.arange(ROWS)
    edges = band_centres_hz(RIFFUSION)
    between = (edges[1:] + edges[:-1]) / 2
    return np.searchsorted(between, band_centres_hz(params))
