"""The time and download from a fresh clone to a page that answers; it must be named to run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.app import ADDRESS, ROOT, STOPPING_S
from benchmarks.options import Options
from benchmarks.report import Row

DOWNLOAD = re.compile(r"Downloading \S+ \(([\d.]+) (kB|MB|GB)\)")
LOCAL = re.compile(r"Processing (\S+\.whl)")
MEGABYTES = {"kB": 1e-3, "MB": 1.0, "GB": 1e3}


def measure(options: Options) -> list[Row]:
    """Run ./scripts/jam in a clone with no environment and no pip cache, then once more."""
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "riffusion"
        copy_tracked_files(clone)
        first_s, lines = time_start(clone, options)
        second_s, _ = time_start(clone, options)
    note = "no pip cache; wheels that pip finds on this machine count as downloads"
    return [
        Row("./scripts/jam from nothing to the page", first_s / 60, "minutes", "", note),
        Row("downloaded for it", sum_downloads_mb(lines), "MB", "", note),
        Row("./scripts/jam the second time", second_s, "s", "seconds", ""),
    ]


def copy_tracked_files(clone: Path) -> None:
    """Copy what a clone of this folder would hold, with changes that are not yet committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)


def time_start(clone: Path, options: Options) -> tuple[float, list[str]]:
    """Return the seconds until the address of the page is printed, and all lines up to it.

    Raises RuntimeError where the script ends before that.
    """
    begin = time.monotonic()
    with subprocess.Popen(
        [clone / "scripts" / "jam", *options.engine_arguments()],
        env={**os.environ, "PIP_NO_CACHE_DIR": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        lines: list[str] = []
        try:
            for line in process.stdout or ():
                lines.append(line)
                if line.startswith("Riffusion is at") and ADDRESS.search(line):
                    return time.monotonic() - begin, lines
        finally:
            process.terminate()
            process.wait(STOPPING_S)
    raise RuntimeError("".join(["./scripts/jam ended before the page was there:\n", *lines[-20:]]))


def sum_downloads_mb(lines: Iterable[str]) -> float:
    """Return the sum of what pip says it downloaded, in MB."""
    total = 0.0
    for line in lines:
        if found := DOWNLOAD.search(line):
            total += float(found[1]) * MEGABYTES[found[2]]
        elif found := LOCAL.search(line):
            total += Path(found[1]).stat().st_size / 1e6
    return total
