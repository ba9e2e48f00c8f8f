"""The routes of jams and of songs that play live.

    POST /jam                          start a jam: settings as JSON; returns its id and format
    POST /song                         start a song: {"plan": text or fields}; then as with a jam
    WS   /jam/{id}/socket?from=N       audio and events from absolute sample N on
    GET  /jam/{id}/stream?from=N       the same as a chunked response
    POST /jam/{id}/tell                a message: position, change, stop, keep
    POST /jam/{id}/section             what plays, as a section of a song
    GET  /jam/{id}/track.wav           what was heard; also .flac .mp3 .ogg .png .json
    GET  /jam/{id}/clip/{sample}.png   spectrogram image of the 5.11 s from a sample on
    GET  /jam/player/...               the player's own files

Errors are JSON: {"error": what is wrong and what to do}, with the "field" of a refused setting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from riffusion.errors import InvalidInput
from riffusion.jam.setting_values import read_whole
from riffusion.live.connection import Audio, Event
from riffusion.live.jam_source import JamSource
from riffusion.live.song_source import SongSource
from riffusion.live.source import Passage
from riffusion.live.stream import JamStream
from riffusion.serving.downloads import MEDIA_TYPES, chunks, clip_image, export_track
from riffusion.serving.jam_messages import JamRequest, SectionRequest, StreamMessage
from riffusion.serving.openings import take_opening
from riffusion.serving.protocol import audio_frame, parse_message, record, text_frame
from riffusion.serving.routes import PlayerRoute, error_response
from riffusion.serving.services import Services
from riffusion.serving.songs import PlanResponse, SongRequest, describe_song

PLAYER_FILES = Path(__file__).resolve().parents[2] / "assets" / "player"
NO_STORE = {"Cache-Control": "no-store"}
UNKNOWN_JAM = 4404
From = Annotated[str, Query(alias="from", description="An absolute sample of the track")]


class JamResponse(BaseModel):
    """A stream that has started: the id for all other routes, and the format of its audio."""

    id: str
    sample_rate: int
    channels: int


class JamApi:
    """The endpoints that start, stream, change and keep jams and songs."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._registry = services.registry

    def routes(self) -> list[BaseRoute]:
        """Return the routes; OpenAPI cannot describe the first two."""
        router = APIRouter(route_class=PlayerRoute, tags=["jams"])
        router.post("/jam", status_code=201)(self.start_jam)
        router.post("/song", status_code=201)(self.start_song)
        router.get("/jam/{id}/stream", response_class=Response)(self.stream_records)
        router.post("/jam/{id}/tell", response_model=None)(self.tell)
        router.post("/jam/{id}/section")(self.keep_section)
        router.get("/jam/{id}/track.json", response_class=Response)(self.session_file)
        router.get("/jam/{id}/track.{suffix}", response_class=Response)(self.track_file)
        router.get("/jam/{id}/clip/{sample:int}.png", response_class=Response)(self.clip_file)
        return [
            Mount("/jam/player", StaticFiles(directory=PLAYER_FILES)),
            WebSocketRoute("/jam/{id}/socket", self.socket),
            *router.routes,
        ]

    async def start_jam(self, settings: JamRequest) -> JamResponse:
        """Start a jam with the settings of the page, all of which have defaults.

        With an ``opening`` it goes on from a recording that was uploaded to /jam/recording.
        """
        uploads = self._services.uploads
        values, opening = take_opening(settings.root, uploads)
        stream = await self._registry.open(
            lambda engine: JamSource(engine, values, uploads, opening)
        )
        audio = stream.source.format
        return JamResponse(id=stream.id, sample_rate=audio.sample_rate, channels=audio.channels)

    async def start_song(self, request: SongRequest) -> JamResponse:
        """Start a song from its plan. The routes of jams do the same with it."""
        plan, read = request.plan, self._services.plans.read
        stream = await self._registry.open(lambda engine: SongSource(engine, plan, read))
        audio = stream.source.format
        return JamResponse(id=stream.id, sample_rate=audio.sample_rate, channels=audio.channels)

    async def stream_records(self, id: str, start: From = "0") -> Response:
        """Send audio and events from absolute sample ?from= on, as records of a chunked response.

        The WebSocket /jam/{id}/socket?from= sends the same as frames, and takes the messages of
        /jam/{id}/tell. See docs/http.md for both formats.
        """
        items = self._registry.find(id).listen(read_whole("from", start))
        headers = {**NO_STORE, "X-Accel-Buffering": "no"}
        media_type = "application/octet-stream"
        return StreamingResponse(_records(items), headers=headers, media_type=media_type)

    async def tell(self, id: str, message: StreamMessage) -> Response | dict[str, Any]:
        """Send a message: position, change, stop or keep.

        A change carries only the settings that change. Where some are refused, the others count.
        """
        refused = await self._registry.find(id).receive(message.root)
        if not refused:
            return {}
        words = "; ".join(dict.fromkeys(refusal.message for refusal in refused))
        return error_response(words, field=refused[0].field)

    async def keep_section(self, id: str, request: SectionRequest) -> PlanResponse:
        """Keep what is heard now as a section of a plan; returns the new plan."""
        song = None
        if request.plan:
            song = await asyncio.to_thread(self._services.plans.read, request.plan)
        async with self._registry.pin(id) as stream:
            captured = await stream.capture(Passage(request.name, request.bars, song))
        if captured.anchor:
            self._services.uploads.put(captured.anchor)
        return await asyncio.to_thread(describe_song, captured.song, self._services.plans)

    async def session_file(self, id: str) -> Response:
        """Return the session file, which replays the same track, or the plan of a song as JSON."""
        session = await self._registry.find(id).export()
        content = await asyncio.to_thread(text_frame, session)
        return Response(content, headers=_download("json"), media_type="application/json")

    async def track_file(self, id: str, suffix: str) -> Response:
        """Return what was heard as a file: wav, flac, mp3 or ogg, or png for a long spectrogram."""
        async with self._registry.pin(id) as stream, self._services.background:
            file = await asyncio.to_thread(export_track, stream, suffix, stream.playhead)
        size = str(file.seek(0, 2))
        file.seek(0)
        headers = {**_download(suffix), "Content-Length": size}
        return StreamingResponse(chunks(file), headers=headers, media_type=MEDIA_TYPES[suffix])

    async def clip_file(self, id: str, sample: int) -> Response:
        """Return the spectrogram of the 5.11 s from an absolute sample on."""
        async with self._registry.pin(id) as stream, self._services.background:
            png = await asyncio.to_thread(clip_image, stream, sample)
        return Response(png, headers=NO_STORE, media_type="image/png")

    async def socket(self, socket: WebSocket) -> None:
        """Send audio and events over a WebSocket, and take messages."""
        await socket.accept()
        try:
            stream = self._registry.find(socket.path_params["id"])
            start = read_whole("from", socket.query_params.get("from", "0"))
        except InvalidInput as error:
            await socket.close(UNKNOWN_JAM, str(error)[:100])
            return
        sending = asyncio.create_task(_send(socket, stream, start))
        receiving = asyncio.create_task(_receive(socket, stream))
        tasks = {sending, receiving}
        done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.wait(tasks)
        if receiving not in done:
            await socket.close()
        for task in done:
            task.result()


async def _send(socket: WebSocket, stream: JamStream, start: int) -> None:
    """Send until the stream is over or the listener is gone."""
    async with aclosing(stream.listen(start)) as items:
        with suppress(WebSocketDisconnect):
            async for item in items:
                if isinstance(item, Audio):
                    await socket.send_bytes(audio_frame(item))
                else:
                    await socket.send_text(text_frame(item))


async def _receive(socket: WebSocket, stream: JamStream) -> None:
    """Take messages until the listener is gone. A bad message is answered by an event."""
    while (message := await socket.receive())["type"] == "websocket.receive":
        try:
            await stream.receive(parse_message(message.get("text") or ""))
        except InvalidInput as error:
            stream.notify(str(error))


async def _records(items: AsyncGenerator[Audio | Event]) -> AsyncIterator[bytes]:
    """Yield the records of a chunked response."""
    async with aclosing(items):
        async for item in items:
            yield record(item)


def _download(suffix: str) -> dict[str, str]:
    """Return the headers of a file that a browser saves."""
    return {**NO_STORE, "Content-Disposition": f'attachment; filename="riffusion.{suffix}"'}
