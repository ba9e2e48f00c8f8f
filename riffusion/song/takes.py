"""Takes: each section played once by a jam of its own, kept on disk, and played again from there.

A take begins with a bar of pickup that is heard only where it fades in, because what a clip
begins with sounds best with something before it. Nothing before a section touches its take, so
its bytes are the same wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riffusion.audio.mastering import Mastering
from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import INT16_SCALE
from riffusion.engines.clip import Controls, Prompt
from riffusion.engines.protocol import Engine, never
from riffusion.errors import InvalidInput
from riffusion.jam.block import ClipMark, JamBlock
from riffusion.jam.clip_window import bars_per_clip, clip_seed
from riffusion.jam.session import JamSession
from riffusion.jam.settings import DEFAULT_STRENGTH, JamSettings
from riffusion.jam.timeline import Change
from riffusion.music.rhythm import BarGrid
from riffusion.song.model import Section, Song
from riffusion.song.placement import PlacedSection
from riffusion.song.variation import AnchoredEngine, ClipShelf, KeepingEngine
from riffusion.vocoder.protocol import Vocoder

Samples = npt.NDArray[np.float32]

PICKUP_BARS = 1
# A jam gives out nothing nearer than 0.1 s to where its next clip would begin; a section's length
# on the grid of its song may differ from that on its own by a sample.
UNPLAYED_S = 0.11
# A song reads a section to about here before the end of what there is.
MOMENT_S = 0.02
FILL_DENSITY = 0.3
USUAL_DENSITY = 0.5


@dataclass(frozen=True)
class TakeKey:
    """All that a take is made from. Places with the same key are the same music.

    ``occurrence`` and ``strength`` (of the anchors) are 0 where returns do not vary, ``target``
    None where a section does not walk to the next one.
    """

    section: Section
    settings: JamSettings
    occurrence: int
    strength: float
    target: Prompt | None


def take_key(place: PlacedSection) -> TakeKey:
    """Which take is played at a place."""
    song, section = place.song, place.section
    walks = section.transition.kind == "walk" and place.following is not None
    return TakeKey(
        section=section,
        settings=section_settings(song, section),
        occurrence=place.occurrence if song.variation else 0,
        strength=song.variation if song.order.count(place.name) > 1 else 0.0,
        target=place.following.prompt if walks and place.following else None,
    )


class Take:
    """A section's sound, rendered as far as it was read. Sample 0 is its first bar line.

    Once it is whole its jam, with half a minute of past, is let go: what is on disk is enough.
    """

    def __init__(self, session: JamSession, section: Section) -> None:
        self._session: JamSession | None = session
        self._loudness = session.loudness
        self._tape = TrackFile(session.sample_rate, session.channels)
        self._unwritten: JamBlock | None = None
        self._clips: list[ClipMark] = []
        settings = session.settings
        grid = BarGrid(session.sample_rate, settings.bpm, settings.beats_per_bar)
        self._pickup = grid.bar_sample(PICKUP_BARS)
        end = grid.bar_sample(PICKUP_BARS + section.bars)
        self._length = end - round(UNPLAYED_S * session.sample_rate)
        self._moment = round(MOMENT_S * session.sample_rate)

    @property
    def loudness(self) -> float:
        """Its loudness in LUFS, before the gain, where it was rendered last."""
        return self._session.loudness if self._session else self._loudness

    @property
    def has_pending_audio(self) -> bool:
        """Whether a part of its last clip has not become sound yet."""
        return self._session is not None and self._session.has_pending_audio

    def has(self, stop: int) -> bool:
        """Whether it can be read up to ``stop`` without any computing."""
        made = self._tape.length >= self._until(stop)
        return made or (self._session is not None and self._session.ready)

    def read(self, start: int, stop: int, interrupted: Callable[[], bool] = never) -> Samples:
        """Samples (channels, n), also before the first bar line; none within 0.11 s of its end.

        Raises Interrupted where a clip must be generated and ``interrupted`` turns true, and
        StorageError where the disk is full; it can then be read again.
        """
        until = self._until(stop)
        while self._session and self._tape.length < until:
            # A full disk takes nothing: the block waits until it has space.
            block = self._unwritten or self._session.block(until, interrupted=interrupted)
            self._unwritten = block
            self._tape.write(block.start, block.samples)
            self._unwritten = None
            if block.clip not in self._clips[-1:]:
                self._clips.append(block.clip)
            if self._tape.length >= self._length:
                self._loudness, self._session = self._session.loudness, None
        pcm = self._tape.read(self._pickup + start, self._pickup + stop)
        return (pcm / np.float32(INT16_SCALE)).astype(np.float32)

    def clip_at(self, sample: int) -> ClipMark:
        """The clip that sounds at ``sample``, which was read before; its places are the take's."""
        at = sample + self._pickup
        clip = next((c for c in reversed(self._clips) if c.start_sample <= at), self._clips[0])
        start = clip.start_sample - self._pickup
        return replace(clip, start_sample=start, bar=clip.bar - PICKUP_BARS)

    def close(self) -> None:
        """Delete what is on disk."""
        self._tape.close()

    def _until(self, stop: int) -> int:
        """How far to render, to read up to ``stop``: the last moment is not left for later."""
        until = self._pickup + stop
        return until if until + self._moment < self._length else self._length


