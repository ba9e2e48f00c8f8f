"""The route that turns spectrogram images into sound."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from riffusion.audio.waveform import encode_audio
from riffusion.errors import InvalidInput
from riffusion.serving.data_urls import uploaded_spectrogram
from riffusion.serving.downloads import MEDIA_TYPES
from riffusion.serving.routes import ApiRoute
from riffusion.serving.services import Services
from riffusion.spectral.image import WRITTEN_AS as IMAGES
from riffusion.spectral.image import image_to_audio
from riffusion.spectral.tags import read_layout

# Others listen meanwhile: this takes a core for two minutes.
MAX_S = 600.0
SOUNDS = {name: kind for name, kind in MEDIA_TYPES.items() if f".{name}" not in IMAGES}


class DecodeRequest(BaseModel):
    """A spectrogram image to be played."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str = Field(
        description="A spectrogram image as a data URL", examples=["data:image/png;base64,..."]
    )
    extend_band: bool = Field(
        default=False, description="Guess what lies above the image's range, up to 20 kHz"
    )


class ImageApi:
    """The endpoint that decodes images."""

    def __init__(self, services: Services) -> None:
        self._background = services.background

    def router(self) -> APIRouter:
        """Return the route."""
        router = APIRouter(route_class=ApiRoute, tags=["clips"])
        router.post("/api/decode.{suffix}", response_class=Response)(self.decode)
        return router

    async def decode(self, suffix: str, request: DecodeRequest) -> Response:
        """Turn a spectrogram image into sound, as a file (mp3, wav, flac, ogg)."""
        async with self._background:
            return await asyncio.to_thread(_sound_file, suffix, request)


def _sound_file(suffix: str, request: DecodeRequest) -> Response:
    """Decode an image. Raises InvalidInput for an unknown format, or an image too long."""
    if suffix not in SOUNDS:
        raise InvalidInput("file format", suffix, f"use one of {', '.join(SOUNDS)}")
    image = uploaded_spectrogram("image", request.image)
    length_s = image.width * read_layout(image).params.frame_s
    if length_s > MAX_S:
        hint = f"use at most {MAX_S:g} s; the command line decodes longer ones"
        raise InvalidInput("image length", f"{length_s:.0f} s", hint)
    sound = image_to_audio(image, extended=request.extend_band)
    return Response(encode_audio(sound, f".{suffix}"), media_type=SOUNDS[suffix])
