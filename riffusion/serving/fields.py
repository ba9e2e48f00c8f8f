"""The settings of the page by their short names: in links, in messages and in the form.

One table says what exists and how each is read from text or JSON. All checks of legal values are
those of ``JamSettings``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from riffusion.engines.clip import DEFAULT_GUIDANCE, DEFAULT_STEPS, Controls, Prompt
from riffusion.errors import InvalidInput
from riffusion.jam.schema import DEFAULTS as SCHEMA_DEFAULTS
from riffusion.jam.settings import JamSettings
from riffusion.serving.uploads import UploadStore

Value = str | int | float | bool
MAX_TEXT_LENGTH = 10_000
MAX_JSON_NUMBER = 2**53
# Listeners share an engine: nobody may keep it for minutes.
MAX_STEPS = 50


@dataclass(frozen=True)
class Field:
    """One setting of the page: its name in links, its first value, and how it is read."""

    name: str
    default: Value
    read: Callable[[str, object], Value]


def read_text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(what, value, "write some text")
    if len(value) > MAX_TEXT_LENGTH:
        raise InvalidInput(
            what, value, f"has {len(value)} characters; use at most {MAX_TEXT_LENGTH}"
        )
    return value


def read_whole(what: str, value: object) -> int:
    """A whole number, exact: "42", 42 or 42.0, but not 42.5."""
    if isinstance(value, str):
        digits = value.strip()
        if len(digits) <= 25 and digits.removeprefix("-").isdecimal():
            return int(digits)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    elif isinstance(value, float) and value.is_integer() and abs(value) < MAX_JSON_NUMBER:
        return int(value)
    raise InvalidInput(what, value, "use a whole number, for example 42")


def read_steps(what: str, value: object) -> int:
    steps = read_whole(what, value)
    if steps > MAX_STEPS:
        raise InvalidInput(what, steps, f"use at most {MAX_STEPS}; the command line takes more")
    return steps


def read_number(what: str, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and not isinstance(value, str):
        raise InvalidInput(what, value, "use a number")
    try:
        return float(value)  # type: ignore[arg-type]
    except (ValueError, OverflowError) as error:
        raise InvalidInput(what, value, "use a number") from error


def read_flag(what: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("0", "1"):
        return value == "1"
    raise InvalidInput(what, value, "use 1 for yes or 0 for no")


FIELDS = (
    Field("a", "church bells", read_text),
    Field("seed_a", 1, read_whole),
    Field("b", "electronic beats", read_text),
    Field("seed_b", 2, read_whole),
    Field("path", "ping-pong", read_text),
    Field("position", 0.0, read_number),
    Field("walk_bars", 16, read_whole),
    Field("bpm", 100.0, read_number),
    Field("key", "Cm", read_text),
    Field("chords", "", read_text),
    Field("beats", 4, read_whole),
    Field("shape", False, read_flag),
    Field("density", 0.5, read_number),
    Field("brightness", 0.5, read_number),
    Field("drums", 0.5, read_number),
    Field("guidance", DEFAULT_GUIDANCE, read_number),
    Field("steps", DEFAULT_STEPS, read_steps),
    Field("anchor", "", read_text),
    Field("strength", SCHEMA_DEFAULTS["strength"], read_number),
    Field("mask", "", read_text),
)
NAMES = tuple(field.name for field in FIELDS)
DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in FIELDS}
LABELS = {
    "a": "prompt A",
    "b": "prompt B",
    "seed_a": "seed A",
    "seed_b": "seed B",
    "bpm": "tempo",
    "beats": "beats per bar",
    "walk_bars": "bars from A to B",
    "shape": "shape by hand",
}


def label(name: str) -> str:
    """What messages call a field."""
    return LABELS.get(name, name)


def read_settings(values: object, shelf: UploadStore | None = None) -> JamSettings:
    """Settings from a JSON object of the page; what is left out has its first value.

    ``shelf`` has what listeners brought themselves. Raises InvalidInput, naming the field.
    """
    if not isinstance(values, dict):
        raise InvalidInput("settings", values, "send an object of settings by name")
    for name in values:
        if name not in NAMES:
            raise InvalidInput("setting", name, f"use some of {', '.join(NAMES)}")
    read: dict[str, Any] = {
        field.name: field.read(label(field.name), values.get(field.name, field.default))
        for field in FIELDS
    }
    shelf = shelf or UploadStore()
    controls = {name: read[name] for name in ("density", "brightness", "drums")}
    return JamSettings(
        prompt_a=_prompt("A", read["a"], read["seed_a"]),
        prompt_b=_prompt("B", read["b"], read["seed_b"]),
        path=read["path"],
        position=read["position"],
        walk_bars=read["walk_bars"],
        bpm=read["bpm"],
        key=read["key"],
        chords=read["chords"],
        beats_per_bar=read["beats"],
        controls=Controls(**controls) if read["shape"] else Controls(),
        guidance=read["guidance"],
        steps=read["steps"],
        anchor=shelf.anchor(read["anchor"]),
        strength=read["strength"],
        mask=shelf.mask(read["mask"]),
    )


def _prompt(end: str, text: str, seed: int) -> Prompt:
    try:
        return Prompt(text, seed)
    except InvalidInput as error:
        raise InvalidInput(f"{error.what} {end}", error.value, error.legal) from error


def read_link(query: Mapping[str, str]) -> tuple[dict[str, Value], list[str]]:
    """Values of the form from a link, and what is wrong with it in words.

    A value that cannot be used is replaced by the first value of its field; names that are not
    ours are ignored.
    """
    values = dict(DEFAULTS)
    problems = []
    for field in FIELDS:
        if field.name not in query:
            continue
        try:
            value = field.read(label(field.name), query[field.name])
            read_settings({**DEFAULTS, "shape": True, field.name: value})
        except InvalidInput as error:
            problems.append(str(error))
        else:
            values[field.name] = value
    return values, problems
