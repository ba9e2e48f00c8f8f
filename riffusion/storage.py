"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from riffusion.errors import InvalidInput, StorageError


class Closing(ABC):
    """A resource that is open until ``close``, which the end of a ``with`` block calls."""

    @abstractmethod
    def close(self) -> None:
        """Release the resource."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path``. A file that was there stays as it was where writing fails.

    Raises StorageError, which says why and what to do.
    """
    with writing_whole(path) as file:
        file.write(data)


@contextmanager
def writing_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file that replaces ``path`` at the end of the block. Raises StorageError."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("wb") as file:
                yield file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"could not write {path}: {error.strerror or error}; "
            "free some space or choose another folder"
        ) from error


def check_output(what: str, path: str | None, suffixes: Collection[str]) -> None:
    """Raise InvalidInput where ``path`` cannot name an output; None is fine.

    ``what`` names the option in the message, and ``suffixes`` are the legal endings.
    """
    if path is None:
        return
    if Path(path).suffix.lower() not in suffixes:
        raise InvalidInput(what, path, f"end it in {', '.join(suffixes)}")
    if Path(path).is_dir():
        raise InvalidInput(what, path, "is a folder; name a file in it")
    if not Path(path).parent.is_dir():
        raise InvalidInput(what, path, "its folder does not exist; make it first")
