"""Spectrogram images of hours, written and read as PNG files in bounded memory.

Time runs along the rows of an image, and a PNG is written row after row, so each row needs all of
the sound. The pixels therefore wait in a temporary file, where blocks of columns become rows.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from riffusion.audio.waveform import INT16_SCALE
from riffusion.errors import InvalidImage, StorageError
from riffusion.spectral.image import encode_image, is_stereo, pixels_to_magnitudes, samples_to_image
from riffusion.spectral.image import pixels as block_pixels
from riffusion.spectral.png import (
    COLOURS,
    SAMPLES_A_PIXEL,
    SIGNATURE,
    Header,
    Pixels,
    read_header,
    read_strips,
    small_png,
    write_png,
)
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram, SpectrogramParams, mel_blocks
from riffusion.spectral.tags import ImageInfo, Layout, read_layout, write_tags
from riffusion.storage import writing_whole

Read = Callable[[int, int], npt.NDArray[np.float32]]

MAX_ROWS = 4 * RIFFUSION.mel_bands
MAX_COLUMNS = 6 * 3600 * 100  # six hours: 3.3 GB of pixels on the disk while it is made


class PixelFile:
    """Pixels (rows, columns, 3) in a temporary file, written in blocks and read in rows."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        # Open for as long as this object is.
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115

    def close(self) -> None:
        """Delete the file."""
        self._file.close()

    def write(self, row: int, column: int, block: Pixels) -> None:
        """Write ``block`` (rows, columns, 3) with its upper left pixel at a row and column."""
        for offset, line in enumerate(np.ascontiguousarray(block)):
            place = ((row + offset) * self.columns + column) * COLOURS
            os.pwrite(self._file.fileno(), line.tobytes(), place)

    def read(self, row: int, rows: int, column: int, columns: int) -> Pixels:
        """Return pixels (rows, columns, 3) whose upper left one is at ``row`` and ``column``."""
        lines = [
            os.pread(
                self._file.fileno(), columns * COLOURS, (line * self.columns + column) * COLOURS
            )
            for line in range(row, row + rows)
        ]
        return np.frombuffer(b"".join(lines), np.uint8).reshape(rows, columns, COLOURS)


def write_sound_image(
    path: str | os.PathLike[str],
    read: Read,
    samples: int,
    params: SpectrogramParams = RIFFUSION,
    info: ImageInfo | None = None,
) -> None:
    """Write the spectrogram image of a sound of any length.

    Pixels and tags are those of ``to_image``. A PNG needs no more memory than a short one.

    Parameters
    ----------
    path : str or path
        Ends in .png (up to six hours), .jpg or .jpeg (up to 65,535 columns).
    read : callable
        ``read(start, stop)`` returns samples, float32 (channels, stop - start), at the sample rate
        of ``params``. It is called over the whole sound twice.
    samples : int
        The length of the sound.
    params : SpectrogramParams
        The time and frequency grid.
    info : ImageInfo, optional
        Where the music comes from.

    Raises
    ------
    InvalidImage
        For another suffix or a longer sound.
    StorageError
        Where the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> def read(start, stop):
    ...     return np.zeros((2, stop - start), np.float32)
    >>> riffusion.write_sound_image("silence.png", read, 44100)
    """
    path = Path(path)
    columns = params.frames(samples)
    if path.suffix.lower() != ".png":
        data = encode_image(samples_to_image(read, samples, params, info), path.suffix)
        with writing_whole(path) as file:
            file.write(data)
        return
    if columns > MAX_COLUMNS:
        raise InvalidImage("image width", columns, f"use at most {MAX_COLUMNS}; make several")
    peak = max(float(block.max()) for block in mel_blocks(read, samples, params))
    with _pixel_file(params.mel_bands, columns) as canvas, writing_whole(path) as file:
        column, stereo = 0, False
        for block in mel_blocks(read, samples, params):
            stereo = block.shape[0] == 2
            canvas.write(0, column, block_pixels(block, peak))
            column += block.shape[2]
        tags = _tag_bytes(params, stereo, peak, info)
        write_png(file, canvas.rows, columns, lambda row: canvas.read(row, 1, 0, columns)[0], tags)


