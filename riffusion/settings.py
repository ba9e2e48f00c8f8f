"""What a jam plays: frozen settings, checked once, that go to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from riffusion.clip import DEFAULT_GUIDANCE, DEFAULT_STEPS, ClipRequest, Controls, Prompt
from riffusion.errors import InvalidInput
from riffusion.harmony import Chord, progression
from riffusion.rhythm import check_metre, check_tempo
from riffusion.walk import Path, check_path

MOST_WALK_BARS = 1024


@dataclass(frozen=True)
class JamSettings:
    """All that a musician steers. Any of it may change at a bar line.

    ``path``: ``ping-pong`` walks from A to B in ``walk_bars`` bars, back, and so on; ``once``
    stays at B; ``hold`` stays where the walk is; ``manual`` stands at ``position`` (0 is A, 1 is
    B), which is also where the other paths begin. ``chords`` ("Am F C G", one a bar) win over
    ``key``, whose usual four chords are played when ``chords`` is empty.
    """

    prompt_a: Prompt
    prompt_b: Prompt
    path: Path = "ping-pong"
    position: float = 0.0
    walk_bars: int = 16
    bpm: float = 120.0
    key: str = "C"
    chords: str = ""
    beats_per_bar: int = 4
    controls: Controls = field(default_factory=Controls)
    guidance: float = DEFAULT_GUIDANCE
    steps: int = DEFAULT_STEPS

    def __post_init__(self) -> None:
        _check_type("prompt A", self.prompt_a, Prompt)
        _check_type("prompt B", self.prompt_b, Prompt)
        _check_type("controls", self.controls, Controls)
        check_path(self.path)
        _check_number("position", self.position, 0, 1)
        _check_whole("walk bars", self.walk_bars, 1, MOST_WALK_BARS)
        check_tempo(self.bpm)
        check_metre(self.beats_per_bar)
        _check_number("guidance", self.guidance, 0, 30)
        _check_whole("steps", self.steps, 1, 1000)
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


def _check_type(what: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise InvalidInput(what, value, f"give a {kind.__name__}")


def _check_number(what: str, value: Any, least: float, most: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise InvalidInput(what, value, f"use a number from {least:g} to {most:g}")


def _check_whole(what: str, value: Any, least: int, most: int) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not least <= value <= most:
        raise InvalidInput(what, value, f"use a whole number from {least} to {most}")


def to_json(values: Mapping[str, object]) -> dict[str, object]:
    """Settings by name, with prompts and controls as objects that JSON can hold."""
    nested = Prompt | Controls
    return {k: asdict(v) if isinstance(v, nested) else v for k, v in values.items()}


def from_json(values: Mapping[str, object]) -> dict[str, object]:
    """The inverse of ``to_json``. Names of settings are checked by whoever uses them."""
    kinds: dict[str, type[Prompt | Controls]] = {
        "prompt_a": Prompt,
        "prompt_b": Prompt,
        "controls": Controls,
    }
    return {k: _nested(k, v, kinds[k]) if k in kinds else v for k, v in values.items()}


def _nested(name: str, value: object, kind: type[Prompt | Controls]) -> Prompt | Controls:
    names = [f.name for f in fields(kind)]
    if not isinstance(value, dict) or not value or set(value) - set(names):
        raise InvalidInput(name, value, f"give an object with {', '.join(names)}")
    if kind is Prompt and "text" not in value:
        raise InvalidInput(name, value, "has no text; describe some music")
    return kind(**value)
