"""The server of the page, the API and MCP: one engine, one registry of jams, one port."""

from __future__ import annotations

import asyncio
import errno
import io
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import gradio as gr
from fastapi import FastAPI

from riffusion.engines.protocol import Engine
from riffusion.errors import ServerError
from riffusion.live.pace import Pace
from riffusion.live.registry import JamRegistry
from riffusion.serving.api import Api
from riffusion.serving.cors import PublicCors
from riffusion.serving.mcp import add_tools
from riffusion.serving.page import build_page, launch_options
from riffusion.serving.services import make_services
from riffusion.serving.warm_up import warm_up

HOST = "127.0.0.1"
# Gradio has a port search of its own. It does not close the sockets of taken ports, takes minutes
# on an address that is not there, and cannot say why an address does not work.
FIRST_PORT = 7860
PORTS_TRIED = 100
CLOSING_S = 10.0


@dataclass(frozen=True)
class Serving:
    """A page that is being served at ``url``, and the jams that play on it."""

    url: str
    registry: JamRegistry
    page: gr.Blocks


@contextmanager
def serve(
    engine: Engine,
    host: str = HOST,
    port: int | None = None,
    *,
    warm: bool = False,
    **limits: Any,
) -> Iterator[Serving]:
    """Serve the page in the background while the block runs.

    ``port`` None takes the first free one from 7860 on. ``warm`` makes the engine's first clips as
    soon as the page answers, and tells listeners where it is slower than its music. ``limits`` are
    arguments of ``JamRegistry``. Raises ServerError where the address cannot be used.
    """
    port = free_port(host) if port is None else check_port(host, port)
    pace: Future[Pace] = Future()
    if not warm:
        pace.set_result(Pace())
    registry = JamRegistry(engine, **limits)
    page = build_page(engine, pace)
    api = Api(make_services(registry))
    add_tools(page, api)
    loops: list[asyncio.AbstractEventLoop] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loops.append(asyncio.get_running_loop())
        # Around Gradio's own rules for origins, which come before all routes and middleware that
        # can be given to it.
        app.middleware_stack = PublicCors(app.middleware_stack or app.build_middleware_stack())
        warming = asyncio.create_task(warm_up(registry, pace)) if warm else None
        yield
        if warming is not None:
            warming.cancel()

    try:
        url = _launch(page, host, port, {"routes": api.routes(), "lifespan": lifespan})
    except OSError as error:
        raise ServerError(_taken(host, port)) from error
    try:
        yield Serving(url, registry, page)
    finally:
        for loop in loops:
            asyncio.run_coroutine_threadsafe(registry.close(), loop).result(CLOSING_S)
        page.close(verbose=False)


def _launch(page: gr.Blocks, host: str, port: int, app_kwargs: dict[str, Any]) -> str:
    """Start the server of a page in threads, and return its address."""
    # Gradio prints MCP's address even when it is asked to be quiet.
    with redirect_stdout(io.StringIO()):
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            app_kwargs=app_kwargs,
            **launch_options(),
        )
    return str(url)


def free_port(host: str) -> int:
    """Return the first free port from 7860 on. Raises ServerError where there is none."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        if _bind_error(host, port) is None:
            return port
    return check_port(host, FIRST_PORT)


def check_port(host: str, port: int) -> int:
    """Return ``port``, if the page can be served there. Raises ServerError, naming the fix."""
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
    """Return why a server cannot listen there; None where it can."""
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
