"""Values of settings from outside: links, forms and messages, read by the schema and checked.

Values come by the names that the page uses (``Setting.wire_name``), as JSON or as text. What is
left out of a whole set has its default; what is left out of a change stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from riffusion.engines.clip import Controls, Prompt
from riffusion.errors import InvalidInput
from riffusion.jam.anchor_loops import library_anchor, library_mask
from riffusion.jam.asset import AssetRef
from riffusion.jam.schema import BY_NAME, settings_for
from riffusion.jam.setting import Setting
from riffusion.jam.settings import JamSettings

MAX_TEXT_LENGTH = 10_000
MAX_JSON_NUMBER = 2**53
# The page's checkbox: while it is off, the musical controls are left to the prompts.
SHAPE = "shape"
SHAPED = tuple(e.wire_name for e in settings_for("jam") if e.automatic and e.is_numeric)
SHAPED_DEFAULT = 0.5
MOMENTARY = tuple(entry.wire_name for entry in settings_for("jam") if entry.momentary)
Values = Mapping[str, Any]


class AssetStore(Protocol):
    """Finds anchors and masks by name: those of the library, and what listeners uploaded."""

    def anchor(self, name: str) -> AssetRef | None:
        """Return the anchor of that name, None for "". Raises InvalidInput for an unknown one."""
        ...

    def mask(self, name: str) -> AssetRef | None:
        """Return the mask of that name, None for "". Raises InvalidInput for an unknown one."""
        ...


class LibraryAssets:
    """The store that finds the anchors and masks of the library only."""

    def anchor(self, name: str) -> AssetRef | None:
        """Return the anchor of that name, None for "". Raises InvalidInput for an unknown one."""
        return library_anchor(name) if name else None

    def mask(self, name: str) -> AssetRef | None:
        """Return the mask of that name, None for "". Raises InvalidInput for an unknown one."""
        return library_mask(name) if name else None


LIBRARY = LibraryAssets()


@dataclass(frozen=True)
class Refusal:
    """A value that was refused: the wire name of its setting, and what is wrong in words."""

    field: str
    message: str


@dataclass(frozen=True)
class Merged:
    """All values after a change, the settings they stand for, and what was refused of it."""

    values: dict[str, Any]
    settings: JamSettings
    refused: tuple[Refusal, ...]


def read_settings(values: object, assets: AssetStore = LIBRARY) -> JamSettings:
    """Read a whole set of values; what is left out has its default.

    Raises InvalidInput for an unknown name or a bad value, naming the setting.
    """
    given = read_names(values)
    read = {
        entry.name: read_value(entry, given[entry.wire_name], assets)
        for entry in settings_for("jam")
        if entry.wire_name in given
    }
    shaped = _shaped(given, read)
    start, end = (
        Prompt(BY_NAME[f"prompt_{e}"].default, BY_NAME[f"seed_{e}"].default) for e in "ab"
    )
    return JamSettings(start, end, controls=Controls()).with_settings({**read, **shaped})


def shown_default(entry: Setting) -> Any:
    """Return the value that the page shows for a setting before anybody sets it.

    Musical controls that are left to the prompt show the middle of their range; no anchor and no
    mask is an empty name.
    """
    if entry.default is None:
        return SHAPED_DEFAULT if entry.is_numeric else ""
    return entry.default


def merge_change(current: Values, changes: object, assets: AssetStore = LIBRARY) -> Merged:
    """Change some of the ``current`` values; each bad one is refused by itself.

    ``current`` values must be readable. Raises InvalidInput where ``changes`` is no object or names
    an unknown setting.
    """
    given = read_names(changes)
    try:
        values = {**current, **given}
        return Merged(values, read_settings(values, assets), ())
    except InvalidInput:
        pass
    values, refused = dict(current), []
    for name, value in given.items():
        try:
            read_settings({**values, name: value}, assets)
        except InvalidInput as error:
            refused.append(Refusal(name, str(error)))
        else:
            values[name] = value
    return Merged(values, read_settings(values, assets), tuple(refused))


def settle_values(values: Values) -> Values:
    """Return values by wire name without those that are momentary."""
    return {name: value for name, value in values.items() if name not in MOMENTARY}


def read_names(values: object) -> Values:
    """Return ``values`` if they are an object of known settings. Raises InvalidInput."""
    if not isinstance(values, dict):
        raise InvalidInput("settings", values, "send an object of settings by name")
    names = [entry.wire_name for entry in settings_for("jam")]
    for name in values:
        if name not in names and name != SHAPE:
            raise InvalidInput("setting", name, f"use some of {', '.join(names)}, {SHAPE}")
    return values


def read_value(entry: Setting, value: object, assets: AssetStore) -> Any:
    """Read one value from JSON or text. Raises InvalidInput, naming the setting."""
    if entry.automatic and value is None:
        return None
    match entry.kind:
        case "whole":
            read: Any = read_whole(entry.label, value)
        case "number":
            read = read_number(entry.label, value)
        case "flag":
            read = read_flag(entry.label, value)
        case "choice" if isinstance(value, int):
            read = str(value)
        case "anchor":
            return assets.anchor(read_text(entry.label, value))
        case "mask":
            return assets.mask(read_text(entry.label, value))
        case _:
            read = read_text(entry.label, value)
    entry.check(read)
    if entry.shared_maximum is not None and read > entry.shared_maximum:
        hint = f"use at most {entry.shared_maximum:g}; the command line takes more"
        raise InvalidInput(entry.label, read, hint)
    return read


def read_text(what: str, value: object) -> str:
    """Read text. Raises InvalidInput, which calls it ``what``."""
    if not isinstance(value, str):
        raise InvalidInput(what, value, "write some text")
    if len(value) > MAX_TEXT_LENGTH:
        hint = f"has {len(value)} characters; use at most {MAX_TEXT_LENGTH}"
        raise InvalidInput(what, value, hint)
    return value


def read_whole(what: str, value: object) -> int:
    """Read a whole number exactly: "42", 42 or 42.0, but not 42.5. Raises InvalidInput."""
    if isinstance(value, str):
        digits = value.strip()
        if len(digits) <= 25 and digits.removeprefix("-").isdecimal():
            return int(digits)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    elif isinstance(value, float) and value.is_integer() and abs(value) < MAX_JSON_NUMBER:
        return int(value)
    raise InvalidInput(what, value, "use a whole number, for example 42")


def read_number(what: str, value: object) -> float:
    """Read a number from JSON or text. Raises InvalidInput."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and not isinstance(value, str):
        raise InvalidInput(what, value, "use a number")
    try:
        return float(value)  # type: ignore[arg-type]
    except (ValueError, OverflowError) as error:
        raise InvalidInput(what, value, "use a number") from error


def read_flag(what: str, value: object) -> bool:
    """Read yes or no: a JSON boolean, or "1" or "0" in a link. Raises InvalidInput."""
    if isinstance(value, bool):
        return value
    if value in ("0", "1"):
        return value == "1"
    raise InvalidInput(what, value, "use 1 for yes or 0 for no")


def _shaped(given: Values, read: Values) -> dict[str, float | None]:
    """Return the musical controls as the checkbox says, where it was given."""
    if SHAPE not in given:
        return {}
    if not read_flag("shape by hand", given[SHAPE]):
        return dict.fromkeys(SHAPED)
    return {name: SHAPED_DEFAULT if read.get(name) is None else read[name] for name in SHAPED}
