"""Spectrogram images of hours: PNG files written and read in memory that does not grow with them.

Time runs along the rows of an image, but a PNG is written row after row, each with all of the
time in it. So the pixels wait in a temporary file, where blocks of columns become rows.
W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from riffusion.audio.waveform import INT16_SCALE
from riffusion.errors import InvalidImage, StorageError
from riffusion.spectral.image import encode_image, image_of_samples, is_stereo, magnitudes_of
from riffusion.spectral.image import pixels as block_pixels
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram, SpectrogramParams, mel_blocks
from riffusion.spectral.tags import ImageInfo, Layout, read_layout, write_tags
from riffusion.storage import writing_whole

Pixels = npt.NDArray[np.uint8]
Read = Callable[[int, int], npt.NDArray[np.float32]]

MAX_COLUMNS = 6 * 3600 * 100  # six hours: 3.3 GB of pixels on the disk while it is made
COLOURS = 3
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">IIBBBBB")
RGB = 2
SUB, UP = 1, 2
STRIP_PIXELS = 1 << 16
CHUNK_BYTES = 1 << 16
CHUNK_HEAD = struct.Struct(">I4s")
MAX_CHUNK = 1 << 24
KEPT_CHUNKS = (b"PLTE", b"tRNS", b"eXIf")
SAMPLES_A_PIXEL = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


class PixelFile:
    """Pixels (rows, columns, 3) in a temporary file; blocks of columns go in, rows come out."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        # Open for as long as this object is.
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115

    def close(self) -> None:
        self._file.close()

    def write(self, row: int, column: int, block: Pixels) -> None:
        """Put ``block`` (rows, columns, 3) where its upper left pixel belongs."""
        for offset, line in enumerate(np.ascontiguousarray(block)):
            place = ((row + offset) * self.columns + column) * COLOURS
            os.pwrite(self._file.fileno(), line.tobytes(), place)

    def read(self, row: int, rows: int, column: int, columns: int) -> Pixels:
        """(rows, columns, 3) from a place on."""
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
    """Write the image of a sound of any length, PNG or JPEG by the suffix of ``path``.

    ``read(start, stop)`` returns those samples, float32 (channels, stop - start), and is called
    over the whole sound twice. Pixels and tags are those of ``to_image``. A JPEG holds at most
    65,535 columns; a PNG of up to six hours needs no more memory than a short one. Raises
    InvalidImage for more, StorageError where the file cannot be written.
    """
    path = Path(path)
    columns = params.frames(samples)
    if path.suffix.lower() != ".png":
        data = encode_image(image_of_samples(read, samples, params, info), path.suffix)
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
        _write_png(file, canvas, _tag_bytes(params, stereo, peak, info))


def png_columns(path: str | os.PathLike[str]) -> int:
    """How wide a PNG says it is; 0 for what is no PNG."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(24)
    except OSError:
        return 0  # whoever reads it will say why it cannot be read
    is_png = len(start) == 24 and start.startswith(SIGNATURE)
    return int.from_bytes(start[16:20], "big") if is_png else 0


@dataclass(frozen=True)
class LongImage:
    """A spectrogram image whose pixels are on the disk."""

    layout: Layout
    stereo: bool
    canvas: PixelFile

    @property
    def frames(self) -> int:
        return self.canvas.columns

    @property
    def channels(self) -> int:
        return 2 if self.stereo else 1

    def cut(self, start: int, stop: int) -> Spectrogram:
        """Frames ``start`` to ``stop`` (not included), as ``from_image`` has them."""
        block = self.canvas.read(0, self.canvas.rows, start, min(stop, self.frames) - start)
        return magnitudes_of(block, self.layout, stereo=self.stereo)


@contextmanager
def open_long_image(path: str | os.PathLike[str]) -> Iterator[LongImage]:
    """The spectrogram image in a PNG file, read strip by strip.

    Raises InvalidImage for what is no PNG, interlaced, damaged, too wide or no spectrogram.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidImage("image", str(path), "no such file; check the name and the folder")
    try:
        with path.open("rb") as file:
            header, chunks = _read_header(file, path.name)
            width, height = header[:2]
            layout = _layout(header, chunks)
            with _pixel_file(height, width) as canvas:
                red, others, row = False, False, 0
                for strip in _strips(file, header, chunks):
                    red = red or bool(strip[..., 0].any())
                    others = others or bool(strip[..., 1:].any())
                    canvas.write(row, 0, strip)
                    row += len(strip)
                yield LongImage(layout, is_stereo(layout, red=red, others=others), canvas)
    except (zlib.error, struct.error, SyntaxError, EOFError) as error:
        legal = f"is damaged or cut off ({error}); save or upload it again"
        raise InvalidImage("image", path.name, legal) from error


@contextmanager
def _pixel_file(rows: int, columns: int) -> Iterator[PixelFile]:
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
    """The EXIF block that ``to_image`` gives an image."""
    image = Image.new("RGB", (1, 1))
    write_tags(image, params, stereo, peak * INT16_SCALE, info)
    return image.getexif().tobytes().removeprefix(b"Exif\0\0")


