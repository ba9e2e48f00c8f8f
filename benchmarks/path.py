"""Count the calls on the server between Play and the first sample that is sent.

    python -m benchmarks.path

Counted are the distinct functions of ``riffusion.serving`` and ``riffusion.live`` that run between
the request that starts a jam and the first frame of audio, and the methods of ``JamSession`` that
they call themselves. What the engine, the stitcher and the vocoder do is the music and not the
path. Properties, which read a state and call nothing further, are counted apart. The number over
all rooms is printed too.
"""

from __future__ import annotations

import inspect
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx

import riffusion
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.serving.protocol import AUDIO, RECORD
from riffusion.serving.server import serve

PACKAGE = Path(riffusion.__file__).parent
PATH_ROOMS = ("serving", "live")
SESSION = "jam/session.py"
# There were at most 40 while one queue did all of the work; the two stages of an engine, which work
# at the same time, take nine more.
MAX_CALLS, MAX_FILES = 50, 16
# The timer that ends abandoned jams has nothing to do with the path.
NEVER_S = 3600.0
# Comprehensions and lambdas are part of the function that they stand in.
PARTS = ("<lambda>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>")


@dataclass
class Calls:
    """The functions of this package that ran, as (file, function), in the order they ran first.

    ``path`` has those between Play and the first sample, and ``everywhere`` those of all rooms.
    """

    path: dict[tuple[str, str], None] = field(default_factory=dict)
    everywhere: dict[tuple[str, str], None] = field(default_factory=dict)

    @property
    def functions(self) -> list[tuple[str, str]]:
        """The functions of the path that are no properties."""
        properties = {(_file(code), code.co_qualname) for code in _property_codes()}
        return [called for called in self.path if called not in properties]

    @property
    def files(self) -> set[str]:
        """The files of the path."""
        return {file for file, _ in self.path}

    def note(self, frame: FrameType, event: str, argument: Any) -> None:
        """Take a call from ``sys.setprofile``."""
        code = frame.f_code
        if event != "call" or code.co_name in PARTS or (file := _file(code)) is None:
            return
        called = (file, code.co_qualname)
        self.everywhere[called] = None
        caller = _file(frame.f_back.f_code) if frame.f_back else None
        is_direct = file == SESSION and caller is not None and caller.startswith(PATH_ROOMS)
        if file.startswith(PATH_ROOMS) or is_direct:
            self.path[called] = None


def _file(code: CodeType) -> str | None:
    """Return the file of some code from the package on, or None where it lies elsewhere."""
    path = Path(code.co_filename)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else None


def _property_codes() -> Iterator[CodeType]:
    """Yield the code of all properties of this package."""
    for name, module in tuple(sys.modules.items()):
        if name.startswith("riffusion."):
            for kind in filter(inspect.isclass, vars(module).values()):
                for member in vars(kind).values():
                    if isinstance(member, property) and inspect.isfunction(member.fget):
                        yield member.fget.__code__


@contextmanager
def traced() -> Iterator[Calls]:
    """Note the calls of all threads while the block runs, but for threads that run already."""
    calls = Calls()
    threading.setprofile(calls.note)
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def trace_play(engine: Engine) -> Calls:
    """Serve the page, start a jam, and note the calls up to its first audio."""
    # The server's threads must start under the profile: it begins before the page is served, and
    # the calls up to the request are dropped.
    with (
        traced() as calls,
        serve(engine, sweep_s=NEVER_S) as serving,
        httpx.Client(base_url=serving.url, timeout=60) as client,
    ):
        client.get("/api/health").raise_for_status()
        calls.path.clear()
        calls.everywhere.clear()
        jam = client.post("/jam", json={"steps": 1}).json()["id"]
        with client.stream("GET", f"/jam/{jam}/stream?from=0") as response:
            _read_to_audio(response)
        found = Calls(dict(calls.path), dict(calls.everywhere))
        client.post(f"/jam/{jam}/tell", json={"type": "stop"})
    return found


def _read_to_audio(response: httpx.Response) -> None:
    """Read records until the first one of audio is there."""
    data = b""
    for chunk in response.iter_raw():
        data += chunk
        while len(data) >= RECORD.size:
            length, kind = struct.unpack_from(RECORD.format, data)
            if kind == AUDIO:
                return
            if len(data) < RECORD.size + length:
                break
            data = data[RECORD.size + length :]


def describe(calls: Calls) -> str:
    """Return how many calls and files there are, in a sentence."""
    functions, files = len(calls.functions), len(calls.files)
    everywhere = len({file for file, _ in calls.everywhere})
    return (
        f"from Play to the first sample: {functions} calls through {files} files (at most "
        f"{MAX_CALLS} and {MAX_FILES}), and {len(calls.path) - functions} properties; over all "
        f"rooms {len(calls.everywhere)} calls through {everywhere} files"
    )


def main() -> None:
    """Print the calls and files of the path, and how many there are."""
    calls = trace_play(load_engine(device="cpu"))
    for file, function in calls.path:
        print(f"{file:32} {function}")
    print(describe(calls))


if __name__ == "__main__":
    main()
