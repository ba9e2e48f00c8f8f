"""The HTTP and WebSocket routes of the player.

    POST /jam                          start a jam: settings as JSON; answers its id and format
    POST /song                         start a song: {"plan": text}; the rest is as with a jam
    WS   /jam/{id}/socket?from=N       sound and events from absolute sample N on
    GET  /jam/{id}/stream?from=N       the same as a chunked answer
    POST /jam/{id}/tell                a message: position, change, stop, keep
    POST /jam/{id}/section             what plays, as a section of a song
    GET  /jam/{id}/track.wav           what was heard; also .flac .mp3 .ogg .png .json
    GET  /jam/{id}/clip/{sample}.png   spectrogram image of the 5.11 s from a sample on
    POST /jam/own                      bring a sound or a mask to start from; answers its name
    GET  /jam/own/{name}               it, as it was kept: FLAC or PNG
    GET  /jam/player/...               the player's own files

Errors are JSON: {"error": what is wrong and what to do}.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from riffusion.errors import InvalidInput, RiffusionError
from riffusion.jam.session import JamSession
from riffusion.live.producer import Audio, Event, JamStream
from riffusion.live.registry import JamRegistry
from riffusion.serving.changes import read_live_plan
from riffusion.serving.downloads import MEDIA_TYPES, chunks, clip_image, export_track
from riffusion.serving.fields import read_settings, read_text, read_whole
from riffusion.serving.protocol import (
    MAX_MESSAGE_BYTES,
    audio_frame,
    parse_message,
    record,
    text_frame,
)
from riffusion.serving.responses import MAX_BODY_BYTES, error_answer, status_of
from riffusion.serving.songs import plan_answer
from riffusion.serving.uploads import brought
from riffusion.song.capture import capture_section, cut_passage, find_passage, with_section

PLAYER_FILES = Path(__file__).resolve().parents[2] / "assets" / "player"
NEVER_STORED = {"Cache-Control": "no-store"}
BYTES = "application/octet-stream"
PNG = b"\x89PNG"
UNKNOWN_JAM = 4404
Handler = Callable[[JamRegistry, Request], Awaitable[Response]]


def player_routes(stage: JamRegistry) -> list[BaseRoute]:
    """All routes, for ``demo.launch(app_kwargs={"routes": ...})``."""

    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, partial(_answer, handler, stage), methods=[method])

    return [
        Mount("/jam/player", StaticFiles(directory=PLAYER_FILES)),
        route("/jam", start_jam, "POST"),
        route("/jam/own", bring, "POST"),
        route("/jam/own/{name}", own_file),
        route("/song", start_song, "POST"),
        WebSocketRoute("/jam/{id}/socket", partial(socket, stage)),
        route("/jam/{id}/stream", stream_records),
        route("/jam/{id}/tell", tell, "POST"),
        route("/jam/{id}/section", keep_section, "POST"),
        route("/jam/{id}/track.json", session_file),
        route("/jam/{id}/track.{suffix}", track_file),
        route("/jam/{id}/clip/{sample:int}.png", clip_file),
    ]


async def start_jam(stage: JamRegistry, request: Request) -> Response:
    return _started(await stage.open(read_settings(await _message(request), stage.shelf)))


async def start_song(stage: JamRegistry, request: Request) -> Response:
    order = _fields(await _message(request), ("plan",))
    return _started(await stage.open_song(read_live_plan(order["plan"], stage.shelf)))


async def keep_section(stage: JamRegistry, request: Request) -> Response:
    """What is heard now as a section of a plan: {"name", "bars", "plan"}; answers the new plan."""
    order = _fields(await _message(request), ("name", "bars", "plan"))
    name, bars = read_text("section name", order["name"]), read_whole("bars", order["bars"])
    song = read_live_plan(order["plan"], stage.shelf) if order["plan"] else None
    async with stage.borrow(request.path_params["id"]) as stream:
        if not isinstance(stream.session, JamSession):
            raise InvalidInput("what plays", "a song", "play a jam to keep a part of it")
        heard, segment = stream.heard, stream.session.segment_at(stream.heard)
        passage = find_passage(segment, heard, bars)
        anchor = await asyncio.to_thread(cut_passage, stream.track, *passage) if passage else None
    section = capture_section(segment, heard, name, bars, anchor)
    answer = plan_answer(with_section(song, section, segment.settings))
    if anchor:
        stage.shelf.put(anchor)
    return JSONResponse(answer.model_dump())


async def bring(stage: JamRegistry, request: Request) -> Response:
    message = await _message(request, MAX_BODY_BYTES)
    async with stage.exports:
        material = await asyncio.to_thread(brought, message)
    stage.shelf.put(material)
    return JSONResponse({"name": material.name}, status_code=201)


async def own_file(stage: JamRegistry, request: Request) -> Response:
    data = stage.shelf.own("own sound", request.path_params["name"]).data
    kind = "image/png" if data.startswith(PNG) else MEDIA_TYPES["flac"]
    return Response(data, media_type=kind)


async def tell(stage: JamRegistry, request: Request) -> Response:
    _find(stage, request).tell(await _message(request))
    return JSONResponse({})


async def stream_records(stage: JamRegistry, request: Request) -> Response:
    items = _find(stage, request).listen(_from(request.query_params.get("from", "0")))
    headers = {**NEVER_STORED, "X-Accel-Buffering": "no"}
    return StreamingResponse(_records(items), headers=headers, media_type=BYTES)


async def session_file(stage: JamRegistry, request: Request) -> Response:
    session = _find(stage, request).export_session()
    return JSONResponse(session, headers=_download("json"))


async def track_file(stage: JamRegistry, request: Request) -> Response:
    suffix = request.path_params["suffix"]
    async with stage.borrow(request.path_params["id"]) as stream, stage.exports:
        file = await asyncio.to_thread(export_track, stream, suffix, stream.heard)
    size = str(file.seek(0, 2))
    file.seek(0)
    headers = {**_download(suffix), "Content-Length": size}
    return StreamingResponse(chunks(file), headers=headers, media_type=MEDIA_TYPES[suffix])


async def clip_file(stage: JamRegistry, request: Request) -> Response:
    async with stage.borrow(request.path_params["id"]) as stream, stage.exports:
        png = await asyncio.to_thread(clip_image, stream, request.path_params["sample"])
    return Response(png, headers=NEVER_STORED, media_type="image/png")


async def socket(stage: JamRegistry, socket: WebSocket) -> None:
    await socket.accept()
    try:
        stream = stage.find(socket.path_params["id"])
        start = _from(socket.query_params.get("from", "0"))
    except InvalidInput as error:
        await socket.close(UNKNOWN_JAM, str(error)[:100])
        return
    speaking = asyncio.create_task(_speak(socket, stream, start))
    hearing = asyncio.create_task(_hear(socket, stream))
    done, left = await asyncio.wait({speaking, hearing}, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    await asyncio.wait({speaking, hearing})
    if hearing not in done:
        await socket.close()
    for task in done:
        task.result()


async def _speak(socket: WebSocket, stream: JamStream, start: int) -> None:
    """Send until the jam is over or the listener is gone."""
    async with aclosing(stream.listen(start)) as items:
        with suppress(WebSocketDisconnect):
            async for item in items:
                if isinstance(item, Audio):
                    await socket.send_bytes(audio_frame(item))
                else:
                    await socket.send_text(text_frame(item))


async def _hear(socket: WebSocket, stream: JamStream) -> None:
    """Take messages until the listener is gone. What is wrong with one is told to the page."""
    while (message := await socket.receive())["type"] == "websocket.receive":
        try:
            stream.tell(parse_message(message.get("text") or ""))
        except InvalidInput as error:
            stream.notify(str(error))


async def _records(items: AsyncGenerator[Audio | Event]) -> AsyncIterator[bytes]:
    async with aclosing(items):
        async for item in items:
            yield record(item)


async def _answer(handler: Handler, stage: JamRegistry, request: Request) -> Response:
    """What a handler answers, or its error as JSON."""
    try:
        return await handler(stage, request)
    except RiffusionError as error:
        return error_answer(str(error), status_of(error))


async def _message(request: Request, max_bytes: int = MAX_MESSAGE_BYTES) -> object:
    """The JSON body of a request, read no further than it may be long."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        # A page of another site could send other types without asking the browser first.
        kind = request.headers.get("content-type", "")
        raise InvalidInput("content type", kind, "send application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            break
    return parse_message(bytes(body), max_bytes)


def _started(stream: JamStream) -> Response:
    session = stream.session
    format_ = {"sample_rate": session.sample_rate, "channels": session.channels}
    return JSONResponse({"id": stream.id, **format_}, status_code=201)


def _fields(message: object, names: tuple[str, ...]) -> dict[str, object]:
    """The fields of a message; None where one is left out."""
    if not isinstance(message, dict) or set(message) - set(names):
        raise InvalidInput("message", message, f"send an object with {', '.join(names)}")
    return {name: message.get(name) for name in names}


def _find(stage: JamRegistry, request: Request) -> JamStream:
    return stage.find(request.path_params["id"])


def _from(text: str) -> int:
    return read_whole("from", text)


def _download(suffix: str) -> dict[str, str]:
    return {**NEVER_STORED, "Content-Disposition": f'attachment; filename="riffusion.{suffix}"'}
