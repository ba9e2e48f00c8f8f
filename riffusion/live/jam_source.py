"""A jam as a live source: its changes are settings by their names in messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from riffusion.audio.track import TrackFile
from riffusion.engines.prefetch import ClipTask
from riffusion.engines.protocol import Engine, never
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef
from riffusion.jam.block import JamBlock
from riffusion.jam.opening import Opening
from riffusion.jam.schema import settings_for
from riffusion.jam.session import JamSession
from riffusion.jam.setting_values import AssetStore, Refusal, merge_change, settle_values
from riffusion.jam.settings import JamSettings
from riffusion.live.source import (
    Applied,
    AudioFormat,
    Captured,
    Message,
    Passage,
    Progress,
    RefusedSetting,
)
from riffusion.song.capture import capture_section, cut_passage, find_passage, with_section

Values = Mapping[str, Any]
# The session names a setting by its label.
WIRE_NAMES = {setting.label: setting.wire_name for setting in settings_for("jam")}


class JamSource:
    """A jam session whose settings a listener changes by messages.

    Opening it reads the anchor, which takes a moment: do it in a thread.
    """

    def __init__(
        self, engine: Engine, values: object, assets: AssetStore, opening: Opening | None = None
    ) -> None:
        """Open a jam with ``values`` by wire name; what is left out has its default.

        It goes on from the recording ``opening``, if there is one.
        ``assets`` finds anchors and masks by name. Raises RefusedSetting for a value that cannot
        be played, and InvalidInput where ``values`` is no object of known settings.
        """
        merged = merge_change({}, values, assets)
        for refusal in merged.refused:
            raise RefusedSetting(refusal)
        try:
            self.session = JamSession(engine, merged.settings, opening=opening)
        except InvalidInput as error:
            field = WIRE_NAMES.get(error.what, "")
            raise RefusedSetting(Refusal(field, str(error))) from error
        self.format = AudioFormat(engine.name, engine.params.sample_rate, engine.channels)
        self.progress = Progress()
        self._assets = _AssetsInUse(assets, lambda: (self._wanted.settings, self.session.settings))
        # Guards the three below: messages are read in other threads than changes are applied in.
        self._lock = Lock()
        self._played: Values = settle_values(merged.values)
        self._wanted = merge_change(self._played, {}, assets)
        self._waiting: dict[str, Any] = {}

    @property
    def has_change(self) -> bool:
        """Whether a change waits to be applied."""
        return bool(self._waiting)

    def place_clip(self, *, interrupted: Callable[[], bool] = never) -> None:
        """Generate the next clip of the jam. See ``LiveSource.place_clip``."""
        try:
            self.session.place_clip(interrupted=interrupted)
        finally:
            self._note_progress()

    def prefetch(self) -> ClipTask | None:
        """Return the task to generate the clip after it. See ``LiveSource.prefetch``."""
        return self.session.prefetch()

    def block(self, *, interrupted: Callable[[], bool] = never) -> JamBlock:
        """Generate the next block of the jam. See ``LiveSource.block``."""
        try:
            return self.session.block(interrupted=interrupted)
        finally:
            self._note_progress()

    def queue_change(self, message: Message) -> tuple[Refusal, ...]:
        """Merge ``message["settings"]``, which has only what changes, into what waits."""
        changes = message.get("settings")
        with self._lock:
            merged = merge_change(self._wanted.values, changes, self._assets)
            refused = {refusal.field for refusal in merged.refused}
            # merge_change has checked that the changes are an object.
            given = dict(changes) if isinstance(changes, dict) else {}
            self._waiting |= {n: value for n, value in given.items() if n not in refused}
            self._wanted = merged
        return merged.refused

    def apply_change(self, not_before: int) -> Applied:
        """Apply the values that wait. See ``LiveSource.apply_change``."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            wanted = self._wanted
            # What is momentary is asked for once.
            self._wanted = merge_change(settle_values(wanted.values), {}, self._assets)
        try:
            applied = Applied(self.session.change(wanted.settings, not_before))
            self._played = settle_values(wanted.values)
        except InvalidInput:
            applied = self._apply_each(waiting, not_before)
        self._note_progress()
        return applied

    def capture(self, passage: Passage, track: TrackFile, playhead: int) -> Captured:
        """Keep what the jam played before ``playhead``. See ``LiveSource.capture``."""
        segment = self.session.segment_at(playhead)
        cut = find_passage(segment, playhead, passage.bars)
        anchor = cut_passage(track, *cut) if cut else None
        section = capture_section(segment, playhead, passage.name, passage.bars, anchor)
        return Captured(with_section(passage.song, section, segment.settings), anchor)

    def export(self, samples: int) -> dict[str, object]:
        """Return the session file of the first ``samples`` samples, ready for JSON."""
        return {**self.session.export(), "samples": samples}

    def close(self) -> None:
        """Close the session."""
        self.session.close()

    def _apply_each(self, waiting: Values, not_before: int) -> Applied:
        """Apply value by value, and refuse those that the session cannot play."""
        played: Values = self._played
        refused: list[Refusal] = []
        lines: list[int | None] = []
        for name, value in waiting.items():
            trial = merge_change(played, {name: value}, self._assets)
            refused += trial.refused
            try:
                lines.append(self.session.change(trial.settings, not_before))
                played = settle_values(trial.values)
            except InvalidInput as error:
                refused.append(Refusal(name, str(error)))
        self._played = played
        self._take_back({refusal.field: waiting[refusal.field] for refusal in refused})
        return Applied(next((line for line in lines if line is not None), None), tuple(refused))

    def _take_back(self, refused: Values) -> None:
        """Want again what is played, where nobody has sent another value meanwhile."""
        with self._lock:
            values = dict(self._wanted.values)
            for name, value in refused.items():
                if name not in self._waiting and values.get(name) == value:
                    del values[name]
                    values |= {name: self._played[name]} if name in self._played else {}
            self._wanted = merge_change(values, {}, self._assets)

    def _note_progress(self) -> None:
        session = self.session
        self.progress = Progress(
            session.position, session.placed, session.ready, session.has_pending_audio
        )


@dataclass(frozen=True)
class _AssetsInUse:
    """An asset store that also finds what the settings of a jam use, and the store has dropped."""

    store: AssetStore
    used: Callable[[], Iterable[JamSettings]]

    def anchor(self, name: str) -> AssetRef | None:
        """Return the anchor of that name, None for ""."""
        anchors = (a for settings in self.used() for a in (settings.anchor, settings.anchor_b))
        found = next((anchor for anchor in anchors if anchor and anchor.name == name), None)
        return found or self.store.anchor(name)

    def mask(self, name: str) -> AssetRef | None:
        """Return the mask of that name, None for ""."""
        masks = (settings.mask for settings in self.used())
        found = next((mask for mask in masks if mask and mask.name == name), None)
        return found or self.store.mask(name)
