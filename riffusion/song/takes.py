"""Takes: each section played once by a jam of its own, kept on disk, and played again from there.

A take begins with a bar of pickup that is heard only where it fades in, because what a clip
begins with sounds best with something before it. Nothing before a section touches its take, so
its bytes are the same wherever it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riffusion.clip import Controls, Prompt
from riffusion.engines.base import Engine
from riffusion.harmony import progression
from riffusion.jam import Change, JamSession, bars_per_clip, clip_seed, render
from riffusion.mastering import Mastering
from riffusion.phase import Vocoder
from riffusion.rhythm import BarGrid
from riffusion.settings import JamSettings
from riffusion.song.anchors import AnchoredEngine, ClipShelf, KeepingEngine
from riffusion.song.model import Place, Section, Song
from riffusion.track import TrackFile
from riffusion.waveform import INT16_SCALE

Samples = npt.NDArray[np.float32]

PICKUP_BARS = 1
# A jam gives out nothing nearer than 0.1 s to where its next clip would begin; a section's length
# on the grid of its song may differ from that on its own by a sample.
UNPLAYED_S = 0.11
FILL_DENSITY = 0.3
USUAL_DENSITY = 0.5


@dataclass(frozen=True)
class TakeKey:
    """What tells takes apart: ``occurrence`` where they vary, ``following`` where they walk."""

    name: str
    occurrence: int
    following: str


class Take:
    """A section's sound, rendered as far as it was read. Sample 0 is its first bar line."""

    def __init__(self, session: JamSession, tape: TrackFile, section: Section) -> None:
        self._session = session
        self._tape = tape
        self._origin = tape.length
        settings = session.settings
        grid = BarGrid(session.sample_rate, settings.bpm, settings.beats_per_bar)
        self._pickup = grid.bar_sample(PICKUP_BARS)
        end = grid.bar_sample(PICKUP_BARS + section.bars)
        self._length = end - round(UNPLAYED_S * session.sample_rate)

    def read(self, start: int, stop: int) -> Samples:
        """Samples (channels, n), also before the first bar line; none within 0.11 s of its end."""
        self._render(self._pickup + stop)
        first = self._origin + self._pickup
        pcm = self._tape.read(first + start, first + stop)
        return (pcm / np.float32(INT16_SCALE)).astype(np.float32)

    def finish(self) -> float:
        """Render what is left. Returns its loudness in LUFS, before the gain, at its end."""
        self._render(self._length)
        return self._session.loudness

    def _render(self, stop: int) -> None:
        for block in render(self._session, min(stop, self._length)):
            self._tape.write(self._origin + block.start, block.samples)


