"""The real app in a process of its own, for measurements from outside."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.options import Options

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https?://\S+")
STOPPING_S = 20


@contextmanager
def running_app(options: Options) -> Iterator[str]:
    """Start app.py, wait until it is warm, yield the URL of its page, and stop it at the end.

    Raises RuntimeError where it ends before it is ready.
    """
    command = [sys.executable, str(ROOT / "app.py"), *options.engine_arguments()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _read_address(process)
        finally:
            process.terminate()
            process.wait(STOPPING_S)


def _read_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := ADDRESS.search(line):
            return found.group().rstrip("/")
    raise RuntimeError(f"app.py ended with exit code {process.wait()} before it was ready")