class Takes:
    """The takes of a song, made when they are first asked for.

    Each is as loud at its start as the one before it was where it was left, so that a song sounds
    like one long jam.
    """

    def __init__(self, engine: Engine, vocoder: Vocoder | None = None) -> None:
        self._engine, self._vocoder = engine, vocoder
        self._takes: dict[TakeKey, Take] = {}
        self._clips: dict[JamSettings, ClipShelf] = {}
        self._mastering: dict[str, Mastering] = {}
        self._last: Take | None = None

    def check(self, song: Song) -> None:
        """Raise InvalidInput where the engine cannot play a section's tempo."""
        for section in song.sections:
            try:
                bars_per_clip(self._engine, section_settings(song, section))
            except InvalidInput as error:
                what = f"{error.what} of section {section.name!r}"
                raise InvalidInput(what, error.value, error.legal) from error

    def take(self, place: PlacedSection) -> Take:
        """The take for a place."""
        key = take_key(place)
        if key not in self._takes:
            mastering = Mastering(sample_rate=self._engine.params.sample_rate)
            if self._last is not None:
                loudness, known_s = self._last.loudness, mastering.gain_s
                mastering = replace(mastering, start_lufs=loudness, start_s=known_s)
            self._mastering.setdefault(place.name, mastering)
            self._takes[key] = self._last = self._new(key)
        return self._takes[key]

    def keep_only(self, song: Song, places: Sequence[PlacedSection]) -> None:
        """Drop the takes that belong neither to ``song`` nor to ``places``."""
        playing = {take_key(place) for place in places}
        settings = {section: section_settings(song, section) for section in song.sections}
        for key in [*self._takes]:
            if key not in playing and settings.get(key.section) != key.settings:
                self._takes.pop(key).close()

    def close(self) -> None:
        """Delete what is on disk."""
        for take in self._takes.values():
            take.close()
        for shelf in self._clips.values():
            shelf.close()

    def _new(self, key: TakeKey) -> Take:
        section = varied(key.section, key.occurrence) if key.occurrence else key.section
        prompt_b = section.prompt_b or section.prompt
        settings = replace(key.settings, prompt_a=section.prompt, prompt_b=prompt_b)
        rate = self._engine.params.sample_rate
        session = JamSession(
            self._remembering(key),
            settings,
            pickup_bars=PICKUP_BARS,
            changes=transition_changes(section, key.target, settings, rate),
            vocoder=self._vocoder,
            mastering=self._mastering[section.name],
        )
        return Take(session, section)

    def _remembering(self, key: TakeKey) -> Engine:
        """The engine, keeping its clips for the first take's returns, or starting from them."""
        if not key.strength:
            return self._engine
        if key.settings not in self._clips:
            self._clips[key.settings] = ClipShelf(self._engine)
            return KeepingEngine(self._engine, self._clips[key.settings])
        # A walk to elsewhere must be free to go there.
        bars = PICKUP_BARS + key.section.bars
        bars -= key.section.transition.bars if key.target else 0
        anchored = -(-bars // bars_per_clip(self._engine, key.settings))
        shelf = self._clips[key.settings]
        return AnchoredEngine(self._engine, shelf, min(anchored, shelf.count), key.strength)


def varied(section: Section, occurrence: int) -> Section:
    """The section with the fresh seeds of a return. Clips count up from 0, returns down."""

    def fresh(prompt: Prompt) -> Prompt:
        return replace(prompt, seed=clip_seed(prompt.seed, -occurrence))

    prompt_b = fresh(section.prompt_b) if section.prompt_b else None
    return replace(section, prompt=fresh(section.prompt), prompt_b=prompt_b)


def section_settings(song: Song, section: Section) -> JamSettings:
    """What the jam of a section plays from its pickup on.

    A pair of prompts is walked from the first to the last bar.
    """
    return JamSettings(
        prompt_a=section.prompt,
        prompt_b=section.prompt_b or section.prompt,
        path="once" if section.prompt_b and section.blend is None else "hold",
        position=section.blend or 0.0,
        walk_bars=section.bars,
        bpm=song.bpm_of(section),
        key=section.key or song.key,
        chords=section.chords,
        beats_per_bar=song.beats_per_bar,
        controls=section.controls,
        guidance=song.guidance,
        steps=song.steps,
        anchor=section.anchor,
        strength=section.strength,
    )


def transition_changes(
    section: Section, target: Prompt | None, settings: JamSettings, sample_rate: int
) -> tuple[Change, ...]:
    """The change, if any, that makes a section's last bars lead on; a walk goes to ``target``."""
    transition = section.transition
    if transition.kind == "fill":
        changes: dict[str, object] = {"controls": filling(section.controls)}
        if section.anchor:  # it must let the drums in
            changes["strength"] = max(section.strength, DEFAULT_STRENGTH)
    elif transition.kind == "walk" and target is not None:
        # The first of n bars has gone one of n + 1 steps, the last all but one.
        changes = {
            "prompt_a": _left(section),
            "prompt_b": target,
            "path": "once",
            "position": 1 / (transition.bars + 1),
            "walk_bars": transition.bars + 1,
            "anchor": None,
        }
    else:
        return ()
    bar = PICKUP_BARS + section.bars - transition.bars
    grid = BarGrid(sample_rate, settings.bpm, settings.beats_per_bar)
    return (Change(bar, grid.bar_sample(bar), changes),)


def _left(section: Section) -> Prompt:
    """The prompt that a section ends with, or is nearest to."""
    near_first = section.blend is not None and section.blend < 0.5
    return section.prompt if near_first or section.prompt_b is None else section.prompt_b


def filling(controls: Controls) -> Controls:
    """The controls of a fill: all drums, and more going on."""
    density = USUAL_DENSITY if controls.density is None else controls.density
    return replace(controls, drums=1.0, density=min(1.0, density + FILL_DENSITY))
