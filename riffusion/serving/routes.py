"""Routes that read no more than they should and say in words what is wrong with a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from riffusion.errors import InvalidInput, RiffusionError, ServerError, StorageError
from riffusion.live.registry import UnknownJam
from riffusion.live.source import RefusedSetting
from riffusion.serving.protocol import MAX_MESSAGE_BYTES, parse_message, too_large

MAX_BODY_BYTES = 16 * 2**20
# Parsing more than this takes longer than a thread costs.
SMALL_BYTES = 64 * 1024
JSON_TYPE = (b"content-type", b"application/json")
NO_OBJECT = "the request is no JSON object: send one with the fields that /api lists"
RouteHandler = Callable[[Request], Coroutine[Any, Any, Response]]


class ApiRoute(APIRoute):
    """A route whose errors are JSON, ``{"error": text}``, with status 400 for a bad request.

    Like the original's server it takes JSON under any content type.
    """

    max_bytes = MAX_BODY_BYTES
    requires_json_type = False

    def get_route_handler(self) -> RouteHandler:
        """Return the handler of the route, between a check of the request and one for errors."""
        handle = super().get_route_handler()

        async def handle_request(request: Request) -> Response:
            try:
                if self.requires_json_type and request.method == "POST":
                    check_json_type(request)
                return await handle(await _read_json(request, self.max_bytes))
            except RequestValidationError as error:
                return error_response(_describe(error))
            except RiffusionError as error:
                field = error.field if isinstance(error, RefusedSetting) else ""
                return error_response(str(error), status_of(error), field)

        return handle_request


class PlayerRoute(ApiRoute):
    """A route for the page alone, which takes short messages.

    A page of another site can send JSON under this content type only after the browser has asked
    whether it may, which it may not.
    """

    max_bytes = MAX_MESSAGE_BYTES
    requires_json_type = True


class UploadRoute(PlayerRoute):
    """A route for the page alone, which takes files inside JSON."""

    max_bytes = MAX_BODY_BYTES


class JsonRequest(Request):
    """A request whose JSON body has been read and parsed already."""

    def __init__(self, request: Request, body: bytes, content: object) -> None:
        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        headers = [header for header in request.scope["headers"] if header[0] != JSON_TYPE[0]]
        super().__init__({**request.scope, "headers": [*headers, JSON_TYPE]}, receive)
        self._content = content

    async def json(self) -> Any:
        """Return the parsed body."""
        return self._content


def error_response(message: str, status: int = 400, field: str = "") -> JSONResponse:
    """Return an error as JSON, with the setting that it is about, where it is about one."""
    content = {"error": message, "field": field} if field else {"error": message}
    return JSONResponse(content, status_code=status)


def status_of(error: RiffusionError) -> int:
    """Return the HTTP status of one of our errors."""
    match error:
        case UnknownJam():
            return 404
        case InvalidInput() | RefusedSetting():
            return 400
        case ServerError():
            return 503
        case StorageError():
            return 507
    return 500


def check_json_type(request: Request) -> None:
    """Raise InvalidInput unless the request says that it is JSON."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip() != "application/json":
        raise InvalidInput("content type", content_type, "send application/json")


async def _read_json(request: Request, max_bytes: int) -> Request:
    """Return ``request`` with its body parsed. Raises InvalidInput for what is no short JSON."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > max_bytes:
        raise too_large("request", max_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large("request", max_bytes)
    if request.method != "POST":
        return request
    data = bytes(body)
    if len(data) <= SMALL_BYTES:
        return JsonRequest(request, data, parse_message(data, max_bytes))
    content = await asyncio.to_thread(parse_message, data, max_bytes)
    return JsonRequest(request, data, content)


def _describe(error: RequestValidationError) -> str:
    """Return each thing that is wrong: where, why, and what was given."""
    problems = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query"))
        problems.append(f"{where}: {problem['msg']}" if where else NO_OBJECT)
    return "; ".join(problems)
