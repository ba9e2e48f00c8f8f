"""Takes are the sections of a song, each played once by a jam of its own and kept on disk.

A take begins with a bar of pickup, of which only the end is played, where the section fades in: a
clip sounds better with something before it. A take does not depend on the sections before it, but
for the tempo that its ramp starts from, so its bytes are the same wherever it is played.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riffusion.audio.mastering import Mastering
from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import INT16_SCALE
from riffusion.engines.clip import Prompt
from riffusion.engines.noise import derive_seed
from riffusion.engines.prefetch import ClipTask
from riffusion.engines.protocol import Engine, never
from riffusion.errors import InvalidInput
from riffusion.jam.block import ClipMark, ClipMarks, JamBlock
from riffusion.jam.clip_window import check_bar, clip_window
from riffusion.jam.dynamics import fill_controls
from riffusion.jam.schema import DEFAULTS
from riffusion.jam.session import JamSession
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import Change, Timeline, first_segment
from riffusion.music.rhythm import BarGrid
from riffusion.song.model import Section, Song
from riffusion.song.placement import PlacedSection
from riffusion.song.variation import AnchoredEngine, ClipFile, RecordingEngine
from riffusion.vocoder.protocol import Vocoder

Samples = npt.NDArray[np.float32]

PICKUP_BARS = 1
# A jam without its next clip ends 0.1 s before the bar line of that clip. The rest is for rounding:
# a section may be a sample longer on the grid of its song than on its own.
UNPLAYED_S = 0.11
# A take is rendered to its end where less than this would be left.
MIN_REST_S = 0.02


@dataclass(frozen=True)
class TakeKey:
    """The key of a take is all that determines it: sections with the same key are the same music.

    ``start_bpm`` is the tempo that it begins with; it reaches that of the settings in a ramp.
    ``occurrence`` and ``strength`` (of the anchors) are 0 where returns do not vary. ``target`` is
    the prompt of the next section where the section walks there, or None.
    """

    section: Section
    settings: JamSettings
    start_bpm: float
    occurrence: int
    strength: float
    target: Prompt | None


def take_key(placed: PlacedSection) -> TakeKey:
    """Return the key of the take that a placed section plays."""
    song, section = placed.song, placed.section
    walks = section.transition.kind == "walk" and placed.following is not None
    return TakeKey(
        section=section,
        settings=section_settings(song, section),
        start_bpm=placed.start_bpm,
        occurrence=placed.occurrence if song.variation else 0,
        strength=song.variation if song.order.count(placed.name) > 1 else 0.0,
        target=placed.following.prompt if walks and placed.following else None,
    )


class Take:
    """The audio of a section, rendered as far as it was read. Sample 0 is its first bar line.

    Its jam, which holds half a minute of audio, is dropped once all of it is on disk.
    """

    def __init__(self, session: JamSession, grid: BarGrid, bars: int) -> None:
        self._session: JamSession | None = session
        self._loudness = session.loudness
        self._track = TrackFile(session.sample_rate, session.channels)
        self._unwritten: JamBlock | None = None
        self._marks = ClipMarks()
        self._pickup = grid.bar_sample(PICKUP_BARS)
        end = grid.bar_sample(PICKUP_BARS + bars)
        self._length = end - round(UNPLAYED_S * session.sample_rate)
        self._min_rest = round(MIN_REST_S * session.sample_rate)

    @property
    def loudness(self) -> float:
        """The slow loudness of the take in LUFS, before any gain, as far as it is rendered."""
        return self._session.loudness if self._session else self._loudness

    @property
    def has_pending_audio(self) -> bool:
        """Whether a part of its last clip has not been vocoded and mastered yet."""
        return self._session is not None and self._session.has_pending_audio

    def has(self, stop: int) -> bool:
        """Return whether it can be read up to ``stop`` without any computing."""
        made = self._track.length >= self._until(stop)
        return made or (self._session is not None and self._session.ready)

    @property
    def placed(self) -> int:
        """The sample up to which its clips are placed; its end where it needs no more."""
        placed = self._session.placed if self._session else self._length
        return min(placed, self._length) - self._pickup

    def place_clip(self, stop: int, interrupted: Callable[[], bool]) -> None:
        """Generate the next clip, where that is what reading up to ``stop`` needs first."""
        if self._session and not self.has(stop):
            self._session.place_clip(interrupted=interrupted)

    def prefetch(self) -> ClipTask | None:
        """Return the task to generate the clip after those that are placed, if it needs more."""
        if self._session is None or self._session.placed >= self._length:
            return None
        return self._session.prefetch()

    def read(self, start: int, stop: int, interrupted: Callable[[], bool] = never) -> Samples:
        """Return samples ``start`` to ``stop`` (channels, n), float32.

        Samples before the first bar line are negative; the last 0.11 s cannot be read. Raises
        Interrupted where a clip must be generated and ``interrupted`` turns true, and StorageError
        where the disk is full. It can then be read again.
        """
        until = self._until(stop)
        while self._session and self._track.length < until:
            # Where the disk is full, the block waits until there is space.
            block = self._unwritten or self._session.block(until, interrupted=interrupted)
            self._unwritten = block
            self._track.write(block.start, block.samples)
            self._unwritten = None
            self._marks.add(block.clip)
            if self._track.length >= self._length:
                self._loudness, self._session = self._session.loudness, None
        pcm = self._track.read(self._pickup + start, self._pickup + stop)
        return (pcm / np.float32(INT16_SCALE)).astype(np.float32)

    def mark_at(self, sample: int) -> ClipMark:
        """Return the clip at ``sample``, which was read before, in samples and bars of the take."""
        clip = self._marks.since(sample + self._pickup)[0]
        start = clip.start_sample - self._pickup
        return replace(clip, start_sample=start, bar=clip.bar - PICKUP_BARS)

    def close(self) -> None:
        """Delete the temporary files."""
        self._track.close()

    def _until(self, stop: int) -> int:
        """Return up to where to render, to read up to ``stop``: never to just before the end."""
        until = self._pickup + stop
        return until if until + self._min_rest < self._length else self._length


class TakeStore:
    """The takes of a song, each made when it is first needed.

    A take starts as loud as the take before it was where it was left, so that a song sounds like
    one long jam.
    """

    def __init__(self, engine: Engine, vocoder: Vocoder | None = None) -> None:
        self._engine, self._vocoder = engine, vocoder
        self._takes: dict[TakeKey, Take] = {}
        self._clips: dict[tuple[JamSettings, float], ClipFile] = {}
        self._mastering: dict[str, Mastering] = {}
        self._last: Take | None = None

    def check(self, song: Song, placement: Sequence[PlacedSection]) -> None:
        """Raise InvalidInput where the engine cannot play a section's tempo, or its ramp."""
        for section in song.sections:
            self._check_bars(section.name, song.bpm_of(section), song.beats_of(section))
        for placed in placement:
            self._check_bars(placed.name, placed.start_bpm, placed.grid.beats_per_bar)

    def find(self, placed: PlacedSection) -> Take | None:
        """Return the take of a placed section, or None where it has not been made."""
        return self._takes.get(take_key(placed))

    def get(self, placed: PlacedSection) -> Take:
        """Return the take of a placed section, and make it where it has not been made."""
        key = take_key(placed)
        if key not in self._takes:
            mastering = Mastering(sample_rate=self._engine.params.sample_rate)
            if self._last is not None:
                loudness, known_s = self._last.loudness, mastering.gain_s
                mastering = replace(mastering, start_lufs=loudness, start_s=known_s)
            self._mastering.setdefault(placed.name, mastering)
            self._takes[key] = self._last = self._make(key)
        return self._takes[key]

    def keep_only(self, song: Song, placement: Sequence[PlacedSection]) -> None:
        """Drop the takes that belong neither to ``song`` nor to ``placement``."""
        playing = {take_key(placed) for placed in placement}
        settings = {section: section_settings(song, section) for section in song.sections}
        for key in [*self._takes]:
            if key not in playing and settings.get(key.section) != key.settings:
                self._takes.pop(key).close()

    def close(self) -> None:
        """Delete the temporary files."""
        for take in self._takes.values():
            take.close()
        for clips in self._clips.values():
            clips.close()

    def _make(self, key: TakeKey) -> Take:
        """Return a new take, with a jam that has not generated anything yet."""
        section = vary_section(key.section, key.occurrence) if key.occurrence else key.section
        prompt_b = section.prompt_b or section.prompt
        prompts = replace(key.settings, prompt_a=section.prompt, prompt_b=prompt_b)
        grid = take_grid(key.settings, key.start_bpm, self._engine.params.sample_rate)
        session = JamSession(
            self._engine_for(key, grid),
            replace(prompts, bpm=key.start_bpm),
            pickup_bars=PICKUP_BARS,
            changes=(*ramp_changes(grid), *transition_changes(section, key.target, grid)),
            vocoder=self._vocoder,
            mastering=self._mastering[section.name],
        )
        return Take(session, grid, section.bars)

    def _check_bars(self, name: str, bpm: float, beats_per_bar: int) -> None:
        """Raise InvalidInput, with the name of the section, where a bar does not fit in a clip."""
        try:
            check_bar(self._engine, bpm, beats_per_bar)
        except InvalidInput as error:
            what = f"{error.what} of section {name!r}"
            raise InvalidInput(what, error.value, error.hint) from error

    def _engine_for(self, key: TakeKey, grid: BarGrid) -> Engine:
        """Return the engine of a take.

        For the first take of a section that varies, it records the clips; for the returns, it
        starts from them.
        """
        if not key.strength:
            return self._engine
        # Another tempo at the start places the clips differently.
        clips = self._clips.get((key.settings, key.start_bpm))
        if clips is None:
            clips = self._clips[key.settings, key.start_bpm] = ClipFile(self._engine)
            return RecordingEngine(self._engine, clips)
        # The bars of a walk have no anchor, which would hold the walk back.
        bars = PICKUP_BARS + key.section.bars
        bars -= key.section.transition.bars if key.target else 0
        anchored = count_clips(self._engine, grid, bars, key.settings)
        return AnchoredEngine(self._engine, clips, min(anchored, clips.count), key.strength)


