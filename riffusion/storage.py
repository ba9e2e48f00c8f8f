"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from riffusion.errors import StorageError


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path``. A file that was there stays as it was where writing fails.

    Raises StorageError, saying why and what to do.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"could not write {path}: {error.strerror or error}; "
            "free some space or choose another folder"
        ) from error
