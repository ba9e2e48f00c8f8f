"""Routes that read no more than they should and say in words what is wrong with a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from riffusion.errors import InvalidInput, RiffusionError, ServerError, StorageError
from riffusion.live.registry import UnknownJam
from riffusion.live.source import RefusedSetting
from riffusion.serving.protocol import MAX_MESSAGE_BYTES, parse_message, too_large

MAX_BODY_BYTES = 16 * 2**20
# Parsing more than this takes longer than a thread costs.
SMALL_BYTES = 64 * 1024
JSON = "application/json"
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
                return await handle(await self._read_json(request))
            except RequestValidationError as error:
                return error_response(_describe(error))
            except RiffusionError as error:
                field = error.field if isinstance(error, RefusedSetting) else ""
                return error_response(str(error), status_of(error), field)

        return handle_request

    async def _read_json(self, request: Request) -> Request:
        """Return a request whose body is short JSON, and marked as such. Raises InvalidInput."""
        if request.method != "POST":
            return request
        content_type = request.headers.get("content-type", "")
        if self.requires_json_type and content_type.partition(";")[0].strip() != JSON:
            raise InvalidInput("content type", content_type, f"send {JSON}")
        length = request.headers.get("content-length", "0")
        body = bytearray()
        if length.isdecimal() and int(length) > self.max_bytes:
            raise too_large("request", self.max_bytes)
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.max_bytes:
                raise too_large("request", self.max_bytes)
        data = bytes(body)
        if len(data) <= SMALL_BYTES:
            parse_message(data, self.max_bytes)
        else:
            await asyncio.to_thread(parse_message, data, self.max_bytes)

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        headers = [header for header in request.scope["headers"] if header[0] != b"content-type"]
        typed = [*headers, (b"content-type", JSON.encode())]
        return Request({**request.scope, "headers": typed}, receive)


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


def _describe(error: RequestValidationError) -> str:
    """Return each thing that is wrong: where, why, and what was given."""
    problems = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query"))
        problems.append(f"{where}: {problem['msg']}" if where else NO_OBJECT)
    return "; ".join(problems)


def allow_head(routes: Iterable[BaseRoute]) -> None:
    """Let each GET route answer HEAD too, as proxies and download managers expect.

    The server leaves out the body. OpenAPI describes routes before this, or it would list each
    route twice.
    """
    for route in routes:
        if isinstance(route, APIRoute) and route.methods and "GET" in route.methods:
            route.methods.add("HEAD")