def _write_png(file: BinaryIO, canvas: PixelFile, tags: bytes) -> None:
    file.write(SIGNATURE)
    _write_chunk(file, b"IHDR", HEADER.pack(canvas.columns, canvas.rows, 8, RGB, 0, 0, 0))
    _write_chunk(file, b"eXIf", tags)
    packer = zlib.compressobj(6)
    before = np.zeros((canvas.columns, COLOURS), np.uint8)
    for row in range(canvas.rows):
        line = canvas.read(row, 1, 0, canvas.columns)[0]
        packed = packer.compress(_filtered(line, before))
        if packed:
            _write_chunk(file, b"IDAT", packed)
        before = line
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def _filtered(line: Pixels, before: Pixels) -> bytes:
    """A row as differences to its left or upper neighbours, whichever are smaller in sum."""
    sub = line.copy()
    sub[1:] -= line[:-1]
    up = line - before
    cost = [int(np.abs(filtered.view(np.int8).astype(np.int16)).sum()) for filtered in (sub, up)]
    kind, filtered = (SUB, sub) if cost[0] <= cost[1] else (UP, up)
    return bytes([kind]) + filtered.tobytes()


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    check = zlib.crc32(data, zlib.crc32(kind))
    file.write(CHUNK_HEAD.pack(len(data), kind))
    file.write(data)
    file.write(struct.pack(">I", check))


Header = tuple[int, int, int, int, int, int, int]


def _read_header(file: BinaryIO, name: str) -> tuple[Header, dict[bytes, bytes]]:
    """Size and kind, and the chunks before the pixels that say how to read them."""
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise InvalidImage("image", name, "is no PNG")
    kept: dict[bytes, bytes] = {}
    header: Header | None = None
    while (head := _chunk_head(file))[1] != b"IDAT":
        length, kind = head
        if length > MAX_CHUNK:
            raise InvalidImage("image", name, f"has a part of {length} bytes before its pixels")
        data = file.read(length)
        file.read(4)
        if kind == b"IHDR":
            header = HEADER.unpack(data)
        elif kind in KEPT_CHUNKS:
            kept[kind] = data
    file.seek(-CHUNK_HEAD.size, os.SEEK_CUR)
    if header is None:
        raise InvalidImage("image", name, "is damaged: it has no size")
    width, height, depth, colours, _, _, interlaced = header
    if depth != 8 or colours not in SAMPLES_A_PIXEL or interlaced:
        raise InvalidImage("image", name, "save it with 8 bits a channel, not interlaced")
    if not 2 <= width <= MAX_COLUMNS:
        raise InvalidImage("image width", width, f"use 2 to {MAX_COLUMNS} columns (six hours)")
    if height > RIFFUSION.mel_bands * 4:
        raise InvalidImage("image height", height, "a spectrogram image has 512 rows")
    return header, kept


def _chunk_head(file: BinaryIO) -> tuple[int, bytes]:
    length, kind = CHUNK_HEAD.unpack(file.read(CHUNK_HEAD.size))
    return length, kind


def _layout(header: Header, chunks: dict[bytes, bytes]) -> Layout:
    height, colours = header[1], header[3]
    pixel = bytes(1 + SAMPLES_A_PIXEL[colours])
    layout = read_layout(_small_png((1, *header[1:]), chunks, pixel, 1))
    if height != layout.rows:
        legal = f"a spectrogram image has {layout.rows} rows, one a frequency band"
        raise InvalidImage("image height", height, legal)
    return layout


def _strips(file: BinaryIO, header: Header, chunks: dict[bytes, bytes]) -> Iterator[Pixels]:
    """The rows of a PNG as RGB, a few at a time."""
    width, height, _, colours = header[:4]
    stride = 1 + width * SAMPLES_A_PIXEL[colours]
    inflated = _Inflated(file)
    before = bytes(stride)
    most = max(1, STRIP_PIXELS // width)
    for row in range(0, height, most):
        rows = min(most, height - row)
        lines = inflated.take(rows * stride)
        strip = _small_png(header, chunks, before + lines, rows + 1)
        try:
            strip.load()
        except OSError as error:
            raise EOFError(f"its rows make no sense: {error}") from error
        # Filters look at the row above: it leads the next strip, unfiltered.
        before = b"\0" + np.asarray(strip)[-1].tobytes()
        yield np.asarray(strip.convert("RGB"))[1:]


class _Inflated:
    """What the IDAT chunks of a PNG hold, unpacked no further than it is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacker = zlib.decompressobj()
        self._left = 0

    def take(self, wanted: int) -> bytes:
        taken = bytearray()
        while len(taken) < wanted:
            packed = self._unpacker.unconsumed_tail or self._packed()
            taken += self._unpacker.decompress(packed, wanted - len(taken))
        return bytes(taken)

    def _packed(self) -> bytes:
        while not self._left:
            length, kind = _chunk_head(self._file)
            if kind != b"IDAT":
                raise EOFError("its pixels end too early")
            self._left = length
        data = self._file.read(min(self._left, CHUNK_BYTES))
        if not data:
            raise EOFError("the file ends too early")
        self._left -= len(data)
        if not self._left:
            self._file.read(4)  # the check sum: zlib has its own
        return data


def _small_png(
    header: tuple[int, ...], chunks: dict[bytes, bytes], rows: bytes, height: int
) -> Image.Image:
    """Some rows, filtered as they are, as an image of their own that Pillow decodes."""
    data = io.BytesIO()
    data.write(SIGNATURE)
    _write_chunk(data, b"IHDR", HEADER.pack(header[0], height, *header[2:]))
    for kind, content in chunks.items():
        _write_chunk(data, kind, content)
    _write_chunk(data, b"IDAT", zlib.compress(rows, 0))
    _write_chunk(data, b"IEND", b"")
    return Image.open(io.BytesIO(data.getvalue()), formats=("PNG",))