def vary_section(section: Section, occurrence: int) -> Section:
    """Return the section with other seeds, those of its ``occurrence``-th return.

    Clips derive their seeds from indices that count up from 0, returns from ones that count down.
    """

    def fresh(prompt: Prompt) -> Prompt:
        return replace(prompt, seed=derive_seed(prompt.seed, -occurrence))

    prompt_b = fresh(section.prompt_b) if section.prompt_b else None
    return replace(section, prompt=fresh(section.prompt), prompt_b=prompt_b)


def section_settings(song: Song, section: Section) -> JamSettings:
    """Return the settings of a section's jam, from its pickup on.

    Of two prompts without a blend, the jam walks from one to the other over the section.
    """
    walk = JamSettings(
        prompt_a=section.prompt,
        prompt_b=section.prompt_b or section.prompt,
        path="once" if section.prompt_b and section.blend is None else "hold",
        position=section.blend or 0.0,
        walk_bars=section.bars,
    )
    return walk.with_settings({**song.settings(), **section.settings()})


def take_grid(settings: JamSettings, start_bpm: float, sample_rate: int) -> BarGrid:
    """Return the bar grid of a take, from its pickup on, which has the tempo ``start_bpm``."""
    grid = BarGrid(sample_rate, start_bpm, settings.beats_per_bar)
    if start_bpm == settings.bpm:
        return grid
    return grid.changed(PICKUP_BARS, settings.bpm, settings.beats_per_bar, settings.ramp_bars)


