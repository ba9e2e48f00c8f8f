"""Cross-origin rules: the API is open to pages of every origin, as the original's was.

The page itself and its jams are not: Gradio's own rules hold there.
"""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = ("/run_inference", "/api/")


class PublicCors:
    """Allows every origin for the open paths, and passes all requests on to ``app``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] == "http" and scope["path"].startswith(OPEN_PATHS)
        await (self._open if is_open else self._app)(scope, receive, send)
