"""Songs over HTTP: plan one from a line, check a plan, render it into a file.

Playing one live is ``POST /song`` in riffusion/serving/jams.py.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from riffusion.audio.recording import Recording
from riffusion.audio.waveform import WRITTEN_AS
from riffusion.errors import InvalidInput
from riffusion.live.registry import JamRegistry
from riffusion.serving.changes import read_live_plan
from riffusion.serving.downloads import MEDIA_TYPES, chunks
from riffusion.song.model import Song
from riffusion.song.placement import place_sections
from riffusion.song.plan import plan_fields, plan_text
from riffusion.song.planner import plan_song
from riffusion.song.session import SongBlock, SongSession

# Others listen, and the disk has an end.
MAX_RENDER_S = 600.0
PIECE_BLOCKS = 40
EXAMPLE = "order: [a, a]\nsections:\n  a: {bars: 2, prompt: funky piano}\n"


class PlanRequest(BaseModel):
    """What the planner makes a song of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str = Field(
        description="Style, mood, length, tempo, key; empty for anything at all",
        examples=["melancholy bossa nova, three minutes"],
    )
    minutes: float | None = Field(default=None, description="Length, where the line says none")
    seed: int = Field(default=0, description="Another number is another song")


class SongRequest(BaseModel):
    """A song as the text of its plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str = Field(description="A plan, YAML or JSON: see docs/songs.md", examples=[EXAMPLE])


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
    """The endpoints, on one stage."""

    def __init__(self, stage: JamRegistry) -> None:
        self._stage = stage
        self._one = asyncio.Semaphore(1)

    async def plan(self, order: PlanRequest) -> PlanResponse:
        """Plan a song from a line. Nothing is generated."""
        song = await asyncio.to_thread(plan_song, order.line, order.minutes, order.seed)
        return plan_answer(song)

    async def check(self, order: SongRequest) -> PlanResponse:
        """Check a plan: what is wrong with it, with its line, or the whole plan with defaults."""
        return plan_answer(await asyncio.to_thread(read_live_plan, order.plan, self._stage.shelf))

    async def render(self, suffix: str, order: SongRequest) -> Response:
        """Play a plan into a file: wav, flac, mp3 or ogg. It answers when the song is whole."""
        file = await self.file(order.plan, suffix)
        return StreamingResponse(chunks(file), media_type=MEDIA_TYPES[suffix])

    async def file(self, plan: str, suffix: str) -> BinaryIO:
        """A song as an open file that no longer has a name. One at a time, and jams come first."""
        if f".{suffix}" not in WRITTEN_AS:
            legal = f"use one of {', '.join(form[1:] for form in WRITTEN_AS)}"
            raise InvalidInput("file format", suffix, legal)
        song = await asyncio.to_thread(read_live_plan, plan, self._stage.shelf)
        if song.duration_s > MAX_RENDER_S:
            legal = f"has {song.duration_s:.0f} s; use at most {MAX_RENDER_S:.0f}"
            raise InvalidInput("song", song.title, f"{legal}, or the command line")
        async with self._one:
            with tempfile.TemporaryDirectory(prefix="riffusion-") as folder:
                path = Path(folder) / f"song.{suffix}"
                await self._record(song, path)
                return path.open("rb")

    async def _record(self, song: Song, path: Path) -> None:
        with SongSession(self._stage.engine, song) as session:
            rate, channels = session.sample_rate, session.channels
            with Recording(path, rate, channels, session.samples) as recording:
                while not session.finished:
                    blocks = await self._stage.perform(lambda: [*_next_blocks(session)])
                    for block in blocks:
                        await asyncio.to_thread(recording.write, block.samples)


def plan_answer(song: Song) -> PlanResponse:
    """What is told about a song."""
    rate = 1000  # in milliseconds
    return PlanResponse(
        plan=plan_text(song),
        fields=plan_fields(song),
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
    """The next block, and those that are there already, up to ten seconds."""
    yield session.block()
    for _ in range(PIECE_BLOCKS):
        if not session.ready:
            break
        yield session.block()
