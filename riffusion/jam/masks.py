"""Masks: which part of an anchor is painted anew. White repaints, black keeps.

A mask is drawn on the picture that everybody sees: 512 rows in Riffusion's geometry, the highest
note on top, 512 columns. It is brought to an engine's own bands by their frequencies.
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

# Each tells, for the time (0 to 1) and the height (0 the lowest note, 1 the highest) of each point,
# whether it is repainted.
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
    """A mask by name, float32 (512, 512), low notes first. InvalidInput lists the names."""
    shape = SHAPES.get(name)
    if shape is None:
        raise InvalidInput("mask", name, f"use one of {', '.join(SHAPES)}")
    height, time = (np.indices((ROWS, COLUMNS), dtype=np.float32) + 0.5) / ROWS
    return shape(time, height).astype(np.float32)


def image_mask(image: Image.Image) -> Mask:
    """A mask from a picture of 512 x 512 pixels: white is 1, repaint.

    Raises InvalidInput for another size: which pixel belongs to which note would be a guess.
    """
    if image.size != (COLUMNS, ROWS):
        legal = f"a mask has {COLUMNS} x {ROWS} pixels, those of a clip's image"
        raise InvalidInput("mask size", image.size, legal)
    return np.asarray(image.convert("L"), dtype=np.float32)[::-1] / np.float32(255)


def mask_picture(mask: Mask) -> Image.Image:
    """The picture of a mask, to look at or to go on drawing."""
    return Image.fromarray((255 * mask[::-1]).round().astype(np.uint8))


def fit_mask(mask: Mask, engine: Engine) -> Mask:
    """(engine mel, engine frames) of a mask of 512 x 512: each band takes the row that holds its
    frequency, bands above the picture its top row."""
    columns = np.arange(engine.frames) * COLUMNS // engine.frames
    return np.ascontiguousarray(mask_rows(mask, engine)[:, columns])


def mask_rows(mask: Mask, engine: Engine) -> Mask:
    """(engine mel, 512): a mask in the bands of an engine, its columns as they are."""
    return mask[_rows(engine.params)]


def read_mask(source: str, engine: Engine) -> Mask:
    """A mask for ``engine`` by name, or from an image file of 512 x 512 pixels."""
    if Path(source).suffix.lower() in READ_SUFFIXES:
        return fit_mask(image_mask(open_image(source)), engine)
    return fit_mask(named_mask(source), engine)


def _rows(params: SpectrogramParams) -> npt.NDArray[np.int64]:
    """For each band the nearest row of Riffusion's picture, counted from the lowest note."""
    if params == RIFFUSION:
        return np.arange(ROWS)
    edges = band_centres_hz(RIFFUSION)
    between = (edges[1:] + edges[:-1]) / 2
    return np.searchsorted(between, band_centres_hz(params))
