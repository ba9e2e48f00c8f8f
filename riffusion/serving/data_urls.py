"""Data URLs hold audio and images inside JSON; they are read, checked and written here."""

from __future__ import annotations

import base64
import binascii
import tempfile
from pathlib import Path

from PIL import Image

from riffusion.audio.waveform import Waveform, read_audio, read_ending
from riffusion.errors import InvalidInput
from riffusion.spectral.image import open_image, read_image

LEGAL = "send it as a data URL, data:audio/mpeg;base64,... or data:image/png;base64,..."


def is_upload(text: str) -> bool:
    """Return whether ``text`` is a data URL rather than a name."""
    return text.startswith("data:")


def is_image(text: str) -> bool:
    """Return whether ``text`` is the data URL of an image."""
    return text.startswith("data:image/")


def uploaded_bytes(what: str, url: str) -> bytes:
    """Return the content of a base64 data URL. Raises InvalidInput, calling it ``what``."""
    head, comma, body = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise InvalidInput(what, head, LEGAL)
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise InvalidInput(what, body[:40], f"is no base64 ({error}); {LEGAL}") from error


def uploaded_sound(what: str, url: str, last_s: float | None = None) -> Waveform:
    """Return the audio of a data URL, or its last seconds, in any format that files may have.

    The format is told from the content. Raises InvalidAudio for what is no audio.
    """
    with tempfile.TemporaryDirectory(prefix="riffusion-") as folder:
        path = Path(folder) / what
        path.write_bytes(uploaded_bytes(what, url))
        return read_audio(path) if last_s is None else read_ending(path, last_s)[0]


def uploaded_spectrogram(what: str, url: str) -> Image.Image:
    """Return the spectrogram image of a data URL. Raises InvalidImage for any other."""
    return read_image(uploaded_bytes(what, url))


def uploaded_picture(what: str, url: str) -> Image.Image:
    """Return the picture of a data URL. Raises InvalidImage for what is no image."""
    return open_image(uploaded_bytes(what, url))


def data_url(media_type: str, data: bytes) -> str:
    """Return ``data`` as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
