"""Uploads are the sounds and pictures that listeners send to start a jam from."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from threading import Lock

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from riffusion.errors import InvalidInput
from riffusion.jam.anchor_loops import encode_anchor, encode_mask, library_anchor, library_mask
from riffusion.jam.asset import UPLOAD_PREFIX, AssetRef
from riffusion.jam.masks import image_mask
from riffusion.serving.data_urls import (
    is_image,
    uploaded_picture,
    uploaded_sound,
    uploaded_spectrogram,
)
from riffusion.serving.routes import UploadRoute
from riffusion.spectral.image import image_to_audio

MAX_BYTES = 128 * 2**20
KINDS = ("anchor", "mask")
PNG = b"\x89PNG"


class UploadStore:
    """Keeps uploads of at most ``max_bytes``; the one used longest ago is dropped first.

    A jam that plays keeps the uploads it uses, even when the store has dropped them. Threads may
    share a store.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, AssetRef] = OrderedDict()
        self._lock = Lock()

    def put(self, asset: AssetRef) -> None:
        """Keep an uploaded asset."""
        with self._lock:
            self._kept[asset.name] = asset
            self._kept.move_to_end(asset.name)
            while sum(len(kept.data) for kept in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)

    def uploaded(self, what: str, name: str) -> AssetRef:
        """Return an upload by name. Raises InvalidInput where it is gone, calling it ``what``."""
        with self._lock:
            if name not in self._kept:
                raise InvalidInput(what, name, "is not on this machine any more; bring it again")
            self._kept.move_to_end(name)
            return self._kept[name]

    def anchor(self, name: str) -> AssetRef | None:
        """Return the anchor of that name, of the library or uploaded, and None for "".

        Raises InvalidInput for an unknown name.
        """
        return self.known_anchor(name) if name else None

    def known_anchor(self, name: str) -> AssetRef:
        """Return the anchor of that name, of the library or uploaded.

        Raises InvalidInput for an unknown name.
        """
        if name.startswith(UPLOAD_PREFIX):
            return self.uploaded("anchor", name)
        return library_anchor(name)

    def mask(self, name: str) -> AssetRef | None:
        """Return the mask of that name, of the library or uploaded, and None for "".

        Raises InvalidInput for an unknown name.
        """
        if not name:
            return None
        return self.uploaded("mask", name) if name.startswith(UPLOAD_PREFIX) else library_mask(name)


class UploadRequest(BaseModel):
    """A file to start from, inside JSON."""

    model_config = ConfigDict(frozen=True)

    kind: str = Field(default="", description="anchor or mask")
    data: str = Field(
        default="",
        description="A data URL: audio or a spectrogram image as an anchor, a picture of 512 x "
        "512 as a mask",
    )


class UploadResponse(BaseModel):
    """The name that an upload has in settings."""

    name: str


class UploadApi:
    """The endpoints that take and return uploads."""

    def __init__(self, store: UploadStore, background: asyncio.Semaphore) -> None:
        self._store = store
        self._background = background

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(route_class=UploadRoute, tags=["jams"])
        router.post("/jam/own", status_code=201)(self.upload)
        router.get("/jam/own/{name}", response_class=Response)(self.file)
        return router

    async def upload(self, request: UploadRequest) -> UploadResponse:
        """Upload an anchor or a mask; the response has the name that settings give it."""
        async with self._background:
            asset = await asyncio.to_thread(read_upload, request.kind, request.data)
        self._store.put(asset)
        return UploadResponse(name=asset.name)

    async def file(self, name: str) -> Response:
        """Return an uploaded anchor as FLAC, or an uploaded mask as PNG."""
        data = self._store.uploaded("own sound", name).data
        media_type = "image/png" if data.startswith(PNG) else "audio/flac"
        return Response(data, media_type=media_type)


def read_upload(kind: str, data: str) -> AssetRef:
    """Return the asset of a data URL.

    An anchor is audio or a spectrogram image, a mask a picture of 512 x 512. Raises InvalidInput.
    """
    if kind not in KINDS:
        raise InvalidInput("kind", kind, f"use {' or '.join(KINDS)}")
    if kind == "mask":
        return encode_mask(image_mask(uploaded_picture(kind, data)))
    if is_image(data):
        return encode_anchor(image_to_audio(uploaded_spectrogram(kind, data)))
    return encode_anchor(uploaded_sound(kind, data))
