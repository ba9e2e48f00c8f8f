"""What a song is: named sections, and the order in which they are played. Frozen data, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from riffusion.engines.clip import DEFAULT_GUIDANCE, DEFAULT_STEPS, Controls, Prompt
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef
from riffusion.jam.schema import DEFAULTS
from riffusion.music.harmony import progression
from riffusion.music.rhythm import check_metre, check_tempo

TransitionKind = Literal["cut", "fill", "walk"]
TRANSITIONS: tuple[TransitionKind, ...] = get_args(TransitionKind)

MAX_BARS = 256
MAX_SECTIONS = 200
MAX_NAME_LENGTH = 40
MAX_TITLE_LENGTH = 200
MAX_SONG_S = 3600.0
TRANSITION_HELP = "use cut, fill or walk, with the bars it takes: cut, fill 1, walk 4"


@dataclass(frozen=True)
class Transition:
    """How a section gets to the next one, in its own last ``bars`` bars.

    ``cut`` does nothing (and takes no bars), ``fill`` plays more and louder drums, ``walk`` walks
    from the section's prompt to the next one's.
    """

    kind: TransitionKind = "cut"
    bars: int = 0

    def __post_init__(self) -> None:
        if self.kind not in TRANSITIONS:
            raise InvalidInput("transition", self.kind, TRANSITION_HELP)
        least, most = (0, 0) if self.kind == "cut" else (1, MAX_BARS)
        check_whole(f"bars of the {self.kind}", self.bars, least, most)

    def __str__(self) -> str:
        return self.kind if self.kind == "cut" else f"{self.kind} {self.bars}"


def parse_transition(text: str) -> Transition:
    """ "cut", "fill" (one bar), "fill 2", "walk 4". InvalidInput says what is legal."""
    match = re.fullmatch(r"\s*([a-z]+)(?:\s+([0-9]{1,4}))?\s*", text)
    if match is None:
        raise InvalidInput("transition", text, TRANSITION_HELP)
    kind: TransitionKind | None = next((k for k in TRANSITIONS if k == match[1]), None)
    if kind is None:
        raise InvalidInput("transition", text, TRANSITION_HELP)
    return Transition(kind, int(match[2] or kind != "cut"))


@dataclass(frozen=True)
class Section:
    """Music with a name. Where the name returns in a song, the same music returns.

    With ``prompt_b`` the section walks from ``prompt`` to it, or stays where ``blend`` says: 0 is
    the first, 1 the second. ``key`` and ``bpm`` are the song's
    where they are left out; ``chords`` ("Am F C G", one a bar, over and over) win over the key.
    Clips start from the ``anchor``, where there is one: its bars go round, and ``strength`` says
    how much of it goes (1: all).
    """

    name: str
    bars: int
    prompt: Prompt
    prompt_b: Prompt | None = None
    blend: float | None = None
    key: str = ""
    chords: str = ""
    bpm: float | None = None
    controls: Controls = field(default_factory=Controls)
    transition: Transition = field(default_factory=Transition)
    anchor: AssetRef | None = None
    strength: float = DEFAULTS["strength"]

    def __post_init__(self) -> None:
        check_name(self.name)
        check_whole("bars", self.bars, 1, MAX_BARS)
        if self.bpm is not None:
            check_tempo(self.bpm)
        if self.blend is not None:
            check_number("blend", self.blend, 0, 1)
            if self.prompt_b is None:
                raise InvalidInput("blend", self.blend, "needs a second prompt to blend with")
        check_number("strength", self.strength, 0, 1)
        progression(self.key or "C", self.chords)
        if self.transition.bars > self.bars:
            legal = f"section {self.name!r} has {self.bars} bars; use at most as many"
            raise InvalidInput("transition", str(self.transition), legal)


@dataclass(frozen=True)
class Song:
    """Sections, the order of their names, and what they share.

    ``variation`` is how much a section differs each time it comes back: 0 not at all, 1 as much
    as another take of the same plan. ``guidance`` and ``steps`` are the engine's.
    """

    sections: tuple[Section, ...]
    order: tuple[str, ...]
    title: str = ""
    bpm: float = 120.0
    key: str = "C"
    beats_per_bar: int = 4
    variation: float = 0.0
    guidance: float = DEFAULT_GUIDANCE
    steps: int = DEFAULT_STEPS

    def __post_init__(self) -> None:
        check_title(self.title)
        check_tempo(self.bpm)
        check_metre(self.beats_per_bar)
        progression(self.key)
        check_number("variation", self.variation, 0, 1)
        check_number("guidance", self.guidance, 0, 30)
        check_whole("steps", self.steps, 1, 1000)
        check_count("sections", len(self.sections))
        check_count("order", len(self.order))
        names = [section.name for section in self.sections]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput("section", name, "is there twice; give each its own name")
        for name in self.order:
            check_known(name, names)
        if self.duration_s > MAX_SONG_S:
            legal = f"a song lasts at most {MAX_SONG_S / 60:.0f} minutes; use fewer bars"
            raise InvalidInput("length", f"{self.duration_s / 60:.1f} minutes", legal)

    def section(self, name: str) -> Section:
        """The section of that name. InvalidInput lists the names there are."""
        check_known(name, [section.name for section in self.sections])
        return next(section for section in self.sections if section.name == name)

    def bpm_of(self, section: Section) -> float:
        """The tempo that a section is played in."""
        return self.bpm if section.bpm is None else section.bpm

    @property
    def duration_s(self) -> float:
        """How long it plays, in seconds."""
        beats = ((self.section(n), self.beats_per_bar) for n in self.order)
        return sum(s.bars * count * 60.0 / self.bpm_of(s) for s, count in beats)


def check_name(name: str) -> None:
    """Raise InvalidInput unless ``name`` can name a section."""
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME_LENGTH:
        legal = f"use 1 to {MAX_NAME_LENGTH} characters, without spaces at the ends"
        raise InvalidInput("section name", name, legal)
    if not name.isprintable():
        raise InvalidInput("section name", name, "use characters that can be seen")


def check_title(title: str) -> None:
    """Raise InvalidInput for a title that no cue sheet or image could show."""
    if len(title) > MAX_TITLE_LENGTH or not title.isprintable():
        legal = f"use at most {MAX_TITLE_LENGTH} characters, all of them visible, in one line"
        raise InvalidInput("title", title, legal)


def check_count(what: str, count: int) -> None:
    """Raise InvalidInput unless a song can have that many sections."""
    if not 1 <= count <= MAX_SECTIONS:
        raise InvalidInput(what, f"{count} long", f"use 1 to {MAX_SECTIONS}")


def check_known(name: str, names: list[str]) -> None:
    """Raise InvalidInput unless ``name`` is that of a section."""
    if name not in names:
        raise InvalidInput("section", name, f"there is none of that name, only {', '.join(names)}")


def check_whole(what: str, value: object, least: int, most: int) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not least <= value <= most:  # type: ignore[operator]
        raise InvalidInput(what, value, f"use a whole number from {least} to {most}")


def check_number(what: str, value: object, least: float, most: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # type: ignore[operator]
        raise InvalidInput(what, value, f"use a number from {least:g} to {most:g}")