def count_clips(engine: Engine, grid: BarGrid, bars: int, settings: JamSettings) -> int:
    """Return how many clips play the first ``bars`` bars of a take with these settings."""
    start = replace(settings, bpm=grid.tempo_at(0))
    timeline = Timeline((first_segment(start, grid.sample_rate, PICKUP_BARS),))
    for change in ramp_changes(grid):
        timeline = timeline.changed(change.bar, start.changed(change.changes))
    bar, count = 0.0, 0
    while bar < bars:
        segment = timeline.at(timeline.bar_sample(bar))
        change_bar = next((s.bar for s in timeline.segments if s.bar > bar), math.inf)
        bar = min(clip_window(engine, segment, bar).stop_bar, change_bar)
        count += 1
    return count


def ramp_changes(grid: BarGrid) -> tuple[Change, ...]:
    """Return the change of a take's jam at which its ramp begins, if it has one."""
    if grid.ramp_bars == 0:
        return ()
    return (Change(PICKUP_BARS, grid.bar_sample(PICKUP_BARS), {"bpm": grid.bpm}),)


def transition_changes(
    section: Section, target: Prompt | None, grid: BarGrid
) -> tuple[Change, ...]:
    """Return the change of a section's jam that makes its transition, if it has one.

    It comes with the first of the transition's bars. A walk goes to prompt ``target``.
    """
    transition = section.transition
    if transition.kind == "fill":
        changes: dict[str, object] = {"controls": fill_controls(section.controls)}
        if section.anchor:  # a stronger anchor would hold the drums back
            changes["strength"] = max(section.strength, DEFAULTS["strength"])
    elif transition.kind == "walk" and target is not None:
        # In the first of n bars the walk has gone 1 of n + 1 steps, in the last n of them.
        changes = {
            "prompt_a": _final_prompt(section),
            "prompt_b": target,
            "path": "once",
            "position": 1 / (transition.bars + 1),
            "walk_bars": transition.bars + 1,
            "anchor": None,
        }
    else:
        return ()
    bar = PICKUP_BARS + section.bars - transition.bars
    return (Change(bar, grid.bar_sample(bar), changes),)


def _final_prompt(section: Section) -> Prompt:
    """Return the prompt that a section ends with; of a blend, the nearer one."""
    near_first = section.blend is not None and section.blend < 0.5
    return section.prompt if near_first or section.prompt_b is None else section.prompt_b
