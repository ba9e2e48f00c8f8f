"""Serving the page: one engine, one stage, one port."""

from __future__ import annotations

import asyncio
import errno
import io
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import gradio as gr
from fastapi import FastAPI

from riffusion.engines.protocol import Engine
from riffusion.errors import ServerError
from riffusion.jam.setting_values import read_settings
from riffusion.jam.speed import measure_speed
from riffusion.live.pace import Pace, pace_of
from riffusion.live.registry import JamRegistry
from riffusion.serving.api import Api
from riffusion.serving.cors import PublicCors
from riffusion.serving.jams import player_routes
from riffusion.serving.mcp import add_tools
from riffusion.serving.page import build_page, launch_options

HOST = "127.0.0.1"
FIRST_PORT = 7860
PORTS_TRIED = 100
CLOSING_S = 10.0


@dataclass(frozen=True)
class Serving:
    """A page that is being served."""

    url: str
    stage: JamRegistry
    page: gr.Blocks


@contextmanager
def serve(
    engine: Engine,
    host: str = HOST,
    port: int | None = None,
    pace: Pace | None = None,
    **limits: Any,
) -> Iterator[Serving]:
    """Serve the page in the background while the block runs.

    ``port`` None takes the first free one from 7860 on. ``pace`` is for engines that may be slow
    (see ``first_pace``). ``limits`` are those of ``JamRegistry``.
    Raises ServerError where the address cannot be used.
    """
    port = free_port(host) if port is None else check_port(host, port)
    pace = pace or Pace()
    stage = JamRegistry(engine, **{"lead_s": pace.lead_s, **limits})
    page = build_page(engine, pace)
    api = Api(stage)
    add_tools(page, api)
    loops: list[asyncio.AbstractEventLoop] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loops.append(asyncio.get_running_loop())
        # Around Gradio's own rules for origins, which come before all routes and middleware that
        # can be given to it.
        app.middleware_stack = PublicCors(app.middleware_stack or app.build_middleware_stack())
        yield

    try:
        # Gradio prints MCP's address even when it is asked to be quiet.
        with redirect_stdout(io.StringIO()):
            _, url, _ = page.launch(
                server_name=host,
                server_port=port,
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                app_kwargs={"routes": [*player_routes(stage), *api.routes()], "lifespan": lifespan},
                **launch_options(),
            )
    except OSError as error:
        raise ServerError(_taken(host, port)) from error
    try:
        yield Serving(url, stage, page)
    finally:
        for loop in loops:
            asyncio.run_coroutine_threadsafe(stage.close(), loop).result(CLOSING_S)
        page.close(verbose=False)


def first_pace(engine: Engine) -> Pace:
    """Time the page's first settings; after that, too, the first Play need not wait."""
    settings = read_settings({})
    return pace_of(measure_speed(engine, settings), settings.steps)


def free_port(host: str) -> int:
    """The first port from 7860 on that nobody uses. Raises ServerError where there is none."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        if _bind_error(host, port) is None:
            return port
    return check_port(host, FIRST_PORT)


def check_port(host: str, port: int) -> int:
    """``port``, if the page can be served there. Raises ServerError, naming the fix."""
    if not 0 < port < 65536:
        raise ServerError(f"there is no port {port}: use --port with a number from 1 to 65535")
    error = _bind_error(host, port)
    if error is None:
        return port
    if isinstance(error, PermissionError):
        raise ServerError(f"port {port} needs special rights: use --port 7860 or higher")
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        raise ServerError(
            f"this machine has no address {host!r}: use --host 127.0.0.1 for this machine alone, "
            "or --host 0.0.0.0 for its whole network"
        )
    raise ServerError(_taken(host, port))


def _bind_error(host: str, port: int) -> OSError | None:
    """Why a server could not listen there, if it could not."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _taken(host: str, port: int) -> str:
    return (
        f"port {port} on {host} is in use, perhaps by another Riffusion: stop that program, or "
        f"choose another port, for example --port {port % 65535 + 1}"
    )
