"""The whole HTTP API: the routers of all rooms, the API's own description, and the health check.

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
    POST /jam/own                upload a sound or a mask to start from; returns its name
    POST /jam/recording          upload a recording to go on from; returns what is heard in it
    GET  /jam/own/{name}         an upload as it was kept: FLAC or PNG
    GET  /api/health             whether the server is well, and how busy
    GET  /api                    this list for people; /api/openapi.json for programs

riffusion/serving/jams.py lists the routes of jams. Errors are JSON: {"error": what is wrong and
what to do}.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.routing import BaseRoute

from riffusion.serving.clips import ClipApi
from riffusion.serving.images import ImageApi
from riffusion.serving.jams import JamApi
from riffusion.serving.library import LibraryApi
from riffusion.serving.openapi import api_page, describe_routes
from riffusion.serving.openings import OpeningApi
from riffusion.serving.responses import Health
from riffusion.serving.routes import ApiRoute, allow_head
from riffusion.serving.services import Services
from riffusion.serving.songs import SongApi
from riffusion.serving.uploads import UploadApi


class Api:
    """All endpoints of one server, by what they are about."""

    def __init__(self, services: Services) -> None:
        self._registry = services.registry
        self.clips = ClipApi(services)
        self.images = ImageApi(services)
        self.library = LibraryApi()
        self.songs = SongApi(services)
        self.uploads = UploadApi(services.uploads, services.background)
        self.openings = OpeningApi(services.uploads, services.background)
        self.jams = JamApi(services)
        self._document: dict[str, Any] = {}

    def routes(self) -> list[BaseRoute]:
        """Return all routes, for ``launch(app_kwargs={"routes": ...})`` of the page."""
        own = APIRouter(route_class=ApiRoute)
        own.get("/api/health", tags=["server"])(self.health)
        own.get("/api/openapi.json", include_in_schema=False)(self.openapi)
        own.get("/api", include_in_schema=False)(self.page)
        parts = (self.clips, self.images, self.songs, self.library)
        routes = [route for part in parts for route in part.router().routes]
        # The uploads come before the jams, because "own" would be taken for the id of a jam.
        uploads = [*self.uploads.router().routes, *self.openings.router().routes]
        routes += [*uploads, *self.jams.routes(), *own.routes]
        self._document = describe_routes(routes)
        allow_head(routes)
        return routes

    async def health(self) -> Health:
        """Tell whether the server is well, and how many jams play."""
        playing = len(self._registry.playing)
        return Health(status="ok", engine=self._registry.engine.name, jams_playing=playing)

    async def openapi(self) -> JSONResponse:
        """Return the description of the API for programs."""
        return JSONResponse(self._document)

    async def page(self, request: Request) -> HTMLResponse:
        """Return the description of the API for people."""
        return HTMLResponse(api_page(self._document, str(request.base_url).rstrip("/")))
