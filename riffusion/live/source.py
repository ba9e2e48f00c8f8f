"""A live source is music that is generated block by block and takes changes while it plays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from riffusion.audio.track import TrackFile
from riffusion.engines.prefetch import ClipTask
from riffusion.engines.protocol import never
from riffusion.errors import RiffusionError
from riffusion.jam.asset import AssetRef
from riffusion.jam.block import JamBlock
from riffusion.jam.setting_values import Refusal
from riffusion.song.model import Song

Message = Mapping[str, object]


@dataclass(frozen=True)
class AudioFormat:
    """The audio of a source: ``sample_rate`` in Hz, ``channels``, and the engine that makes it."""

    engine_name: str
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class Progress:
    """The progress of a source says how far it has been generated, as its last call left it.

    ``position`` is the absolute sample that the next block starts with, ``placed`` the one up to
    which clips are generated. ``ready`` says whether the next block can be had without any
    computing, ``has_pending_audio`` whether a part of the last clip has not been vocoded yet, and
    ``finished`` whether there is no next block.
    """

    position: int = 0
    placed: int = 0
    ready: bool = False
    has_pending_audio: bool = False
    finished: bool = False


@dataclass(frozen=True)
class Applied:
    """The result of a change: the absolute sample from which on it is heard, and what was refused.

    ``at`` is None where nothing changes.
    """

    at: int | None = None
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Passage:
    """A request to keep the last ``bars`` bars before the playhead as section ``name``.

    The section becomes part of ``song``, or of a new song where that is None.
    """

    name: str
    bars: int
    song: Song | None = None


@dataclass(frozen=True)
class Captured:
    """A song with a captured section, and the sound that the section starts from, if any."""

    song: Song
    anchor: AssetRef | None


class RefusedSetting(RiffusionError):
    """A setting, by its name in messages, that a source cannot be opened with."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.field = refusal.field


class LiveSource(Protocol):
    """Music as a stream of blocks, which takes changes at bar lines.

    ``place_clip``, ``prefetch``, ``block``, ``apply_change`` and ``close`` are called by one thread
    at a time, and a task of ``prefetch`` may run meanwhile in another one. The other methods may be
    called meanwhile from other threads. ``format``, ``progress`` and ``has_change`` compute
    nothing, so that an event loop may read them.
    """

    @property
    def format(self) -> AudioFormat:
        """The format of all blocks."""
        ...

    @property
    def progress(self) -> Progress:
        """The state after the last call of ``place_clip``, ``block`` or ``apply_change``."""
        ...

    @property
    def has_change(self) -> bool:
        """Whether a change waits to be applied."""
        ...

    def place_clip(self, *, interrupted: Callable[[], bool] = never) -> None:
        """Generate the next clip, where the next block needs it, without making its sound yet.

        Raises Interrupted as ``block`` does.
        """
        ...

    def prefetch(self) -> ClipTask | None:
        """Return the task to generate the clip after those that are placed; None a second time."""
        ...

    def block(self, *, interrupted: Callable[[], bool] = never) -> JamBlock:
        """Return the next block, float32 (channels, samples).

        Raises Interrupted, and stays as it was, where ``interrupted`` turns true while a clip is
        generated.
        """
        ...

    def queue_change(self, message: Message) -> tuple[Refusal, ...]:
        """Read a change message and merge it into the change that waits.

        Returns the values that cannot be used; the others wait to be applied. Raises InvalidInput
        where the message is no change at all.
        """
        ...

    def apply_change(self, not_before: int) -> Applied:
        """Apply the waiting change from the next bar line on.

        Nothing before absolute sample ``not_before`` is rewritten. A value that the source cannot
        play is refused and does not hold back the others.
        """
        ...

    def capture(self, passage: Passage, track: TrackFile, playhead: int) -> Captured:
        """Return a song with what was heard before ``playhead`` as a section.

        Raises InvalidInput where this source has no such thing to keep.
        """
        ...

    def export(self, samples: int) -> dict[str, object]:
        """Return what is needed to play the first ``samples`` samples again, ready for JSON."""
        ...

    def close(self) -> None:
        """Delete the files of the source."""
        ...
