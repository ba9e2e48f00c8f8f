"""Ports for servers of tests that run in several processes at once."""

from __future__ import annotations

import os
import socket

FIRST_PORT = 21000
PORTS_EACH = 100


def unused_port() -> int:
    """Return a free port of this process: each process has ports of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST_PORT + PORTS_EACH * worker
    for port in range(first, first + PORTS_EACH):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError(f"ports {first} to {first + PORTS_EACH - 1} are all in use")
