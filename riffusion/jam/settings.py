"""What a jam plays: frozen settings, checked once, that go to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType, UnionType
from typing import Any

from riffusion.engines.clip import DEFAULT_GUIDANCE, DEFAULT_STEPS, ClipRequest, Controls, Prompt
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef
from riffusion.music.harmony import Chord, progression
from riffusion.music.rhythm import check_metre, check_tempo
from riffusion.music.walk import WalkMode, check_walk_mode

MAX_WALK_BARS = 1024
DEFAULT_STRENGTH = 0.75


@dataclass(frozen=True)
class JamSettings:
    """All that a musician steers. Any of it may change at a bar line.

    ``path``: ``ping-pong`` walks from A to B in ``walk_bars`` bars, back, and so on; ``once``
    stays at B; ``hold`` stays where the walk is; ``manual`` stands at ``position`` (0 is A, 1 is
    B), which is also where the other paths begin. ``chords`` ("Am F C G", one a bar) win over
    ``key``, whose usual four chords are played when ``chords`` is empty. Clips start from the
    ``anchor``, where there is one: its bars go round, ``strength`` says how much of it goes (1:
    all) and ``mask`` which part of it.
    """

    prompt_a: Prompt
    prompt_b: Prompt
    path: WalkMode = "ping-pong"
    position: float = 0.0
    walk_bars: int = 16
    bpm: float = 120.0
    key: str = "C"
    chords: str = ""
    beats_per_bar: int = 4
    controls: Controls = field(default_factory=Controls)
    guidance: float = DEFAULT_GUIDANCE
    steps: int = DEFAULT_STEPS
    anchor: AssetRef | None = None
    strength: float = DEFAULT_STRENGTH
    mask: AssetRef | None = None

    def __post_init__(self) -> None:
        _check_type("prompt A", self.prompt_a, Prompt)
        _check_type("prompt B", self.prompt_b, Prompt)
        _check_type("controls", self.controls, Controls)
        check_walk_mode(self.path)
        _check_number("position", self.position, 0, 1)
        _check_whole("walk bars", self.walk_bars, 1, MAX_WALK_BARS)
        check_tempo(self.bpm)
        check_metre(self.beats_per_bar)
        _check_number("guidance", self.guidance, 0, 30)
        _check_whole("steps", self.steps, 1, 1000)
        _check_type("anchor", self.anchor, AssetRef | None)
        _check_number("strength", self.strength, 0, 1)
        _check_type("mask", self.mask, AssetRef | None)
        progression(self.key, self.chords)

    def changed(self, changes: Mapping[str, object]) -> JamSettings:
        """These settings with some replaced by name; ``InvalidInput`` for an unknown name."""
        names = [f.name for f in fields(self)]
        for name in changes:
            if name not in names:
                raise InvalidInput("setting", name, f"use one of {', '.join(names)}")
        return replace(self, **dict(changes))  # type: ignore[arg-type]

    def values(self) -> dict[str, object]:
        """All settings by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def difference(self, other: JamSettings) -> dict[str, object]:
        """The settings of ``other`` that differ from these, by name."""
        old = self.values()
        return {name: new for name, new in other.values().items() if new != old[name]}

    def progression(self) -> tuple[Chord, ...]:
        """The chords that are played, one a bar."""
        return progression(self.key, self.chords)

    def request(self, alpha: float, seed_a: int, seed_b: int) -> ClipRequest:
        """A clip at ``alpha`` on the walk, with its own noise seeds."""
        return ClipRequest(
            start=replace(self.prompt_a, seed=seed_a),
            end=replace(self.prompt_b, seed=seed_b),
            alpha=alpha,
            bpm=self.bpm,
            controls=self.controls,
            guidance=self.guidance,
            steps=self.steps,
        )


def _check_type(what: str, value: object, kind: type | UnionType) -> None:
    if not isinstance(value, kind):
        raise InvalidInput(what, value, f"give a {getattr(kind, '__name__', kind)}")


def _check_number(what: str, value: Any, least: float, most: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise InvalidInput(what, value, f"use a number from {least:g} to {most:g}")


def _check_whole(what: str, value: Any, least: int, most: int) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not least <= value <= most:
        raise InvalidInput(what, value, f"use a whole number from {least} to {most}")


def to_json(values: Mapping[str, object]) -> dict[str, object]:
    """Settings by name as JSON can hold them: prompts and controls as objects, anchor and mask by
    their names; the data of a listener's own ones goes elsewhere."""
    return {name: _plain(value) for name, value in values.items()}


def from_json(
    values: Mapping[str, object], own: Mapping[str, AssetRef] = MappingProxyType({})
) -> dict[str, object]:
    """The inverse of ``to_json``, with a listener's ``own`` anchors and masks by name.

    Names of settings are checked by whoever uses them.
    """
    return {name: _value(name, value, own) for name, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, Prompt | Controls):
        return asdict(value)
    return value.name if isinstance(value, AssetRef) else value


def _value(name: str, value: object, own: Mapping[str, AssetRef]) -> object:
    match name:
        case "prompt_a" | "prompt_b":
            return _nested(name, value, Prompt)
        case "controls":
            return _nested(name, value, Controls)
        case "anchor" | "mask" if isinstance(value, str):
            return own.get(value) or AssetRef(value)
    return value


def _nested(name: str, value: object, kind: type[Prompt | Controls]) -> Prompt | Controls:
    names = [f.name for f in fields(kind)]
    if not isinstance(value, dict) or not value or set(value) - set(names):
        raise InvalidInput(name, value, f"give an object with {', '.join(names)}")
    if kind is Prompt and "text" not in value:
        raise InvalidInput(name, value, "has no text; describe some music")
    return kind(**value)
