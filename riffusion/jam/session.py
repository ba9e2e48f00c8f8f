"""A jam session generates a track without end, which obeys changes at bar lines.

It holds no thread, socket or widget: settings and changes go in, audio comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial

import numpy as np

from riffusion.audio.mastering import Mastering
from riffusion.engines.prefetch import ClipTask, PrefetchingEngine, PrefetchThread
from riffusion.engines.protocol import Engine, never
from riffusion.jam.anchor_loops import make_anchor_loop
from riffusion.jam.asset import MAX_UPLOAD_BYTES, check_uploads
from riffusion.jam.block import JamBlock, Samples, mark_opening
from riffusion.jam.clip_window import bars_per_clip, check_grid
from riffusion.jam.generator import ClipGenerator
from riffusion.jam.opening import Opening, prepare_opening
from riffusion.jam.session_file import SavedSession, to_fields
from riffusion.jam.settings import ASSETS
from riffusion.jam.settings import JamSettings as JamSettings
from riffusion.jam.timeline import Change, Segment, Timeline, first_segment
from riffusion.vocoder.protocol import Vocoder

BLOCK_S = 0.25
CACHED_ANCHORS = 4


class JamSession:
    """An endless iterator of ``JamBlock``, whose blocks follow each other without a gap.

    After ``change`` blocks may start again from an earlier sample: overwrite what you had from
    there on. The same settings and changes give the same samples, however they are consumed. Call
    a session from one thread at a time.

    Parameters
    ----------
    engine : Engine
        Generates the clips, and vocodes them unless ``vocoder`` does.
    settings : JamSettings
        What the jam plays from its first bar on.
    changes : iterable of Change
        Changes that are known beforehand, such as ``changes`` of an earlier session.
    pickup_bars : int
        How many bars come before the first chord and the beginning of the anchor; these bars have
        the end of both.
    vocoder : Vocoder, optional
        Takes the place of the engine's own.
    mastering : Mastering, optional
        The loudness and the ceiling of the track.
    max_upload_bytes : int
        How many bytes of uploaded sounds and masks the jam may use in all.
    opening : Opening, optional
        A recording that the track begins with, and the jam goes on from at a bar line.

    Raises
    ------
    InvalidInput
        If the engine cannot play bars of this length, an anchor or a mask is unknown, or there
        are too many uploads.

    Examples
    --------
    >>> import riffusion
    >>> bells, beats = riffusion.Prompt("church bells"), riffusion.Prompt("electronic beats")
    >>> settings = riffusion.JamSettings(bells, beats, bpm=120, steps=1)
    >>> session = riffusion.JamSession(riffusion.load_engine(device="cpu"), settings)
    >>> next(session).samples.shape
    (2, 11025)
    >>> session.change({"bpm": 128})  # the sample of the bar line from which on it is heard
    88200
    """

    def __init__(
        self,
        engine: Engine,
        settings: JamSettings,
        *,
        changes: Iterable[Change] = (),
        pickup_bars: int = 0,
        vocoder: Vocoder | None = None,
        mastering: Mastering | None = None,
        max_upload_bytes: int = MAX_UPLOAD_BYTES,
        opening: Opening | None = None,
    ) -> None:
        # Engines of songs prefetch already, below what else they do with each clip.
        if not isinstance(engine, PrefetchingEngine):
            engine = PrefetchingEngine(engine)
        self._engine = engine
        self._opening = opening
        self._max_upload_bytes = max_upload_bytes
        self._load_anchor = lru_cache(maxsize=CACHED_ANCHORS)(partial(make_anchor_loop, engine))
        start = opening.samples(self.sample_rate) if opening else 0
        first = first_segment(settings, self.sample_rate, pickup_bars, start)
        self._timeline = Timeline((first,))
        self._check(settings)
        sound = prepare_opening(engine, opening) if opening else None
        self._generator = ClipGenerator(self._engine, self._load_anchor, vocoder, mastering, sound)
        if opening:
            self._generator.marks.add(mark_opening(first, start))
        self._position = 0
        self._block_samples = round(BLOCK_S * self.sample_rate)
        self._ready: Samples = np.zeros((engine.channels, 0), np.float32)
        for change in changes:
            self._schedule(change.bar, self.settings.changed(change.changes))

    @property
    def engine_name(self) -> str:
        """The name of the engine and its weights."""
        return self._engine.name

    @property
    def sample_rate(self) -> int:
        """The sample rate in Hz."""
        return self._engine.params.sample_rate

    @property
    def channels(self) -> int:
        """The number of channels of every block."""
        return self._engine.channels

    @property
    def finished(self) -> bool:
        """Whether there is no next block: a jam has no end."""
        return False

    @property
    def position(self) -> int:
        """The absolute sample that the next block starts with."""
        return self._position

    @property
    def loudness(self) -> float:
        """The slow loudness in LUFS, before any gain, of the track so far."""
        return self._generator.loudness

    @property
    def ready(self) -> bool:
        """Whether the next block can be had without any computing."""
        return self._ready.size > 0

    @property
    def has_pending_audio(self) -> bool:
        """Whether a part of the last clip has not been vocoded and mastered yet."""
        return self._generator.has_pending_audio

    @property
    def placed(self) -> int:
        """The absolute sample up to which clips are placed: the next one begins there."""
        return self._timeline.bar_sample(self._generator.next_bar)

    @property
    def settings(self) -> JamSettings:
        """The settings of the latest change, whether or not they sound yet."""
        return self._timeline.last.settled()

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change so far, in the order of the track."""
        return self._timeline.changes()

    def __iter__(self) -> Iterator[JamBlock]:
        return self

    def __next__(self) -> JamBlock:
        return self.block()

    def block(
        self, until: int | None = None, *, interrupted: Callable[[], bool] = never
    ) -> JamBlock:
        """Return the next block: at most a quarter of a second, and never past sample ``until``.

        Where a clip must be generated for it and ``interrupted`` turns true meanwhile, raises
        ``riffusion.engines.protocol.Interrupted``; the jam is then as it was.
        """
        while not self.ready:
            self.place_clip(interrupted=interrupted)
            self._add_ready(self._generator.next_audio())
        start = self._position
        clip, *following = self._generator.marks.since(start)
        lines = (mark.start_sample for mark in following)
        stop = min(start + self._ready.shape[1], start + self._block_samples, *lines)
        stop = stop if until is None else max(start, min(stop, until))
        samples, self._ready = np.split(self._ready, [stop - start], axis=1)
        self._position = stop
        return JamBlock(start, samples.copy(), clip)

    def place_clip(self, *, interrupted: Callable[[], bool] = never) -> None:
        """Generate the next clip, where the next block needs it, without making its sound yet.

        Raises Interrupted as ``block`` does.
        """
        if not (self.ready or self.has_pending_audio):
            self._generator.place_clip(self._timeline, interrupted)

    def prefetch(self) -> ClipTask | None:
        """Return the task to generate the clip after those that are placed; None a second time.

        Whoever likes runs it, in another thread, while the sound of the last clip is made. Where a
        change asks for something else, its clip is dropped: the track has the same samples with
        and without it. Clips of the quality "fine" are not generated ahead.
        """
        return self._generator.prefetch(self._timeline)

    def change(
        self, changes: JamSettings | Mapping[str, object], not_before: int | None = None
    ) -> int | None:
        """Change settings at the next place from which on the track can be generated anew.

        That is a bar line unless ``quantize`` says otherwise. ``changes`` is a whole
        ``JamSettings``, or new values by name. No sample before ``not_before`` is rewritten
        (default: none that was given out). It may lie in what was generated already: up to 30 s of
        it can be taken back. Blocks then start again up to 100 ms before that place, where the new
        clip fades in. A change replaces those that were scheduled for later and includes their
        values.

        Returns the place, as a sample, or None where nothing changes. Raises InvalidInput for
        values that cannot be played; the jam then continues as it was.
        """
        settings = changes if isinstance(changes, JamSettings) else self.settings.changed(changes)
        if settings == self.settings:
            return None
        not_before = self._position if not_before is None else not_before
        # A metre begins on a bar line.
        same_metre = settings.beats_per_bar == self.settings.beats_per_bar
        quantize = settings.quantize if same_metre else "bar"
        bar = self._generator.place_for_change(self._timeline, not_before, quantize)
        bar_line = self._timeline.bar_sample(bar)
        if self._timeline.segments[-1].bar >= bar:
            # What was asked for at the same place, and would be over after it, is not forgotten.
            settings = settings.with_momentary(self._timeline.last)
        self._schedule(bar, settings)
        if rewound := self._generator.rewind(bar, bar_line):
            more, resume = rewound
            self._add_ready(more)
            self._ready = self._ready[:, : max(0, resume - self._position)]
            self._position = min(self._position, resume)
        return bar_line

    def segment_at(self, sample: int) -> Segment:
        """Return the settings at a sample, with the bar since which they apply."""
        return self._timeline.at(sample)

    def saved(self) -> SavedSession:
        """Return all that ``replay`` needs to generate the same track up to ``position``."""
        return SavedSession(
            engine=self.engine_name,
            sample_rate=self.sample_rate,
            settings=self._timeline.first,
            changes=self.changes,
            samples=self._position,
            opening=self._opening,
        )

    def export(self) -> dict[str, object]:
        """Return the content of its session file, ready for JSON."""
        return to_fields(self.saved())

    def close(self) -> None:
        """Do nothing: a jam keeps no file and no thread."""

    def _schedule(self, bar: float, settings: JamSettings) -> None:
        """Apply ``settings`` from a bar on."""
        self._check(settings)
        timeline = self._timeline.changed(bar, settings)
        check_grid(self._engine, timeline.segments[-1].grid)
        self._timeline = timeline

    def _check(self, settings: JamSettings) -> None:
        """Raise InvalidInput for settings that cannot be played, or not be saved."""
        bars_per_clip(self._engine, settings)
        anchors = [one for one in (settings.anchor, settings.anchor_b) if one is not None]
        for anchor in anchors:
            self._load_anchor(anchor, settings.mask)
        own = [self._opening.recording] if self._opening else []
        if not (own or anchors):
            return
        used = (*(segment.settings for segment in self._timeline.segments), settings)
        assets = [*own, *(getattr(one, name) for one in used for name in ASSETS)]
        for newest in (*own, *anchors):
            check_uploads(assets, newest, self._max_upload_bytes)

    def _add_ready(self, samples: Samples) -> None:
        """Append audio to what the next blocks give out."""
        self._ready = np.concatenate([self._ready, samples], axis=1)


def render(session: JamSession, samples: int) -> Iterator[JamBlock]:
    """Yield the blocks from ``session.position`` up to absolute sample ``samples``, exactly.

    While the sound of a clip is made, a thread generates the next one.

    Parameters
    ----------
    session : JamSession
        Is played on, and can be changed between two blocks.
    samples : int
        The sample after the last one.

    Raises
    ------
    InvalidInput
        If a prompt, an anchor or a mask cannot be used by the engine.

    Examples
    --------
    >>> import riffusion
    >>> bells, beats = riffusion.Prompt("church bells"), riffusion.Prompt("electronic beats")
    >>> engine = riffusion.load_engine(device="cpu")
    >>> session = riffusion.JamSession(engine, riffusion.JamSettings(bells, beats, steps=1))
    >>> blocks = list(riffusion.render(session, 2 * session.sample_rate))
    >>> sum(block.samples.shape[1] for block in blocks) / session.sample_rate
    2.0
    """
    with PrefetchThread() as thread:
        while session.position < samples:
            session.place_clip()
            if session.placed < samples and (task := session.prefetch()):
                thread.start(task)
            yield session.block(until=samples)
