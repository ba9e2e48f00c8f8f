"""The HTTP API: the original Riffusion's endpoint, and our own.

    POST /run_inference/         a clip as the original's web app asks for it
    POST /api/clips              a clip of a prompt: settings as JSON
    GET  /api/clip.mp3?prompt=   the same as a file; also .wav .flac .ogg .png .jpg
    POST /api/decode.mp3         a spectrogram image as sound; also .wav .flac .ogg
    POST /api/songs/plan         a song from a line, as a plan to edit
    POST /api/songs/check        whether a plan can be played
    POST /api/songs/render.mp3   a plan as a file; also .wav .flac .ogg
    GET  /api/anchors            the library of clips to start from
    GET  /api/anchors/{id}.png   the spectrogram of one; also .mp3 .wav .flac .ogg .jpg
    GET  /api/masks              what can be repainted
    GET  /api/masks/{name}.png   the picture of a mask
    GET  /api/health             whether the server is well, and how busy
    GET  /api                    this list for people; /api/openapi.json for programs

Errors are JSON: {"error": what is wrong and what to do}.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from PIL import Image
from starlette.routing import BaseRoute

from riffusion.audio.waveform import Waveform, encode_audio
from riffusion.compat.inference import InferenceInput, resolve_clip_request
from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine
from riffusion.engines.rendering import clip_image, clip_sound
from riffusion.errors import InvalidInput
from riffusion.jam.anchors import anchor_image, anchor_sound, find_anchor, library
from riffusion.jam.masks import SHAPES, mask_picture, named_mask
from riffusion.live.registry import JamRegistry
from riffusion.serving.data_urls import data_url
from riffusion.serving.downloads import MEDIA_TYPES
from riffusion.serving.images import ImageApi
from riffusion.serving.openapi import api_page, document
from riffusion.serving.requests import ClipApiRequest
from riffusion.serving.responses import (
    AnchorEntry,
    ApiRoute,
    ClipResponse,
    Health,
    InferenceOutput,
    MaskEntry,
)
from riffusion.serving.songs import SongApi
from riffusion.spectral.image import WRITTEN_AS as IMAGES
from riffusion.spectral.image import encode_image
from riffusion.spectral.tags import ImageInfo

# Others listen while a clip is made.
MAX_STEPS = 100
FILES = {**MEDIA_TYPES, "jpg": "image/jpeg"}


class Order(Protocol):
    """What a request for a clip knows, whoever's format it came in."""

    def info(self, engine: str) -> ImageInfo: ...


