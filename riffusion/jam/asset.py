"""An asset reference names an anchor or a mask of a jam, and holds its data if it was uploaded.

Anchors and masks of the library are referred to by name alone. Uploaded ones carry their data in a
format that decodes to the same samples everywhere (FLAC, PNG), so that a session file can hold
them, and are named after their content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from riffusion.errors import InvalidInput

# The prefix is part of the format of sessions, plans and links.
UPLOAD_PREFIX = "own-"
# One jam may use uploads of this size in all, because its session file holds all of them.
MAX_UPLOAD_BYTES = 16 * 2**20


@dataclass(frozen=True)
class AssetRef:
    """An anchor or a mask: one of the library by ``name``, or an uploaded one with its ``data``.

    Raises InvalidInput where the name of an upload does not match its data.
    """

    name: str
    data: bytes = b""

    def __post_init__(self) -> None:
        if self.is_uploaded and self.name != name_upload(self.data):
            hint = "its data is missing or damaged; bring the sound or the picture again"
            raise InvalidInput("material", self.name, hint)

    @property
    def is_uploaded(self) -> bool:
        """Whether this asset was uploaded, rather than being part of the library."""
        return self.name.startswith(UPLOAD_PREFIX)


def name_upload(data: bytes) -> str:
    """Return the name of an upload: the prefix and the SHA-256 of its ``data``."""
    return UPLOAD_PREFIX + hashlib.sha256(data).hexdigest()


def make_upload(data: bytes) -> AssetRef:
    """Return a reference to an uploaded asset whose ``data`` is a FLAC or PNG file."""
    return AssetRef(name_upload(data), data)


def collect_uploads(values: Iterable[object]) -> dict[str, AssetRef]:
    """Return the uploaded assets among ``values`` by name, in order; other values are ignored."""
    return {
        value.name: value for value in values if isinstance(value, AssetRef) and value.is_uploaded
    }


def check_uploads(used: Iterable[AssetRef | None], newest: AssetRef, max_bytes: int) -> None:
    """Raise InvalidInput where the uploads among the assets that a jam has ``used`` are too large.

    The message names the ``newest`` anchor.
    """
    uploads = collect_uploads(used)
    if sum(len(upload.data) for upload in uploads.values()) > max_bytes:
        hint = (
            f"this jam has used {max_bytes // 2**20} MB of own sounds, all that its "
            "session file holds; go on with one of them, or start a new jam"
        )
        raise InvalidInput("anchor", newest.name, hint)
