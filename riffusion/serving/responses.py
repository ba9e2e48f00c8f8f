"""What the HTTP API answers: its data, its errors, and how much it is willing to read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from riffusion.errors import InvalidInput, RiffusionError, ServerError, StorageError
from riffusion.serving.protocol import parse_message

MAX_BODY_BYTES = 16 * 2**20
JSON_TYPE = (b"content-type", b"application/json")
NO_OBJECT = "the request is no JSON object: send one with the fields that /api lists"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class InferenceOutput(BaseModel):
    """The original's answer."""

    image: str = Field(description="JPEG spectrogram, data:image/jpeg;base64,...")
    audio: str = Field(description="MP3, data:audio/mpeg;base64,...")
    duration_s: float


class ClipResponse(BaseModel):
    """A clip, without loss."""

    image: str = Field(description="PNG spectrogram, data:image/png;base64,...")
    audio: str = Field(description="WAV, data:audio/wav;base64,...")
    duration_s: float
    sample_rate: int
    engine: str


class AnchorEntry(BaseModel):
    """A clip of the library: how it goes, and where to see and hear it."""

    id: str
    prompt: str
    bpm: float
    key: str
    image: str
    audio: str


class MaskEntry(BaseModel):
    """A mask and where to see it."""

    name: str
    image: str


class Health(BaseModel):
    """How the server is."""

    status: str
    engine: str
    jams_playing: int


class ErrorResponse(BaseModel):
    """What was wrong and what to do."""

    error: str


class ApiRoute(APIRoute):
    """A route that reads no more than it should and says in words what is wrong, with status 400.

    Like the original's server it takes JSON under any content type.
    """

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(await _read(request))
            except RequestValidationError as error:
                return error_answer(_words(error), 400)
            except RiffusionError as error:
                return error_answer(str(error), status_of(error))

        return answer


def error_answer(words: str, status: int) -> JSONResponse:
    return JSONResponse({"error": words}, status_code=status)


def status_of(error: RiffusionError) -> int:
    """The HTTP status of one of our errors."""
    if isinstance(error, InvalidInput):
        return 404 if error.what == "jam" else 400
    if isinstance(error, ServerError):
        return 503
    return 507 if isinstance(error, StorageError) else 500


async def _read(request: Request) -> Request:
    """``request`` with its body read and marked as JSON. Raises InvalidInput where it is none."""
    said = request.headers.get("content-length", "0")
    if said.isdecimal() and int(said) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    if request.method == "POST":
        parse_message(bytes(body), MAX_BODY_BYTES)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    headers = [header for header in request.scope["headers"] if header[0] != JSON_TYPE[0]]
    return Request({**request.scope, "headers": [*headers, JSON_TYPE]}, receive)


def _too_large() -> InvalidInput:
    most = MAX_BODY_BYTES // 2**20
    return InvalidInput("request", "too large", f"send at most {most} MB; cut the audio first")


def _words(error: RequestValidationError) -> str:
    """Each thing that is wrong: where, why, and what was given."""
    problems = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query"))
        problems.append(f"{where}: {problem['msg']}" if where else NO_OBJECT)
    return "; ".join(problems)
