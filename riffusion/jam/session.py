"""JamSession: an endless generator of audio that obeys changes at bar lines.

State in, audio out: it holds no thread, socket or widget. Call it from one thread at a time.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from riffusion.audio.mastering import Mastering
from riffusion.engines.clip import MAX_SEED, ClipRequest
from riffusion.engines.protocol import Engine, never
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef
from riffusion.jam.loops import make_loop
from riffusion.jam.settings import JamSettings as JamSettings
from riffusion.jam.settings import to_json
from riffusion.jam.stitcher import Stitcher
from riffusion.jam.timeline import Segment, Timeline, first_segment
from riffusion.vocoder.protocol import Vocoder

Samples = npt.NDArray[np.float32]

SESSION_VERSION = 1
BLOCK_S = 0.25
MIN_CONTEXT_S = 1.0
# What a jam may use of listeners' own sounds and pictures: a session file holds them all.
MAX_OWN_BYTES = 16 * 2**20
REMEMBERED_LOOPS = 4
# The last frames of a window have no sound after them to be checked against: not played.
UNUSED_FRAMES = 4


@dataclass(frozen=True)
class ClipMark:
    """What sounds from ``start_sample`` (a bar line) on. ``chords``: the names, one a bar."""

    index: int
    start_sample: int
    bar: int
    prompt_a: str
    prompt_b: str
    seed_a: int
    seed_b: int
    alpha: float
    bpm: float
    beats_per_bar: int
    key: str
    chords: tuple[str, ...]


@dataclass(frozen=True)
class JamBlock:
    """Float32 ``samples`` (channels, n) from absolute sample ``start`` on, all of one clip."""

    start: int
    samples: Samples
    clip: ClipMark


@dataclass(frozen=True)
class Change:
    """New values of some settings, by name, from bar ``bar`` (at ``sample``) on."""

    bar: int
    sample: int
    changes: Mapping[str, object]


@dataclass(frozen=True)
class ClipWindow:
    """The next clip: it sounds from bar ``bar`` (at ``start``) for ``bars`` bars.

    Its window begins ``context`` frames before its first own frame.
    """

    bar: int
    bars: int
    start: int
    first_frame: int
    context: int


class JamSession:
    """Iterator of ``JamBlock``, without end; the blocks follow each other without a gap.

    After ``change`` blocks may start again from an earlier sample: overwrite what you had from
    there. The same settings and changes give the same samples, however they are consumed.
    ``changes`` are known beforehand, as ``changes`` of an earlier session. Chords and anchor begin
    after ``pickup_bars``, which have the end of both. ``vocoder`` takes the place of the engine's
    own. ``mastering`` says how loud to play.
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
    ) -> None:
        self._engine = engine
        self._loop = lru_cache(maxsize=REMEMBERED_LOOPS)(partial(make_loop, engine))
        self._initial = settings
        self._changes: tuple[Change, ...] = ()
        self._check(settings)
        self._timeline = Timeline((first_segment(settings, self.sample_rate, pickup_bars),))
        self._stitcher = Stitcher(
            engine.params, engine.channels, engine.frames, vocoder or engine.vocoder, mastering
        )
        self._marks: tuple[ClipMark, ...] = ()
        self._next_bar = 0
        self._position = 0
        self._block_samples = round(BLOCK_S * self.sample_rate)
        self._ready: Samples = np.zeros((engine.channels, 0), np.float32)
        self._unplayed: tuple[int, ...] = ()
        for change in changes:
            self._schedule(change.bar, self.settings.changed(change.changes))

    @property
    def engine_name(self) -> str:
        return self._engine.name

    @property
    def sample_rate(self) -> int:
        return self._engine.params.sample_rate

    @property
    def channels(self) -> int:
        return self._engine.channels

    @property
    def finished(self) -> bool:
        """A jam has no end."""
        return False

    @property
    def position(self) -> int:
        """The absolute sample that the next block starts with."""
        return self._position

    @property
    def loudness(self) -> float:
        """The slow loudness in LUFS, before any gain, of what was played so far."""
        return self._stitcher.loudness

    @property
    def ready(self) -> bool:
        """Whether the next block is there without any computing."""
        return self._ready.size > 0

    @property
    def has_pending_audio(self) -> bool:
        """Whether a part of the last clip has not become sound yet."""
        return bool(self._unplayed)

    @property
    def settings(self) -> JamSettings:
        """The latest settings, whether or not they have been heard yet."""
        return self._timeline.segments[-1].settings

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change so far, in the order of the track."""
        return self._changes

    def __iter__(self) -> Iterator[JamBlock]:
        return self

    def __next__(self) -> JamBlock:
        return self.block()

    def block(
        self, until: int | None = None, *, interrupted: Callable[[], bool] = never
    ) -> JamBlock:
        """The next block: a quarter of a second, or less, and never past sample ``until``.

        Where a clip must be generated for it and ``interrupted`` turns true meanwhile, raises
        ``riffusion.engines.protocol.Interrupted``; the jam is then as it was.
        """
        while not self.ready:
            if self._unplayed:
                self._play_bar()
            else:
                self._add_clip(interrupted)
        start = self._position
        clip = next(m for m in reversed(self._marks) if m.start_sample <= start)
        coming = (m.start_sample for m in self._marks if m.start_sample > start)
        stop = min(start + self._ready.shape[1], start + self._block_samples, *coming)
        stop = stop if until is None else max(start, min(stop, until))
        samples, self._ready = np.split(self._ready, [stop - start], axis=1)
        self._position = stop
        return JamBlock(start, samples.copy(), clip)

    def change(
        self, changes: JamSettings | Mapping[str, object], not_before: int | None = None
    ) -> int | None:
        """Change settings at the next bar line from which on all is heard anew.

        ``changes`` is a whole ``JamSettings``, or new values by name. Nothing before sample
        ``not_before`` is rewritten (default: nothing that was already given out). It may lie in
        what was generated already: up to 30 s of it can be taken back; then blocks start again
        up to 100 ms before the bar line, because the new clip fades in before it. A change
        replaces those that were to come later and includes what they said.

        Returns the bar line, as a sample, or None where nothing changes. Raises InvalidInput for
        values that cannot be played; the jam then goes on as it was.
        """
        settings = changes if isinstance(changes, JamSettings) else self.settings.changed(changes)
        if settings == self.settings:
            return None
        bar = self._bar_for_change(self._position if not_before is None else not_before)
        bar_line = self._timeline.bar_sample(bar)
        self._schedule(bar, settings)
        if bar < self._next_bar:
            self._rewind(bar, bar_line)
        return bar_line

    def segment_at(self, sample: int) -> Segment:
        """What rules at a sample of the last 30 s, and since when."""
        return self._timeline.at(sample)

    def close(self) -> None:
        """A jam keeps nothing on disk."""

    def export(self) -> dict[str, object]:
        """All that ``session_file.replay`` needs for the same track, ready for JSON."""
        own = self._own_material()
        held = {name: base64.b64encode(one.data).decode("ascii") for name, one in own.items()}
        return {
            "version": SESSION_VERSION,
            "engine": self._engine.name,
            "sample_rate": self.sample_rate,
            "settings": to_json(self._initial.values()),
            "changes": [
                {"bar": c.bar, "sample": c.sample, "settings": to_json(c.changes)}
                for c in self._changes
            ],
            "samples": self._position,
            **({"own": held} if held else {}),
        }

    def _bar_for_change(self, not_before: int) -> int:
        lines = (*self._stitcher.bar_lines, *self._unplayed)
        earliest = max(not_before, lines[0] if lines else 0)
        bar = self._timeline.next_bar(earliest)
        begins = self._timeline.bar_sample(bar) - self._stitcher.reach_back
        return bar + 1 if bar < self._next_bar and begins < not_before else bar

    def _schedule(self, bar: int, settings: JamSettings) -> None:
        """Let ``settings`` rule from a bar on, and write it down."""
        self._check(settings)
        self._timeline = self._timeline.changed(bar, settings)
        before, after = self._timeline.segments[-2:]
        made = before.settings.difference(settings)
        earlier = (change for change in self._changes if change.bar < bar)
        self._changes = (*earlier, Change(bar, after.start, made))

    def _check(self, settings: JamSettings) -> None:
        """Raise InvalidInput for settings that cannot be played, or whose session was too big."""
        bars_per_clip(self._engine, settings)
        if settings.anchor is None:
            return
        self._loop(settings.anchor, settings.mask)
        used = self._own_material(settings).values()
        if sum(len(material.data) for material in used) > MAX_OWN_BYTES:
            legal = (
                f"this jam has used {MAX_OWN_BYTES // 2**20} MB of own sounds, all that its "
                "session file holds; go on with one of them, or start a new jam"
            )
            raise InvalidInput("anchor", settings.anchor.name, legal)

    def _own_material(self, *more: JamSettings) -> dict[str, AssetRef]:
        """Listeners' own sounds and pictures in this jam and in ``more`` settings, by name."""
        told = [settings.values() for settings in (self._initial, *more)]
        told += [dict(change.changes) for change in self._changes]
        used = (values.get(name) for values in told for name in ("anchor", "mask"))
        return {one.name: one for one in used if isinstance(one, AssetRef) and one.is_own}

    def _rewind(self, bar: int, bar_line: int) -> None:
        while self._unplayed and self._unplayed[0] <= bar_line:
            self._play_bar()
        self._unplayed = ()
        resume = self._stitcher.rewind(bar_line)
        self._ready = self._ready[:, : max(0, resume - self._position)]
        self._position = min(self._position, resume)
        self._marks = tuple(m for m in self._marks if m.start_sample < bar_line)
        self._next_bar = bar

    def _add_clip(self, interrupted: Callable[[], bool]) -> None:
        """Generate the next clip and play what becomes sound of it at once."""
        start = self._timeline.bar_sample(self._next_bar)
        segment = self._timeline.at(start)
        plan = clip_window(self._engine, segment, self._next_bar)
        index = self._marks[-1].index + 1 if self._marks else 0
        request = self._request(segment, plan, index)
        clip = self._engine.generate([request], interrupted=interrupted)[0]
        self._stitcher.push(start, plan.first_frame, clip)
        cut = self._timeline.change_after(start)
        stop_bar = min(plan.bar + plan.bars, cut.bar if cut else plan.bar + plan.bars)
        bars = range(plan.bar + 1, stop_bar + 1)
        self._unplayed = tuple(segment.grid.bar_sample(bar) for bar in bars)
        self._add_ready(self._stitcher.play_ready(self._unplayed[0]))
        self._next_bar = stop_bar
        self._forget(start)
        self._marks = (*self._marks, _mark(segment, plan, index))

    def _play_bar(self) -> None:
        """Play the last clip as far as the next bar line that it can be left at."""
        bar_line, *later = self._unplayed
        self._add_ready(self._stitcher.play_to(bar_line))
        self._unplayed = tuple(later)

    def _add_ready(self, samples: Samples) -> None:
        self._ready = np.concatenate([self._ready, samples], axis=1)

    def _request(self, segment: Segment, plan: ClipWindow, index: int) -> ClipRequest:
        settings = segment.settings
        seeds = (clip_seed(p.seed, index) for p in (settings.prompt_a, settings.prompt_b))
        frames = np.arange(plan.first_frame, plan.first_frame + self._engine.frames)
        positions = frames * self._engine.params.hop_length
        sheet = self._timeline.lead_sheet(positions, plan.start)
        request = replace(
            settings.request(segment.alpha(plan.bar), *seeds),
            lead_sheet=sheet,
            context=self._stitcher.context(plan.start, plan.context) if plan.context else None,
        )
        if settings.anchor is None:
            return request
        beats = sheet.beats - segment.anchor_bar * settings.beats_per_bar
        loop = self._loop(settings.anchor, settings.mask)
        anchor, mask = loop.window(beats, settings)
        return replace(request, anchor=anchor, strength=settings.strength, mask=mask)

    def _forget(self, start: int) -> None:
        """Drop marks and segments that nothing can go back to any more."""
        oldest = start - self._stitcher.kept_samples
        self._timeline = self._timeline.forget(oldest)
        self._marks = tuple(m for m in self._marks if m.start_sample >= oldest)


