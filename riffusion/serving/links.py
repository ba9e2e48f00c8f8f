"""Links to the page: the values of its form, written into the address of the page and read back.

A link names settings as messages do (``Setting.wire_name``), each value as text. What is momentary
is done once and is not in links.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riffusion.errors import InvalidInput
from riffusion.jam.schema import BY_WIRE_NAME, settings_for
from riffusion.jam.setting_values import (
    SHAPE,
    SHAPED,
    merge_change,
    read_flag,
    read_settings,
    read_text,
    read_value,
    shown_default,
)
from riffusion.serving.uploads import UploadStore

Value = str | int | float | bool


def _names() -> tuple[str, ...]:
    """Return the wire names of the settings that last, and of the checkbox before what it rules."""
    names = [entry.wire_name for entry in settings_for("jam") if not entry.momentary]
    names.insert(names.index(SHAPED[0]), SHAPE)
    return tuple(names)


# The names of the form's values, in the order in which the page and the player pass them.
NAMES = _names()
# The values that the form shows before anybody sets anything.
DEFAULTS: Mapping[str, Any] = {
    name: False if name == SHAPE else shown_default(BY_WIRE_NAME[name]) for name in NAMES
}


def read_link(query: Mapping[str, str]) -> tuple[dict[str, Value], list[str]]:
    """Return the values of the form that a link stands for, and its problems in words.

    A value that cannot be used is replaced by the default of its setting; unknown names are
    ignored.
    """
    values, problems = dict(DEFAULTS), []
    for name in NAMES:
        if name in query:
            try:
                values[name] = _read(name, query[name])
            except InvalidInput as error:
                problems.append(str(error))
    # Some values are bad together only: one prompt needs a weight.
    for refusal in merge_change({}, values, UploadStore()).refused:
        values[refusal.field] = DEFAULTS[refusal.field]
        problems.append(refusal.message)
    return values, problems


def _read(name: str, text: str) -> Value:
    """Read one value of a link as the form shows it. Raises InvalidInput where it is bad."""
    assets = UploadStore()
    read_settings({SHAPE: True, name: text}, assets)
    if name == SHAPE:
        return read_flag(name, text)
    entry = BY_WIRE_NAME[name]
    # The form has anchors and masks by their names.
    by_name = entry.kind in ("anchor", "mask")
    value: Value = read_text(name, text) if by_name else read_value(entry, text, assets)
    return value
