"""The files that clips are sent as: sound or spectrogram, by suffix."""

from __future__ import annotations

from fastapi.responses import Response
from PIL import Image

from riffusion.audio.waveform import Waveform, encode_audio
from riffusion.errors import InvalidInput
from riffusion.serving.downloads import MEDIA_TYPES
from riffusion.spectral.image import WRITTEN_AS as IMAGES
from riffusion.spectral.image import encode_image

FILES = {**MEDIA_TYPES, "jpg": "image/jpeg"}


def check_suffix(suffix: str) -> None:
    """Raise InvalidInput for a format that no clip is sent in."""
    if suffix not in FILES:
        raise InvalidInput("file format", suffix, f"use one of {', '.join(FILES)}")


def encode_file(suffix: str, sound: Waveform, image: Image.Image) -> Response:
    """Return a clip as a response in the format of a suffix that ``check_suffix`` takes."""
    is_image = f".{suffix}" in IMAGES
    data = encode_image(image, f".{suffix}") if is_image else encode_audio(sound, f".{suffix}")
    return Response(data, media_type=FILES[suffix])