class Takes:
    """The takes of a song, made when they are first asked for, one after the other.

    A name that returns gets the take it had. Where the song varies, each return is a take of its
    own: other noise, with the first take's clips as anchors, as strong as the variation is small.
    A section that walks gets another take where it walks to another section; up to the walk its
    bytes are the same. The slow gain goes on from take to take, as in one long jam.
    """

    def __init__(self, engine: Engine, song: Song, vocoder: Vocoder | None = None) -> None:
        for section in song.sections:
            bars_per_clip(engine, section_settings(song, section))
        self._engine, self._song, self._vocoder = engine, song, vocoder
        rate = engine.params.sample_rate
        self._tape = TrackFile(rate, engine.channels)
        self._takes: dict[TakeKey, Take] = {}
        self._clips: dict[str, ClipShelf] = {}
        self._mastering: dict[str, Mastering] = {}
        self._last: Take | None = None

    def take(self, place: Place) -> Take:
        """The take for a place. Those before it are rendered to their ends first."""
        key = self._key(place)
        if key not in self._takes:
            mastering = Mastering(sample_rate=self._engine.params.sample_rate)
            if self._last is not None:
                loudness, known_s = self._last.finish(), mastering.gain_s
                mastering = replace(mastering, start_lufs=loudness, start_s=known_s)
            self._mastering.setdefault(place.section.name, mastering)
            self._takes[key] = self._last = self._new(key, place)
        return self._takes[key]

    def close(self) -> None:
        """Delete what is on disk."""
        self._tape.close()
        for shelf in self._clips.values():
            shelf.close()

    def _key(self, place: Place) -> TakeKey:
        walks = place.section.transition.kind == "walk" and place.following is not None
        return TakeKey(
            name=place.section.name,
            occurrence=place.occurrence if self._song.variation else 0,
            following=place.following.name if walks and place.following else "",
        )

    def _new(self, key: TakeKey, place: Place) -> Take:
        section = place.section if not key.occurrence else varied(place.section, key.occurrence)
        settings = section_settings(self._song, section)
        session = JamSession(
            self._remembering(key, place, settings),
            settings,
            changes=transition_changes(section, place.following, settings, self._tape.sample_rate),
            vocoder=self._vocoder,
            mastering=self._mastering[key.name],
        )
        return Take(session, self._tape, section)

    def _remembering(self, key: TakeKey, place: Place, settings: JamSettings) -> Engine:
        """The engine, keeping its clips for the first take's returns, or starting from them."""
        returns = self._song.variation > 0 and self._song.order.count(key.name) > 1
        if not returns:
            return self._engine
        if key.name not in self._clips:
            self._clips[key.name] = ClipShelf(self._engine)
            return KeepingEngine(self._engine, self._clips[key.name])
        # A walk to elsewhere must be free to go there.
        bars = PICKUP_BARS + place.section.bars
        bars -= place.section.transition.bars if key.following else 0
        anchored = -(-bars // bars_per_clip(self._engine, settings))
        shelf = self._clips[key.name]
        return AnchoredEngine(self._engine, shelf, anchored, self._song.variation)


def varied(section: Section, occurrence: int) -> Section:
    """The section with the fresh seeds of a return. Clips count up from 0, returns down."""

    def fresh(prompt: Prompt) -> Prompt:
        return replace(prompt, seed=clip_seed(prompt.seed, -occurrence))

    prompt_b = fresh(section.prompt_b) if section.prompt_b else None
    return replace(section, prompt=fresh(section.prompt), prompt_b=prompt_b)


def section_settings(song: Song, section: Section) -> JamSettings:
    """What the jam of a section plays from its pickup on.

    A pair of prompts is walked from the first to the last bar. The pickup has the last chord, so
    that the first bar has the first.
    """
    *chords, last = (chord.name for chord in progression(section.key or song.key, section.chords))
    return JamSettings(
        prompt_a=section.prompt,
        prompt_b=section.prompt_b or section.prompt,
        path="once" if section.prompt_b else "hold",
        walk_bars=section.bars,
        bpm=song.bpm_of(section),
        key=section.key or song.key,
        chords=" ".join((last, *chords)),
        beats_per_bar=song.beats_per_bar,
        controls=section.controls,
        guidance=song.guidance,
        steps=song.steps,
    )


def transition_changes(
    section: Section, following: Section | None, settings: JamSettings, sample_rate: int
) -> tuple[Change, ...]:
    """The change, if any, that makes a section's last bars lead to the next one."""
    transition = section.transition
    if transition.kind == "fill":
        changes: dict[str, object] = {"controls": filling(section.controls)}
    elif transition.kind == "walk" and following is not None:
        # The first of n bars has gone one of n + 1 steps, the last all but one.
        changes = {
            "prompt_a": section.prompt_b or section.prompt,
            "prompt_b": following.prompt,
            "path": "once",
            "position": 1 / (transition.bars + 1),
            "walk_bars": transition.bars + 1,
        }
    else:
        return ()
    bar = PICKUP_BARS + section.bars - transition.bars
    grid = BarGrid(sample_rate, settings.bpm, settings.beats_per_bar)
    return (Change(bar, grid.bar_sample(bar), changes),)


def filling(controls: Controls) -> Controls:
    """The controls of a fill: all drums, and more going on."""
    density = USUAL_DENSITY if controls.density is None else controls.density
    return replace(controls, drums=1.0, density=min(1.0, density + FILL_DENSITY))
