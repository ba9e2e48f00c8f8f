"""Image files: read from a path or from bytes, and written with their tags."""

from __future__ import annotations

import io
import math
import os
import struct
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from riffusion.errors import InvalidImage
from riffusion.storage import write_whole

MAX_PIXELS = 512 * 100 * 60 * 29  # 29 minutes; a bigger image would be refused by Pillow itself
MAX_BYTES = 4 * MAX_PIXELS
READ_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
READ_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
WRITTEN_AS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def open_image(source: str | os.PathLike[str] | bytes) -> Image.Image:
    """Read any picture. Raises InvalidImage where it is missing, damaged or far too large."""
    name, data = _name_and_bytes(source)
    try:
        image = Image.open(io.BytesIO(data), formats=READ_FORMATS)
        if math.prod(image.size) > MAX_PIXELS:
            raise Image.DecompressionBombError
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        hint = f"has too many pixels; use at most {MAX_PIXELS} (29 minutes)"
        raise InvalidImage("image", name, hint) from error
    except UnidentifiedImageError as error:
        raise InvalidImage("image", name, "is no image we can read; use PNG or JPEG") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
        hint = f"is damaged or cut off ({error}); save or upload it again"
        raise InvalidImage("image", name, hint) from error
    return image


def write_image(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write an image with its tags as PNG (exact) or JPEG (smaller, lossy).

    Parameters
    ----------
    image : PIL.Image.Image
        The image.
    path : str or path
        Ends in .png, .jpg or .jpeg.

    Raises
    ------
    InvalidImage
        For another suffix, or an image too wide for a JPEG.
    StorageError
        Where the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> image = riffusion.audio_to_image(riffusion.Waveform(np.zeros((1, 44100)), 44100))
    >>> riffusion.write_image(image, "silence.jpg")
    """
    write_whole(path, encode_image(image, Path(path).suffix))


def encode_image(image: Image.Image, suffix: str = ".png") -> bytes:
    """Return the bytes of an image file of the format of ``suffix``, with its tags.

    Raises InvalidImage for another suffix or an image that the format cannot hold.
    """
    form = WRITTEN_AS.get(suffix.lower())
    if form is None:
        raise InvalidImage("image format", suffix, "use " + ", ".join(WRITTEN_AS))
    buffer = io.BytesIO()
    # JPEG: full colour resolution, or the two sides of a stereo image would mix.
    settings = {} if form == "PNG" else {"quality": 95, "subsampling": 0}
    try:
        image.save(buffer, form, exif=image.getexif(), **settings)
    except (OSError, ValueError) as error:
        hint = f"{form} cannot hold it ({error}); write a .png"
        raise InvalidImage("image size", image.size, hint) from error
    return buffer.getvalue()


def _name_and_bytes(source: str | os.PathLike[str] | bytes) -> tuple[str, bytes]:
    """Return the name of an image for messages, and its bytes. Raises InvalidImage."""
    if isinstance(source, bytes):
        name, size = f"{len(source)} bytes", len(source)
    else:
        path = Path(source)
        if not path.is_file():
            hint = "no such file; check the name and the folder"
            raise InvalidImage("image", str(source), hint)
        name, size = path.name, path.stat().st_size
    if size == 0:
        raise InvalidImage("image", name, "is empty (0 bytes); save or upload it again")
    if size > MAX_BYTES:
        raise InvalidImage("image", name, f"is larger than {MAX_BYTES // 10**6} MB; cut it first")
    return name, source if isinstance(source, bytes) else Path(source).read_bytes()
