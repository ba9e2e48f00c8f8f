"""PNG files written row by row and read strip by strip.

W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from riffusion.errors import InvalidImage

Pixels = npt.NDArray[np.uint8]
Header = tuple[int, int, int, int, int, int, int]

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


def write_png(
    file: BinaryIO, rows: int, columns: int, read_row: Callable[[int], Pixels], tags: bytes
) -> None:
    """Write an RGB PNG with EXIF ``tags``; ``read_row(row)`` returns pixels (columns, 3)."""
    file.write(SIGNATURE)
    _write_chunk(file, b"IHDR", HEADER.pack(columns, rows, 8, RGB, 0, 0, 0))
    _write_chunk(file, b"eXIf", tags)
    packer = zlib.compressobj(6)
    before = np.zeros((columns, COLOURS), np.uint8)
    for row in range(rows):
        line = read_row(row)
        packed = packer.compress(_filtered(line, before))
        if packed:
            _write_chunk(file, b"IDAT", packed)
        before = line
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def _filtered(line: Pixels, before: Pixels) -> bytes:
    """Return a row as differences to its left or upper neighbours, whichever are smaller."""
    sub = line.copy()
    sub[1:] -= line[:-1]
    up = line - before
    cost = [int(np.abs(filtered.view(np.int8).astype(np.int16)).sum()) for filtered in (sub, up)]
    kind, filtered = (SUB, sub) if cost[0] <= cost[1] else (UP, up)
    return bytes([kind]) + filtered.tobytes()


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    """Write a chunk with its length and check sum."""
    check = zlib.crc32(data, zlib.crc32(kind))
    file.write(CHUNK_HEAD.pack(len(data), kind))
    file.write(data)
    file.write(struct.pack(">I", check))


def read_header(
    file: BinaryIO, name: str, max_width: int, max_height: int
) -> tuple[Header, dict[bytes, bytes]]:
    """Return the header, and the chunks before the pixels that say how to read them.

    Raises InvalidImage for what is no PNG, too large or of a kind that is not read.
    """
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
    if not 2 <= width <= max_width:
        raise InvalidImage("image width", width, f"use 2 to {max_width} columns (six hours)")
    if height > max_height:
        raise InvalidImage("image height", height, "a spectrogram image has 512 rows")
    return header, kept


def _chunk_head(file: BinaryIO) -> tuple[int, bytes]:
    """Return the length and the kind of the chunk that begins here."""
    length, kind = CHUNK_HEAD.unpack(file.read(CHUNK_HEAD.size))
    return length, kind


def read_strips(file: BinaryIO, header: Header, chunks: dict[bytes, bytes]) -> Iterator[Pixels]:
    """Yield the rows of a PNG as RGB (rows, columns, 3), a few at a time."""
    width, height, _, colours = header[:4]
    row_bytes = 1 + width * SAMPLES_A_PIXEL[colours]
    inflated = _Inflated(file)
    before = bytes(row_bytes)
    max_rows = max(1, STRIP_PIXELS // width)
    for row in range(0, height, max_rows):
        rows = min(max_rows, height - row)
        lines = inflated.take(rows * row_bytes)
        strip = small_png(header, chunks, before + lines, rows + 1)
        try:
            strip.load()
        except OSError as error:
            raise EOFError(f"its rows make no sense: {error}") from error
        # Filters look at the row above: it leads the next strip, unfiltered.
        before = b"\0" + np.asarray(strip)[-1].tobytes()
        yield np.asarray(strip.convert("RGB"))[1:]


class _Inflated:
    """The contents of the IDAT chunks of a PNG, decompressed as they are needed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacker = zlib.decompressobj()
        self._left = 0

    def take(self, wanted: int) -> bytes:
        """Return the next ``wanted`` bytes. Raises EOFError where there are fewer."""
        taken = bytearray()
        while len(taken) < wanted:
            packed = self._unpacker.unconsumed_tail or self._packed()
            taken += self._unpacker.decompress(packed, wanted - len(taken))
        return bytes(taken)

    def _packed(self) -> bytes:
        """Return the next compressed bytes. Raises EOFError at the end of the pixels."""
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
            self._file.read(4)  # the check sum, as zlib has its own
        return data


def small_png(
    header: tuple[int, ...], chunks: dict[bytes, bytes], rows: bytes, height: int
) -> Image.Image:
    """Return some filtered rows as an image of their own, which Pillow decodes."""
    data = io.BytesIO()
    data.write(SIGNATURE)
    _write_chunk(data, b"IHDR", HEADER.pack(header[0], height, *header[2:]))
    for kind, content in chunks.items():
        _write_chunk(data, kind, content)
    _write_chunk(data, b"IDAT", zlib.compress(rows, 0))
    _write_chunk(data, b"IEND", b"")
    return Image.open(io.BytesIO(data.getvalue()), formats=("PNG",))
