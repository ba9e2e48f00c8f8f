"""The form of the page: one control for each setting of a jam, built from the schema.

The tables below say which controls lie side by side. A setting that they do not name goes to
"More controls", so a new entry of the schema is on the page at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr

from riffusion.jam.schema import BY_NAME, settings_for
from riffusion.jam.setting import Setting
from riffusion.jam.setting_values import MAX_JSON_NUMBER, SHAPE, SHAPED
from riffusion.music.harmony import FLAT_NAMES, note_name, parse_key
from riffusion.serving.jams import PLAYER_FILES
from riffusion.serving.links import DEFAULTS
from riffusion.serving.pickers import PICKED, build_pickers

# The controls of the page by the wire names of their settings.
Form = dict[str, Any]

PROMPTS = (("prompt_a", "seed_a"), ("prompt_b", "seed_b"))
ROWS: tuple[tuple[str, ...], ...] = (("position", "path"), ("bpm", "key", "chords"))
MORE_ROWS: tuple[tuple[str, ...], ...] = (SHAPED, ("walk_bars", "beats_per_bar"))
PLACED = {name for names in (*PROMPTS, *ROWS, *MORE_ROWS, PICKED) for name in names}
# The player and its tests know this control by an older name.
ELEM_IDS = {"beats_per_bar": "beats"}
KEYS = [
    (f"{note} {mode}", note + sign)
    for mode, sign in (("major", ""), ("minor", "m"))
    for note in FLAT_NAMES
]
DICE = "() => String(Math.floor(Math.random() * 1e6))"
# Controls side by side wrap into one column on a phone.
MIN_WIDTH = 260
MIN_SEED_WIDTH = 90


def build_form() -> Form:
    """Lay out all controls where the page is being built."""
    form: Form = {}
    with gr.Row(equal_height=True):
        for prompt, seed in PROMPTS:
            form |= _build_prompt(BY_NAME[prompt], BY_NAME[seed])
    for row in ROWS:
        form |= _build_row(row)
    form |= build_pickers()
    with gr.Accordion("More controls", open=False, elem_id="more"):
        form[SHAPE] = gr.Checkbox(
            DEFAULTS[SHAPE],
            label="Shape the sound by hand",
            info=f"Otherwise {', '.join(SHAPED)} are as the prompts say",
            elem_id=SHAPE,
        )
        for row in MORE_ROWS:
            form |= _build_row(row)
        form |= _build_row(e.name for e in settings_for("jam") if e.name not in PLACED)
    return form


def is_long_number(entry: Setting) -> bool:
    """Return whether a browser's numbers would round values of the setting, so it shows text."""
    return entry.kind == "whole" and entry.maximum > MAX_JSON_NUMBER


def list_key(key: str) -> str:
    """Return a key as the page's list spells it: "c# minor" is "Dbm"."""
    parsed = parse_key(key)
    return note_name(parsed.tonic, flats=True) + ("m" if parsed.mode == "minor" else "")


def _build_row(names: Iterable[str]) -> Form:
    entries = [BY_NAME[name] for name in names]
    with gr.Row(equal_height=True):
        return {entry.wire_name: _build_control(entry) for entry in entries}


def _build_prompt(prompt: Setting, seed: Setting) -> Form:
    """Lay out a prompt above its seed and a button that draws another seed."""
    with gr.Group():
        form = {prompt.wire_name: _build_control(prompt, max_lines=3)}
        with gr.Row(elem_classes="riff-seed"):
            number = _build_control(seed, info=None, min_width=MIN_SEED_WIDTH)
            dice = gr.Button(
                "New seed",
                icon=PLAYER_FILES / "dice.svg",
                elem_id=_elem_id(seed).replace("seed", "dice"),
                size="sm",
                scale=0,
                min_width=130,
            )
    dice.click(None, None, number, js=DICE)
    return {**form, seed.wire_name: number}


def _build_control(entry: Setting, **options: Any) -> Any:
    """Return the component that fits the kind of a setting; ``options`` replace its own."""
    default = DEFAULTS[entry.wire_name]
    options = {
        "label": _label(entry),
        "info": entry.help,
        "elem_id": _elem_id(entry),
        "min_width": MIN_WIDTH,
        **options,
    }
    if entry.name == "key":
        return gr.Dropdown(KEYS, value=default, **options)
    if entry.kind == "choice":
        labels = [(label, value) for value, label in entry.choices.items()]
        return gr.Radio(labels, value=default, **options)
    if entry.kind == "flag":
        return gr.Checkbox(default, **options)
    if entry.is_numeric and not is_long_number(entry):
        limits = (entry.maximum, entry.slider_maximum, entry.shared_maximum)
        maximum = min(limit for limit in limits if limit is not None)
        return gr.Slider(entry.minimum, maximum, default, step=entry.step, **options)
    return gr.Textbox(
        str(default), placeholder=entry.example or None, **{"max_lines": 1, **options}
    )


def _elem_id(entry: Setting) -> str:
    return ELEM_IDS.get(entry.name, entry.name).replace("_", "-")


def _label(entry: Setting) -> str:
    """Return the label with a capital, and with the unit where the label does not say it."""
    unit = f" ({entry.unit})" if entry.unit and entry.unit not in entry.label else ""
    return entry.label[0].upper() + entry.label[1:] + unit
