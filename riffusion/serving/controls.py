"""The component of the page that fits a setting of the schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr

from riffusion.jam.schema import BY_NAME
from riffusion.jam.setting import Setting
from riffusion.jam.setting_values import MAX_JSON_NUMBER
from riffusion.music.harmony import FLAT_NAMES
from riffusion.serving.jams import PLAYER_FILES
from riffusion.serving.links import DEFAULTS

# The controls of the page by the wire names of their settings.
Form = dict[str, Any]

# The player and its tests know this control by an older name.
ELEM_IDS = {"beats_per_bar": "beats"}
# These need twice the room of those beside them.
WIDE = ("path", "variation")
# All choices of the path are seen at a glance; the others are chosen from a list.
RADIOS = ("path",)
KEYS = [
    (f"{note} {mode}", note + sign)
    for mode, sign in (("major", ""), ("minor", "m"))
    for note in FLAT_NAMES
]
DICE = "() => String(Math.floor(Math.random() * 1e6))"
# Controls side by side wrap into one column on a phone.
MIN_WIDTH = 260
MIN_SEED_WIDTH = 90
DICE_WIDTH = 130


def build_row(names: Iterable[str], **options: Any) -> Form:
    """Lay out the controls of the named settings side by side."""
    entries = [BY_NAME[name] for name in names]
    with gr.Row(equal_height=True):
        return {entry.wire_name: build_control(entry, **options) for entry in entries}


def build_seed(seed: Setting) -> Form:
    """Lay out a seed and a button that draws another one."""
    with gr.Row(elem_classes="riff-seed"):
        number = build_control(seed, info=None, min_width=MIN_SEED_WIDTH)
        dice = gr.Button(
            "New seed",
            icon=PLAYER_FILES / "dice.svg",
            elem_id=elem_id(seed).replace("seed", "dice"),
            size="sm",
            scale=0,
            min_width=DICE_WIDTH,
        )
    dice.click(None, None, number, js=DICE)
    return {seed.wire_name: number}


def build_control(entry: Setting, **options: Any) -> Any:
    """Return the component that fits the kind of a setting; ``options`` replace its own."""
    default = DEFAULTS[entry.wire_name]
    options = {
        "label": _label(entry),
        "info": entry.help,
        "elem_id": elem_id(entry),
        "min_width": MIN_WIDTH,
        "scale": 2 if entry.name in WIDE else 1,
        **options,
    }
    if entry.name == "key":
        return gr.Dropdown(KEYS, value=default, **options)
    if entry.kind == "choice":
        labels = [(label, value) for value, label in entry.choices.items()]
        if entry.name in RADIOS:
            return gr.Radio(labels, value=default, **options)
        return gr.Dropdown(labels, value=default, filterable=False, **options)
    if entry.kind == "flag":
        return gr.Checkbox(default, **options)
    if entry.is_numeric and not is_long_number(entry):
        limits = (entry.maximum, entry.slider_maximum, entry.shared_maximum)
        maximum = min(limit for limit in limits if limit is not None)
        return gr.Slider(entry.minimum, maximum, default, step=entry.step, **options)
    text = {"max_lines": 1, "placeholder": entry.example or None, **options}
    return gr.Textbox(str(default), **text)


def is_long_number(entry: Setting) -> bool:
    """Return whether a browser's numbers would round values of the setting, so it shows text."""
    return entry.kind == "whole" and entry.maximum > MAX_JSON_NUMBER


def elem_id(entry: Setting) -> str:
    """Return the id of the element that shows a setting."""
    return ELEM_IDS.get(entry.name, entry.name).replace("_", "-")


def _label(entry: Setting) -> str:
    """Return the label with a capital, and with the unit where the label does not say it."""
    unit = f" ({entry.unit})" if entry.unit and entry.unit not in entry.label else ""
    return entry.label[0].upper() + entry.label[1:] + unit
