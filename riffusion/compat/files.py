"""Files of the batch commands: listing and making folders, naming files, working in parallel."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from riffusion.errors import InvalidAudio, InvalidInput, StorageError

MAX_NAME_LENGTH = 60


def list_audio_files(folder: str, pattern: str = "*", limit: int = -1) -> list[Path]:
    """Return the sorted files of ``folder`` that match a glob pattern, except JSON files.

    A ``limit`` above 0 returns at most so many. Raises InvalidInput when there is no such folder,
    or the pattern leads out of it.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InvalidInput("--audio-dir", folder, "is no folder; check the name")
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise InvalidInput("--glob", pattern, "stays inside the folder: use *.mp3 or **/*.wav")
    found = (file for file in path.glob(pattern) if file.is_file() and file.suffix != ".json")
    files = sorted(found)
    return files[:limit] if limit > 0 else files


def make_folder(folder: str) -> Path:
    """Make ``folder`` if it is not there, and return its path. Raises StorageError."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"could not make {folder}: {error.strerror}; name another") from error
    return path


def process_files(
    files: Sequence[Path], work: Callable[[Path], Iterable[Path]], threads: int | None
) -> tuple[list[Path], list[str]]:
    """Process files in a pool of threads, and return the written paths and the problems.

    ``work`` processes one file and yields the paths it wrote. A file that is no audio becomes a
    problem and leaves the others alone, as in the original; a full disk stops the work.
    ``threads`` None is one for each core. Raises InvalidInput for fewer than one thread.
    """
    if threads is not None and threads < 1:
        raise InvalidInput("--num-threads", threads, "use 1 or more")

    def one(file: Path) -> tuple[list[Path], str | None]:
        try:
            return list(work(file)), None
        except InvalidAudio as error:
            return [], f"{file.name}: {error}"

    written: list[Path] = []
    problems: list[str] = []
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for paths, problem in pool.map(one, files):
            written += paths
            problems += [problem] if problem else []
    return written, problems


def slugify(text: str) -> str:
    """Return ``text`` for a file name: letters and digits of any script, and _ for the rest."""
    return re.sub(r"\W+", "_", text).strip("_")[:MAX_NAME_LENGTH] or "clip"


def check_extension(what: str, extension: str, known: Iterable[str]) -> str:
    """Return ``extension`` in lower case with its dot. Raises InvalidInput for an unknown one."""
    suffix = "." + extension.lower().removeprefix(".")
    if suffix not in known:
        names = ", ".join(name.removeprefix(".") for name in known)
        raise InvalidInput(what, extension, f"use one of {names}")
    return suffix
