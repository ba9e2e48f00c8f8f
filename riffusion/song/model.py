"""A song: named sections and the order in which they are played, as frozen data that is checked.

Fields that are settings of a jam have their ranges and defaults from the schema. A new setting of
sections or songs is one more field here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from riffusion.engines.clip import Controls, Prompt, Quality
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef
from riffusion.jam.schema import BY_NAME, DEFAULTS, settings_for
from riffusion.music.harmony import progression
from riffusion.music.rhythm import ramp_duration_s

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
    """A transition leads from a section to the next one, in its own last ``bars`` bars.

    A ``cut`` does nothing (and takes no bars), a ``fill`` plays more and louder drums, a ``walk``
    walks from the section's prompt to the next one's.
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
    """Read "cut", "fill" (one bar), "fill 2" or "walk 4". Raises InvalidInput for other text."""
    match = re.fullmatch(r"\s*([a-z]+)(?:\s+([0-9]{1,4}))?\s*", text)
    if match is None:
        raise InvalidInput("transition", text, TRANSITION_HELP)
    kind: TransitionKind | None = next((k for k in TRANSITIONS if k == match[1]), None)
    if kind is None:
        raise InvalidInput("transition", text, TRANSITION_HELP)
    return Transition(kind, int(match[2] or kind != "cut"))


@dataclass(frozen=True)
class Section:
    """A section is music with a name: where the name returns in a song, the same music returns.

    With ``prompt_b`` the section walks from ``prompt`` to it, or stays where ``blend`` says: 0 is
    the first, 1 the second. Settings that are None or empty are those of the song; ``chords``
    ("Am F C G", one a bar, over and over) win over the key. Clips start from the ``anchor``, where
    there is one: its bars go round, and ``strength`` says how much of it is repainted (1: all).
    With ``ramp_bars`` the section begins at the tempo of the one before it, and reaches its own
    after as many bars. ``variation`` is how much the ``loop`` in the section changes each time
    round; how the section differs when it returns is the song's own variation.
    """

    name: str
    bars: int
    prompt: Prompt
    prompt_b: Prompt | None = None
    blend: float | None = None
    key: str = ""
    chords: str = ""
    bpm: float | None = None
    ramp_bars: int = DEFAULTS["ramp_bars"]
    beats_per_bar: int | None = None
    swing: float | None = None
    controls: Controls = field(default_factory=Controls)
    transition: Transition = field(default_factory=Transition)
    anchor: AssetRef | None = None
    strength: float = DEFAULTS["strength"]
    loop: str = DEFAULTS["loop"]
    variation: float = DEFAULTS["variation"]
    arc: str = DEFAULTS["arc"]
    arc_bars: str = DEFAULTS["arc_bars"]

    def __post_init__(self) -> None:
        check_name(self.name)
        check_whole("bars", self.bars, 1, MAX_BARS)
        if self.blend is not None:
            check_number("blend", self.blend, 0, 1)
            if self.prompt_b is None:
                raise InvalidInput("blend", self.blend, "needs a second prompt to blend with")
        _check_settings(self.settings())
        progression(self.key or DEFAULTS["key"], self.chords)
        if self.ramp_bars > self.bars:
            hint = f"section {self.name!r} has {self.bars} bars; use at most as many"
            raise InvalidInput("tempo ramp", self.ramp_bars, hint)
        if self.transition.bars > self.bars:
            hint = f"section {self.name!r} has {self.bars} bars; use at most as many"
            raise InvalidInput("transition", str(self.transition), hint)

    def settings(self) -> dict[str, Any]:
        """Return the settings that the section does not leave to its song, by name."""
        values = {**vars(self), **asdict(self.controls)}
        given = {entry.name: values[entry.name] for entry in settings_for("section")}
        return {name: value for name, value in given.items() if value not in (None, "")}

    def without(self, names: Iterable[str]) -> Section:
        """Return the section with the named settings left to its song."""
        defaults = {f.name: f.default for f in fields(self)}
        changes: dict[str, Any] = {name: defaults[name] for name in names}
        return replace(self, **changes)


