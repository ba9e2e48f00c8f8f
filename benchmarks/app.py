"""The real app in a process of its own, for measurements from outside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.options import Options

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https?://\S+")
STARTING_S, STOPPING_S = 60, 20
FIRST_BYTES = 10_000  # more than the events before the first samples


@contextmanager
def running_app(options: Options) -> Iterator[str]:
    """Start app.py, wait until it has played, yield the URL of its page, and stop it at the end.

    Raises RuntimeError where it ends before its page answers.
    """
    command = [sys.executable, str(ROOT / "app.py"), *options.engine_arguments()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = _read_address(process)
            _play_first_jam(url)
            yield url
        finally:
            process.terminate()
            process.wait(STOPPING_S)


def _play_first_jam(url: str) -> None:
    """Wait for the first samples of a jam, after which the engine is warm."""
    headers = {"Content-Type": "application/json"}
    jam = urllib.request.Request(f"{url}/jam", data=b"{}", headers=headers)
    with urllib.request.urlopen(jam, timeout=STARTING_S) as answer:
        address = f"{url}/jam/{json.load(answer)['id']}"
    with urllib.request.urlopen(f"{address}/stream", timeout=STARTING_S) as records:
        records.read(FIRST_BYTES)
    stop = urllib.request.Request(f"{address}/tell", data=b'{"type": "stop"}', headers=headers)
    urllib.request.urlopen(stop, timeout=STARTING_S).close()


def _read_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := ADDRESS.search(line):
            return found.group().rstrip("/")
    raise RuntimeError(f"app.py ended with exit code {process.wait()} before it was ready")
