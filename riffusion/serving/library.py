"""The routes of the library: clips to start from, and masks."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import Response

from riffusion.jam.anchors import anchor_image, anchor_sound, find_anchor, library
from riffusion.jam.masks import SHAPES, mask_picture, named_mask
from riffusion.serving.files import check_suffix, encode_file
from riffusion.serving.responses import AnchorEntry, MaskEntry
from riffusion.serving.routes import ApiRoute
from riffusion.spectral.image import encode_image


class LibraryApi:
    """The endpoints that list and show the library."""

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(route_class=ApiRoute, tags=["library"])
        router.get("/api/anchors")(self.anchors)
        router.get("/api/anchors/{name}.{suffix}", response_class=Response)(self.anchor_file)
        router.get("/api/masks")(self.masks)
        router.get("/api/masks/{name}.png", response_class=Response)(self.mask_file)
        return router

    async def anchors(self) -> list[AnchorEntry]:
        """List the library of clips to start from."""
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
        """Return a clip of the library as a file."""
        check_suffix(suffix)
        anchor = find_anchor(name)

        def encode() -> Response:
            return encode_file(suffix, anchor_sound(anchor), anchor_image(anchor))

        return await asyncio.to_thread(encode)

    async def masks(self) -> list[MaskEntry]:
        """List the masks by name."""
        return [MaskEntry(name=name, image=f"/api/masks/{name}.png") for name in SHAPES]

    async def mask_file(self, name: str) -> Response:
        """Return the picture of a mask, where white is repainted."""
        picture = mask_picture(named_mask(name))
        return Response(encode_image(picture), media_type="image/png")