class Api:
    """The endpoints, on one stage."""

    def __init__(self, stage: JamRegistry) -> None:
        self._stage = stage
        self._engine = stage.engine
        self.songs, self.images = SongApi(stage), ImageApi(stage)
        self._document: dict[str, Any] = {}

    def routes(self) -> list[BaseRoute]:
        """All routes, for ``demo.launch(app_kwargs={"routes": ...})``."""
        router = APIRouter(route_class=ApiRoute)
        router.post("/run_inference/", tags=["original"])(self.run_inference)
        router.post("/run_inference", include_in_schema=False)(self.run_inference)
        router.post("/api/clips", tags=["clips"])(self.make_clip)
        router.get("/api/clip.{suffix}", tags=["clips"], response_class=Response)(self.clip_file)
        router.post("/api/decode.{suffix}", tags=["clips"], response_class=Response)(
            self.images.decode
        )
        router.post("/api/songs/plan", tags=["songs"])(self.songs.plan)
        router.post("/api/songs/check", tags=["songs"])(self.songs.check)
        router.post("/api/songs/render.{suffix}", tags=["songs"], response_class=Response)(
            self.songs.render
        )
        router.get("/api/anchors", tags=["library"])(self.anchors)
        router.get("/api/anchors/{name}.{suffix}", tags=["library"], response_class=Response)(
            self.anchor_file
        )
        router.get("/api/masks", tags=["library"])(self.masks)
        router.get("/api/masks/{name}.png", tags=["library"], response_class=Response)(
            self.mask_file
        )
        router.get("/api/health", tags=["server"])(self.health)
        self._document = document(router.routes)
        router.get("/api/openapi.json", include_in_schema=False)(self.openapi)
        router.get("/api", include_in_schema=False)(self.page)
        return list(router.routes)

    async def run_inference(self, inputs: InferenceInput) -> InferenceOutput:
        """A clip on the way between two prompts: the original Riffusion's endpoint."""
        check_steps(inputs.num_inference_steps)
        sound, image = await self._make(inputs, lambda engine: resolve_clip_request(inputs, engine))
        return await asyncio.to_thread(_inference_output, sound, image)

    async def make_clip(self, order: ClipApiRequest) -> ClipResponse:
        """One clip of a prompt, its sound and its image as data URLs."""
        check_steps(order.steps)
        sound, image = await self._make(order, order.request)
        return await asyncio.to_thread(_clip_answer, sound, image, self._engine.name)

    async def clip_file(self, suffix: str, order: Annotated[ClipApiRequest, Query()]) -> Response:
        """One clip as a file: sound (mp3, wav, flac, ogg) or its spectrogram (png, jpg)."""
        check_suffix(suffix)
        check_steps(order.steps)
        sound, image = await self._make(order, order.request)
        return await asyncio.to_thread(_file, suffix, sound, image)

    async def anchors(self) -> list[AnchorEntry]:
        """The library of clips to start from."""
        return [
            AnchorEntry(
                id=anchor.id,
                prompt=anchor.prompt,
                bpm=anchor.bpm,
                key=anchor.key,
                image=f"/api/anchors/{anchor.id}.png",
                audio=f"/api/anchors/{anchor.id}.mp3",
            )
            for anchor in library()
        ]

    async def anchor_file(self, name: str, suffix: str) -> Response:
        """A clip of the library as a file."""
        check_suffix(suffix)
        anchor = find_anchor(name)

        def make() -> Response:
            return _file(suffix, anchor_sound(anchor), anchor_image(anchor))

        return await asyncio.to_thread(make)

    async def masks(self) -> list[MaskEntry]:
        """The masks by name."""
        return [MaskEntry(name=name, image=f"/api/masks/{name}.png") for name in SHAPES]

    async def mask_file(self, name: str) -> Response:
        """The picture of a mask: white is repainted."""
        picture = mask_picture(named_mask(name))
        return Response(encode_image(picture), media_type="image/png")

    async def health(self) -> Health:
        """Whether the server is well, and how busy."""
        return Health(status="ok", engine=self._engine.name, jams_playing=len(self._stage.playing))

    async def openapi(self) -> JSONResponse:
        return JSONResponse(self._document)

    async def page(self, request: Request) -> HTMLResponse:
        return HTMLResponse(api_page(self._document, str(request.base_url).rstrip("/")))

    async def _make(
        self, order: Order, ask: Callable[[Engine], ClipRequest]
    ) -> tuple[Waveform, Image.Image]:
        """The sound and the image of what ``ask`` asks of the engine."""
        engine = self._engine
        info = order.info(engine.name)
        # What is not the engine's work takes a core: one at a time, so that the music goes on.
        async with self._stage.exports:
            asked = await asyncio.to_thread(ask, engine)
        (spectrogram,) = await self._stage.perform(lambda: engine.generate([asked]))
        async with self._stage.exports:
            sound = await asyncio.to_thread(clip_sound, spectrogram, engine.vocoder)
            return sound, await asyncio.to_thread(clip_image, spectrogram, sound, info)


def check_steps(steps: int) -> None:
    """Raise InvalidInput for more or fewer steps than one request may take."""
    if not 1 <= steps <= MAX_STEPS:
        legal = f"use a whole number from 1 to {MAX_STEPS}; the command line takes more"
        raise InvalidInput("steps", steps, legal)


def check_suffix(suffix: str) -> None:
    if suffix not in FILES:
        raise InvalidInput("file format", suffix, f"use one of {', '.join(FILES)}")


def _inference_output(sound: Waveform, image: Image.Image) -> InferenceOutput:
    return InferenceOutput(
        image=data_url("image/jpeg", encode_image(image, ".jpg")),
        audio=data_url("audio/mpeg", encode_audio(sound, ".mp3")),
        duration_s=sound.duration_s,
    )


def _clip_answer(sound: Waveform, image: Image.Image, engine: str) -> ClipResponse:
    return ClipResponse(
        image=data_url("image/png", encode_image(image)),
        audio=data_url("audio/wav", encode_audio(sound, ".wav")),
        duration_s=sound.duration_s,
        sample_rate=sound.sample_rate,
        engine=engine,
    )


def _file(suffix: str, sound: Waveform, image: Image.Image) -> Response:
    is_image = f".{suffix}" in IMAGES
    data = encode_image(image, f".{suffix}") if is_image else encode_audio(sound, f".{suffix}")
    return Response(data, media_type=FILES[suffix])