@dataclass(frozen=True)
class Song:
    """A song has sections, the order in which their names are played, and what they share.

    ``variation`` is how much a section differs each time it comes back: 0 not at all, 1 as much
    as another take of the same plan. ``quality``, ``guidance`` and ``steps`` are those of the
    engine.
    """

    sections: tuple[Section, ...]
    order: tuple[str, ...]
    title: str = ""
    bpm: float = DEFAULTS["bpm"]
    key: str = DEFAULTS["key"]
    beats_per_bar: int = DEFAULTS["beats_per_bar"]
    swing: float = DEFAULTS["swing"]
    variation: float = 0.0
    guidance: float = DEFAULTS["guidance"]
    steps: int = DEFAULTS["steps"]
    quality: Quality = DEFAULTS["quality"]

    def __post_init__(self) -> None:
        check_title(self.title)
        check_number("variation", self.variation, 0, 1)
        _check_settings(self.settings())
        progression(self.key)
        check_count("sections", len(self.sections))
        check_count("order", len(self.order))
        names = [section.name for section in self.sections]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput("section", name, "is there twice; give each its own name")
        for name in self.order:
            check_known(name, names)
        if self.duration_s > MAX_SONG_S:
            hint = f"a song lasts at most {MAX_SONG_S / 60:.0f} minutes; use fewer bars"
            raise InvalidInput("length", f"{self.duration_s / 60:.1f} minutes", hint)

    def settings(self) -> dict[str, Any]:
        """Return the settings that the sections share, by name in the schema."""
        return {entry.name: getattr(self, entry.name) for entry in settings_for("song")}

    def section(self, name: str) -> Section:
        """Return the section of that name. Raises InvalidInput, which lists the names there are."""
        check_known(name, [section.name for section in self.sections])
        return next(section for section in self.sections if section.name == name)

    def bpm_of(self, section: Section) -> float:
        """Return the tempo of a section in beats per minute: its own or the song's."""
        return self.bpm if section.bpm is None else section.bpm

    def beats_of(self, section: Section) -> int:
        """Return the number of beats in a bar of a section: its own or the song's."""
        return self.beats_per_bar if section.beats_per_bar is None else section.beats_per_bar

    @property
    def duration_s(self) -> float:
        """The length of the song in seconds."""
        sections = [self.section(name) for name in self.order]
        tempi = [self.bpm_of(section) for section in sections]
        starts = (tempi[0], *tempi)
        return sum(self._section_s(*played) for played in zip(sections, starts, strict=False))

    def _section_s(self, section: Section, start_bpm: float) -> float:
        """Return how many seconds a section lasts after one whose tempo is ``start_bpm``."""
        bpm, beats = self.bpm_of(section), self.beats_of(section)
        ramp_s = ramp_duration_s(start_bpm, bpm, section.ramp_bars * beats)
        return ramp_s + (section.bars - section.ramp_bars) * beats * 60.0 / bpm


def section_fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by name in the schema as the fields of a Section: controls are one field."""
    names = {f.name for f in fields(Controls)}
    controls = Controls(**{name: settings[name] for name in names if name in settings})
    others = {name: value for name, value in settings.items() if name not in names}
    return {**others, "controls": controls}


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Raise InvalidInput for a value that is out of the range of its setting."""
    for name, value in settings.items():
        BY_NAME[name].check(value)


def check_name(name: str) -> None:
    """Raise InvalidInput unless ``name`` can name a section."""
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME_LENGTH:
        hint = f"use 1 to {MAX_NAME_LENGTH} characters, without spaces at the ends"
        raise InvalidInput("section name", name, hint)
    if not name.isprintable():
        raise InvalidInput("section name", name, "use characters that can be seen")


def check_title(title: str) -> None:
    """Raise InvalidInput for a title that no cue sheet or image could show."""
    if len(title) > MAX_TITLE_LENGTH or not title.isprintable():
        hint = f"use at most {MAX_TITLE_LENGTH} characters, all of them visible, in one line"
        raise InvalidInput("title", title, hint)


def check_count(what: str, count: int) -> None:
    """Raise InvalidInput unless a song can have that many sections."""
    if not 1 <= count <= MAX_SECTIONS:
        raise InvalidInput(what, f"{count} long", f"use 1 to {MAX_SECTIONS}")


def check_known(name: str, names: list[str]) -> None:
    """Raise InvalidInput unless ``name`` is that of a section."""
    if name not in names:
        raise InvalidInput("section", name, f"there is none of that name, only {', '.join(names)}")


def check_whole(what: str, value: object, least: int, most: int) -> None:
    """Raise InvalidInput unless ``value`` is a whole number from ``least`` to ``most``."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not least <= value <= most:  # type: ignore[operator]
        raise InvalidInput(what, value, f"use a whole number from {least} to {most}")


def check_number(what: str, value: object, least: float, most: float) -> None:
    """Raise InvalidInput unless ``value`` is a number from ``least`` to ``most``."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # type: ignore[operator]
        raise InvalidInput(what, value, f"use a number from {least:g} to {most:g}")