def png_columns(path: str | os.PathLike[str]) -> int:
    """Return the width in the header of a PNG file, 0 for a file that is no PNG."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(24)
    except OSError:
        return 0  # the function that reads the image says why it cannot be read
    is_png = len(start) == 24 and start.startswith(SIGNATURE)
    return int.from_bytes(start[16:20], "big") if is_png else 0


@dataclass(frozen=True)
class LongImage:
    """A spectrogram image whose pixels are on the disk.

    ``layout`` says how ``canvas`` is read, and ``stereo`` whether it has two channels.
    """

    layout: Layout
    stereo: bool
    canvas: PixelFile

    @property
    def frames(self) -> int:
        """The number of columns."""
        return self.canvas.columns

    @property
    def channels(self) -> int:
        """One or two."""
        return 2 if self.stereo else 1

    def cut(self, start: int, stop: int) -> Spectrogram:
        """Return the frames from ``start`` to ``stop`` (not included), as ``from_image`` does."""
        block = self.canvas.read(0, self.canvas.rows, start, min(stop, self.frames) - start)
        return pixels_to_magnitudes(block, self.layout, stereo=self.stereo)


@contextmanager
def open_long_image(path: str | os.PathLike[str]) -> Iterator[LongImage]:
    """Open the spectrogram image in a PNG file of any length, for a ``with`` block.

    Parameters
    ----------
    path : str or path
        A PNG file.

    Yields
    ------
    LongImage
        The image; its ``cut(start, stop)`` returns frames as a ``Spectrogram``.

    Raises
    ------
    InvalidImage
        For a file that is no PNG, interlaced, damaged, too wide or no spectrogram.
    StorageError
        Where the disk has no room for the pixels.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> image = riffusion.audio_to_image(riffusion.Waveform(np.zeros((1, 44100)), 44100))
    >>> riffusion.write_image(image, "silence.png")
    >>> with riffusion.open_long_image("silence.png") as long_image:
    ...     long_image.frames, long_image.cut(10, 20).magnitudes.shape
    (101, torch.Size([1, 512, 10]))
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidImage("image", str(path), "no such file; check the name and the folder")
    try:
        with path.open("rb") as file:
            header, chunks = read_header(file, path.name, MAX_COLUMNS, MAX_ROWS)
            width, height = header[:2]
            layout = _layout(header, chunks)
            with _pixel_file(height, width) as canvas:
                red, others, row = False, False, 0
                for strip in read_strips(file, header, chunks):
                    red = red or bool(strip[..., 0].any())
                    others = others or bool(strip[..., 1:].any())
                    canvas.write(row, 0, strip)
                    row += len(strip)
                yield LongImage(layout, is_stereo(layout, red=red, others=others), canvas)
    except (zlib.error, struct.error, SyntaxError, EOFError) as error:
        hint = f"is damaged or cut off ({error}); save or upload it again"
        raise InvalidImage("image", path.name, hint) from error


@contextmanager
def _pixel_file(rows: int, columns: int) -> Iterator[PixelFile]:
    """Yield an empty file of pixels. Raises StorageError where the disk is full."""
    canvas = PixelFile(rows, columns)
    try:
        yield canvas
    except OSError as error:
        raise StorageError(
            f"could not keep the pixels of a long image: {error.strerror or error}; "
            "free some space, or point TMPDIR to a disk that has some"
        ) from error
    finally:
        canvas.close()


def _tag_bytes(
    params: SpectrogramParams, stereo: bool, peak: float, info: ImageInfo | None
) -> bytes:
    """Return the EXIF block that ``to_image`` gives an image."""
    image = Image.new("RGB", (1, 1))
    write_tags(image, params, stereo, peak * INT16_SCALE, info)
    return image.getexif().tobytes().removeprefix(b"Exif\0\0")


def _layout(header: Header, chunks: dict[bytes, bytes]) -> Layout:
    """Return how to read a PNG. Raises InvalidImage where it is no spectrogram."""
    height, colours = header[1], header[3]
    pixel = bytes(1 + SAMPLES_A_PIXEL[colours])
    layout = read_layout(small_png((1, *header[1:]), chunks, pixel, 1))
    if height != layout.rows:
        hint = f"a spectrogram image has {layout.rows} rows, one a frequency band"
        raise InvalidImage("image height", height, hint)
    return layout
