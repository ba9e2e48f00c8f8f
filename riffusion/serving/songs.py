"""The routes of songs: plan one from a line, check a plan, render it into a file.

Playing one live is ``POST /song`` in riffusion/serving/jams.py.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from riffusion.audio.recording import Recording
from riffusion.audio.waveform import WRITTEN_AS
from riffusion.errors import InvalidInput
from riffusion.serving.downloads import MEDIA_TYPES, chunks
from riffusion.serving.jam_messages import Plan
from riffusion.serving.plans import PlanReader
from riffusion.serving.routes import ApiRoute
from riffusion.serving.services import Services
from riffusion.song.model import Song
from riffusion.song.placement import place_sections
from riffusion.song.planner import plan_song
from riffusion.song.session import SongBlock, SongSession

# Others listen meanwhile, and the disk has an end.
MAX_RENDER_S = 600.0
PIECE_BLOCKS = 40
EXAMPLE = "order: [a, a]\nsections:\n  a: {bars: 2, prompt: funky piano}\n"


class PlanRequest(BaseModel):
    """A request for a plan: the line that the planner makes a song of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str = Field(
        description="Style, mood, length, tempo, key; empty for anything at all",
        examples=["melancholy bossa nova, three minutes"],
    )
    minutes: float | None = Field(default=None, description="Length, where the line says none")
    seed: int = Field(default=0, description="Another number is another song")


class SongRequest(BaseModel):
    """A song as its plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: Plan = Field(
        description="A plan, as YAML or JSON text or as an object of its fields: see docs/songs.md",
        examples=[EXAMPLE],
    )


class SectionEntry(BaseModel):
    """A section where it is played."""

    section: str
    start_s: float
    duration_s: float


class PlanResponse(BaseModel):
    """A plan that can be played, as text and as data, and when its sections are."""

    plan: str = Field(description="YAML, to be edited")
    fields: dict[str, Any] = Field(description="The same as JSON")
    duration_s: float
    sections: list[SectionEntry]


class SongApi:
    """The endpoints that plan, check and render songs."""

    def __init__(self, services: Services) -> None:
        self._registry = services.registry
        self._plans = services.plans
        self._rendering = asyncio.Semaphore(1)

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(route_class=ApiRoute, tags=["songs"])
        router.post("/api/songs/plan")(self.plan)
        router.post("/api/songs/check")(self.check)
        router.post("/api/songs/render.{suffix}", response_class=Response)(self.render)
        return router

    async def plan(self, request: PlanRequest) -> PlanResponse:
        """Plan a song from a line. Nothing is generated."""

        def plan() -> PlanResponse:
            song = plan_song(request.line, request.minutes, request.seed)
            return describe_song(song, self._plans)

        return await asyncio.to_thread(plan)

    async def check(self, request: SongRequest) -> PlanResponse:
        """Check a plan: returns the whole plan with defaults, or what is wrong in which line."""

        def check() -> PlanResponse:
            return describe_song(self._plans.read(request.plan), self._plans)

        return await asyncio.to_thread(check)

    async def render(self, suffix: str, request: SongRequest) -> Response:
        """Render a plan into a file: wav, flac, mp3 or ogg. It answers when the song is whole."""
        file = await self.file(request.plan, suffix)
        return StreamingResponse(chunks(file), media_type=MEDIA_TYPES[suffix])

    async def file(self, plan: object, suffix: str) -> BinaryIO:
        """Render a plan into an open file that no longer has a name.

        One song is rendered at a time, while no stream needs the engine. Raises InvalidInput for
        an unknown format or a plan that cannot be played.
        """
        if f".{suffix}" not in WRITTEN_AS:
            hint = f"use one of {', '.join(form[1:] for form in WRITTEN_AS)}"
            raise InvalidInput("file format", suffix, hint)
        song = await asyncio.to_thread(self._plans.read, plan)
        if song.duration_s > MAX_RENDER_S:
            hint = f"has {song.duration_s:.0f} s; use at most {MAX_RENDER_S:.0f}"
            raise InvalidInput("song", song.title, f"{hint}, or the command line")
        async with self._rendering:
            with tempfile.TemporaryDirectory(prefix="riffusion-") as folder:
                path = Path(folder) / f"song.{suffix}"
                await self._record(song, path)
                return path.open("rb")

    async def _record(self, song: Song, path: Path) -> None:
        with SongSession(self._registry.engine, song) as session:
            rate, channels = session.sample_rate, session.channels
            with Recording(path, rate, channels, session.samples) as recording:
                while not session.finished:
                    blocks = await self._registry.run_one_off(lambda: [*_next_blocks(session)])
                    for block in blocks:
                        await asyncio.to_thread(recording.write, block.samples)


def describe_song(song: Song, plans: PlanReader) -> PlanResponse:
    """Return a song as a response. Takes a moment: call it in a thread."""
    rate = 1000  # in milliseconds
    text, fields = plans.write(song)
    return PlanResponse(
        plan=text,
        fields=fields,
        duration_s=song.duration_s,
        sections=[
            SectionEntry(
                section=place.name,
                start_s=place.start / rate,
                duration_s=(place.stop - place.start) / rate,
            )
            for place in place_sections(song, rate)
        ],
    )


def _next_blocks(session: SongSession) -> Iterator[SongBlock]:
    """Yield the next block, and those that are ready, up to ten seconds."""
    yield session.block()
    for _ in range(PIECE_BLOCKS):
        if not session.ready:
            break
        yield session.block()
