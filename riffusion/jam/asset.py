"""What a jam starts from besides its prompts: a sound or a mask, ours by name or anybody's own.

A jam's own ones are kept as data in a form that decodes to the same samples everywhere (FLAC, PNG),
so that a session file can hold them. Their name is made of their contents.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from riffusion.errors import InvalidInput

OWN = "own-"


@dataclass(frozen=True)
class AssetRef:
    """An anchor or a mask of the library by ``name``, or somebody's own with its ``data``."""

    name: str
    data: bytes = b""

    def __post_init__(self) -> None:
        if self.is_own and self.name != own_name(self.data):
            legal = "its data is missing or damaged; bring the sound or the picture again"
            raise InvalidInput("material", self.name, legal)

    @property
    def is_own(self) -> bool:
        """Whether it is somebody's own and not of the library."""
        return self.name.startswith(OWN)


def own_name(data: bytes) -> str:
    """The name of somebody's own material: the SHA-256 of its data."""
    return OWN + hashlib.sha256(data).hexdigest()


def own_asset(data: bytes) -> AssetRef:
    """Somebody's own material of FLAC or PNG ``data``."""
    return AssetRef(own_name(data), data)
