"""A song as a live source: its changes are other plans, and jumps to sections."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from riffusion.audio.track import TrackFile
from riffusion.engines.prefetch import ClipTask
from riffusion.engines.protocol import Engine, never
from riffusion.errors import InvalidInput
from riffusion.jam.block import JamBlock
from riffusion.jam.setting_values import Refusal, read_whole
from riffusion.live.source import Applied, AudioFormat, Captured, Message, Passage, Progress
from riffusion.song.model import Song
from riffusion.song.session import SongChange, SongSession

# Reads a plan, text or an object of its fields. Raises InvalidInput for a plan that is wrong.
ReadPlan = Callable[[object], Song]


class SongSource:
    """A song session that a listener edits by messages.

    Opening it reads the plan, and anchors with it: do it in a thread.
    """

    def __init__(self, engine: Engine, plan: object, read_plan: ReadPlan) -> None:
        """Open the song of ``plan``. Raises InvalidInput for a plan that cannot be played."""
        song = read_plan(plan)
        self.session = SongSession(engine, song)
        self.format = AudioFormat(engine.name, engine.params.sample_rate, engine.channels)
        self.progress = Progress()
        self._read_plan = read_plan
        # Guards the two below: messages are read in other threads than changes are applied in.
        self._lock = Lock()
        self._song = song
        self._waiting: SongChange | None = None

    @property
    def has_change(self) -> bool:
        """Whether a change waits to be applied."""
        return self._waiting is not None

    def place_clip(self, *, interrupted: Callable[[], bool] = never) -> None:
        """Generate the next clip of the song. See ``LiveSource.place_clip``."""
        try:
            self.session.place_clip(interrupted=interrupted)
        finally:
            self._note_progress()

    def prefetch(self) -> ClipTask | None:
        """Return the task to generate the clip after it. See ``LiveSource.prefetch``."""
        return self.session.prefetch()

    def block(self, *, interrupted: Callable[[], bool] = never) -> JamBlock:
        """Generate the next block of the song. See ``LiveSource.block``."""
        try:
            return self.session.block(interrupted=interrupted)
        finally:
            self._note_progress()

    def queue_change(self, message: Message) -> tuple[Refusal, ...]:
        """Read ``message["plan"]`` and ``message["jump"]``; what is left out stays as it was."""
        plan, jump = message.get("plan"), message.get("jump")
        if plan is None and jump is None:
            raise InvalidInput("change of a song", "empty", "send a plan, a jump, or both")
        try:
            song = None if plan is None else self._read_plan(plan)
            to = None if jump is None else read_whole("section to jump to", jump)
        except InvalidInput as error:
            # A jump counts the sections of its plan, so one is worth nothing without the other.
            return (Refusal("", str(error)),)
        with self._lock:
            self._song = self._song if song is None else song
            waiting_jump = self._waiting.jump if self._waiting else None
            self._waiting = SongChange(self._song, waiting_jump if to is None else to)
        return ()

    def apply_change(self, not_before: int) -> Applied:
        """Apply the plan and the jump that wait. See ``LiveSource.apply_change``."""
        with self._lock:
            change, self._waiting = self._waiting, None
        applied = self._apply(change, not_before) if change else Applied()
        self._note_progress()
        return applied

    def capture(self, passage: Passage, track: TrackFile, playhead: int) -> Captured:
        """Raise InvalidInput: a song is made of sections already."""
        raise InvalidInput("what plays", "a song", "play a jam to keep a part of it")

    def export(self, samples: int) -> dict[str, object]:
        """Return the fields of the plan, ready for JSON; it says the same of any length."""
        return self.session.export()

    def close(self) -> None:
        """Delete the sections on disk."""
        self.session.close()

    def _apply(self, change: SongChange, not_before: int) -> Applied:
        """Apply a change; where its jump is refused, the plan counts all the same."""
        try:
            return Applied(self.session.change(change, not_before))
        except InvalidInput as error:
            refused = Refusal("", str(error))
        try:
            return Applied(self.session.change(SongChange(change.song), not_before), (refused,))
        except InvalidInput as error:
            with self._lock:
                if self._song is change.song:
                    self._song = self.session.song
            return Applied(None, (Refusal("", str(error)),))

    def _note_progress(self) -> None:
        session = self.session
        self.progress = Progress(
            position=session.position,
            placed=session.placed,
            ready=session.ready,
            has_pending_audio=session.has_pending_audio,
            finished=session.finished,
        )
