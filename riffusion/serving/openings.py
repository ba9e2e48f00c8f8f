"""Recordings that jams go on from: uploaded, analysed, corrected, and named when a jam starts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from riffusion.analysis.recording import MAX_S, RecordingAnalysis, analyse
from riffusion.audio.waveform import decode_audio
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef
from riffusion.jam.opening import Opening, choose_bar_line_s, keep_recording, trim_recording
from riffusion.serving.data_urls import uploaded_sound
from riffusion.serving.routes import UploadRoute
from riffusion.serving.uploads import UploadStore

WHAT = "recording"
OPENING = "opening"
FIELDS = ("recording", "start_s", "bar_line_s")


class RecordingRequest(BaseModel):
    """A recording, or the name of one that was uploaded, with what is known about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(default="", description="A data URL of audio; its last minute is kept")
    name: str = Field(default="", description="Instead of data: the name of an earlier response")
    bpm: float | None = Field(default=None, description="The tempo, followed to 2 %")
    beats_per_bar: int | None = Field(default=None, description="The metre")
    downbeat_s: float | None = Field(default=None, description="When a bar begins, in seconds")


class RecordingResponse(BaseModel):
    """What is heard in a recording; times are in seconds from the start of what is kept of it.

    The recording sounds from ``start_s`` to ``end_s``, and a jam goes on from it at
    ``bar_line_s``. Without a beat, ``bpm``, ``beats_per_bar`` and ``bar_line_s`` are null: ask
    again with a tempo. ``key`` is null where nothing has a pitch.
    """

    name: str
    start_s: float
    end_s: float
    bar_line_s: float | None
    bpm: float | None
    beats_per_bar: int | None
    key: str | None
    certainty: float
    key_certainty: float
    words: str


class OpeningApi:
    """The endpoint that takes recordings and says what is heard in them."""

    def __init__(self, store: UploadStore, background: asyncio.Semaphore) -> None:
        self._store = store
        self._background = background

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(route_class=UploadRoute, tags=["jams"])
        router.post("/jam/recording", status_code=201)(self.analyse)
        return router

    async def analyse(self, request: RecordingRequest) -> RecordingResponse:
        """Upload a recording, or correct what was heard in one; returns what is heard now."""
        known = self._store.uploaded(WHAT, request.name) if request.name else None
        async with self._background:
            asset, response = await asyncio.to_thread(hear, request, known)
        self._store.put(asset)
        return response


def hear(request: RecordingRequest, known: AssetRef | None) -> tuple[AssetRef, RecordingResponse]:
    """Return the upload of a request, unless it is ``known``, and what is heard in it."""
    asset = known or keep_recording(trim_recording(uploaded_sound(WHAT, request.data, MAX_S)))
    sound = decode_audio(asset.data)
    heard = analyse(sound, request.bpm, request.beats_per_bar, request.downbeat_s)
    return asset, describe(asset, heard)


def describe(asset: AssetRef, heard: RecordingAnalysis) -> RecordingResponse:
    """Return the response for an analysis. Raises InvalidAudio for less than a bar."""
    bars = heard.bars
    return RecordingResponse(
        name=asset.name,
        start_s=heard.start_s,
        end_s=heard.end_s,
        bar_line_s=choose_bar_line_s(heard) if bars else None,
        bpm=round(bars.bpm, 2) if bars else None,
        beats_per_bar=bars.beats_per_bar if bars else None,
        key=heard.key.name if heard.key else None,
        certainty=bars.certainty if bars else 0.0,
        key_certainty=heard.key_certainty,
        words=heard.in_words(),
    )


def take_opening(
    values: Mapping[str, Any], store: UploadStore
) -> tuple[dict[str, Any], Opening | None]:
    """Return the values of a new jam without its ``opening``, and that opening, if there is one.

    Raises InvalidInput where it is no object of its three fields, or names no upload.
    """
    settings = dict(values)
    given = settings.pop(OPENING, None)
    if given is None:
        return settings, None
    if not isinstance(given, dict) or set(given) != set(FIELDS):
        hint = f"needs an object with {', '.join(FIELDS)}, as /jam/recording returns them"
        raise InvalidInput(OPENING, given, hint)
    if not isinstance(given["recording"], str):
        raise InvalidInput(WHAT, given["recording"], "needs the name that /jam/recording returned")
    recording = store.uploaded(WHAT, given["recording"])
    return settings, Opening(recording, given["start_s"], given["bar_line_s"])