def render(session: JamSession, samples: int) -> Iterator[JamBlock]:
    """Blocks from where the session is up to absolute sample ``samples``, exactly."""
    while session.position < samples:
        yield session.block(until=samples)


def bars_per_clip(engine: Engine, settings: JamSettings) -> int:
    """Bars between clips: as many as leave a window at least a second of context.

    Raises InvalidInput where not one bar fits.
    """
    hop = engine.params.hop_length
    step = engine.context_step
    context = -(-round(MIN_CONTEXT_S / engine.params.frame_s) // step) * step
    # Two frames, because bar lines lie between frames.
    room = (engine.frames - UNUSED_FRAMES - 2 - context) * hop / engine.params.sample_rate
    bar_s = settings.beats_per_bar * 60.0 / settings.bpm
    if bar_s > room:
        fastest = settings.beats_per_bar * 60.0 / room
        legal = (
            f"a bar of {settings.beats_per_bar} beats then lasts {bar_s:.2f} s, and the engine can "
            f"play bars of at most {room:.2f} s: use {fastest:.1f} beats per minute or more, or "
            "fewer beats in a bar"
        )
        raise InvalidInput("tempo", settings.bpm, legal)
    return int(room / bar_s)


def clip_window(engine: Engine, segment: Segment, bar: int) -> ClipWindow:
    """Where a clip from bar ``bar`` lies, with as much context as fits and exists."""
    hop, step = engine.params.hop_length, engine.context_step
    bars = bars_per_clip(engine, segment.settings)
    start, stop = segment.grid.bar_sample(bar), segment.grid.bar_sample(bar + bars)
    start_frame = start // hop
    room = engine.frames - UNUSED_FRAMES - (-(-stop // hop) - start_frame)
    context = min(room, start_frame) // step * step
    return ClipWindow(bar, bars, start, start_frame - context, context)


def clip_seed(seed: int, index: int) -> int:
    """The noise seed of clip ``index`` under a prompt's ``seed``.

    SHA-256 of "seed:index", its first eight bytes, in range: the same on every machine for ever.
    """
    digest = hashlib.sha256(f"{seed}:{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") & MAX_SEED


def _mark(segment: Segment, plan: ClipWindow, index: int) -> ClipMark:
    settings = segment.settings
    return ClipMark(
        index=index,
        start_sample=plan.start,
        bar=plan.bar,
        prompt_a=settings.prompt_a.text,
        prompt_b=settings.prompt_b.text,
        seed_a=settings.prompt_a.seed,
        seed_b=settings.prompt_b.seed,
        alpha=segment.alpha(plan.bar),
        bpm=settings.bpm,
        beats_per_bar=settings.beats_per_bar,
        key=settings.key,
        chords=tuple(segment.chord(bar).name for bar in range(plan.bar, plan.bar + plan.bars)),
    )
