"""What can be played live: a jam or a song. The one protocol that a stream knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from riffusion.engines.protocol import never
from riffusion.jam.block import JamBlock

Change = TypeVar("Change", contravariant=True)


class LiveSource(Protocol[Change]):
    """Music as a stream of blocks, which obeys changes at bar lines.

    ``riffusion.jam.session.JamSession`` is one, with ``JamSettings`` for changes, and so is
    ``riffusion.song.session.SongSession``. Call it from one thread at a time.
    """

    @property
    def engine_name(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...

    @property
    def position(self) -> int:
        """The absolute sample that the next block starts with."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the next block is there without any computing."""
        ...

    @property
    def has_pending_audio(self) -> bool:
        """Whether a part of the last clip has not become sound yet."""
        ...

    @property
    def finished(self) -> bool:
        """Whether there is no next block. A change may bring more."""
        ...

    def block(self, *, interrupted: Callable[[], bool] = never) -> JamBlock:
        """The next block. Raises Interrupted, and is as it was, where ``interrupted`` turns true
        while a clip is generated."""
        ...

    def change(self, change: Change, not_before: int) -> int | None:
        """Change what is played, at a bar line, which is returned as a sample.

        Nothing before sample ``not_before`` is rewritten. None where nothing changes.
        InvalidInput for what cannot be played; everything then goes on as it was.
        """
        ...

    def export(self) -> dict[str, object]:
        """What is needed to play it again, ready for JSON."""
        ...

    def close(self) -> None:
        """Delete what it keeps on disk."""
        ...
