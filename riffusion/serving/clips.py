"""The routes of single clips: the original Riffusion's endpoint, and our own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Protocol

from fastapi import APIRouter, Query
from fastapi.responses import Response
from PIL import Image

from riffusion.audio.waveform import Waveform, encode_audio
from riffusion.compat.inference import InferenceInput, resolve_clip_request
from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine
from riffusion.engines.rendering import clip_image, clip_sound
from riffusion.errors import InvalidInput
from riffusion.serving.data_urls import data_url
from riffusion.serving.files import check_suffix, encode_file
from riffusion.serving.requests import MAX_STEPS, ClipApiRequest
from riffusion.serving.responses import ClipResponse, InferenceOutput
from riffusion.serving.routes import ApiRoute
from riffusion.serving.services import Services
from riffusion.spectral.image import encode_image
from riffusion.spectral.tags import ImageInfo


class DescribedRequest(Protocol):
    """A request for a clip that can describe the clip, in whichever format it was sent."""

    def info(self, engine: str) -> ImageInfo:
        """Return the description that the image of the clip carries."""
        ...


class ClipApi:
    """The endpoints that generate clips. They wait while streams need the engine."""

    def __init__(self, services: Services) -> None:
        self._registry = services.registry
        self._engine = services.registry.engine
        self._background = services.background

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(route_class=ApiRoute)
        router.post("/run_inference/", tags=["original"])(self.run_inference)
        router.post("/run_inference", include_in_schema=False)(self.run_inference)
        router.post("/api/clips", tags=["clips"])(self.make_clip)
        router.get("/api/clip.{suffix}", tags=["clips"], response_class=Response)(self.clip_file)
        return router

    async def run_inference(self, inputs: InferenceInput) -> InferenceOutput:
        """Make a clip on the way between two prompts, as the original Riffusion's endpoint did."""
        check_steps(inputs.num_inference_steps)
        sound, image = await self._make(inputs, lambda engine: resolve_clip_request(inputs, engine))
        return await asyncio.to_thread(_inference_output, sound, image)

    async def make_clip(self, request: ClipApiRequest) -> ClipResponse:
        """Make one clip of a prompt, and return its sound and its image as data URLs."""
        check_steps(request.steps)
        sound, image = await self._make(request, request.request)
        return await asyncio.to_thread(_clip_response, sound, image, self._engine.name)

    async def clip_file(self, suffix: str, request: Annotated[ClipApiRequest, Query()]) -> Response:
        """Make one clip as a file: sound (mp3, wav, flac, ogg) or its spectrogram (png, jpg)."""
        check_suffix(suffix)
        check_steps(request.steps)
        sound, image = await self._make(request, request.request)
        return await asyncio.to_thread(encode_file, suffix, sound, image)

    async def _make(
        self, request: DescribedRequest, read: Callable[[Engine], ClipRequest]
    ) -> tuple[Waveform, Image.Image]:
        """Generate a clip, and return its sound and its image. ``read`` asks the engine for it."""
        engine = self._engine
        info = request.info(engine.name)
        async with self._background:
            asked = await asyncio.to_thread(read, engine)
        (spectrogram,) = await self._registry.run_one_off(lambda: engine.generate([asked]))
        async with self._background:
            sound = await asyncio.to_thread(clip_sound, spectrogram, engine.vocoder)
            return sound, await asyncio.to_thread(clip_image, spectrogram, sound, info)


def check_steps(steps: int) -> None:
    """Raise InvalidInput for more or fewer steps than one request may take."""
    if not 1 <= steps <= MAX_STEPS:
        hint = f"use a whole number from 1 to {MAX_STEPS}; the command line takes more"
        raise InvalidInput("steps", steps, hint)


def _inference_output(sound: Waveform, image: Image.Image) -> InferenceOutput:
    return InferenceOutput(
        image=data_url("image/jpeg", encode_image(image, ".jpg")),
        audio=data_url("audio/mpeg", encode_audio(sound, ".mp3")),
        duration_s=sound.duration_s,
    )


def _clip_response(sound: Waveform, image: Image.Image, engine: str) -> ClipResponse:
    return ClipResponse(
        image=data_url("image/png", encode_image(image)),
        audio=data_url("audio/wav", encode_audio(sound, ".wav")),
        duration_s=sound.duration_s,
        sample_rate=sound.sample_rate,
        engine=engine,
    )
