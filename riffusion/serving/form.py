"""The controls of the page, by the names of their fields."""

from __future__ import annotations

from typing import Any

import gradio as gr

from riffusion.music.harmony import FLAT_NAMES, note_name, parse_key
from riffusion.music.rhythm import MAX_BEATS, MAX_BPM, MIN_BEATS, MIN_BPM
from riffusion.serving.fields import DEFAULTS, MAX_STEPS
from riffusion.serving.jams import PLAYER_FILES
from riffusion.serving.pickers import build_pickers

Form = dict[str, Any]

PATHS = [
    ("There and back", "ping-pong"),
    ("Once to B", "once"),
    ("By hand", "manual"),
    ("Stay", "hold"),
]
KEYS = [
    (f"{note} {mode}", note + sign)
    for mode, sign in (("major", ""), ("minor", "m"))
    for note in FLAT_NAMES
]
# Seeds are text, because a browser's numbers would round big ones.
DICE = "() => String(Math.floor(Math.random() * 1e6))"
# Controls side by side wrap into one column on a phone.
WIDTH = 260


def build_form() -> Form:
    """Lay out all controls where the page is being built."""
    form: Form = {}
    with gr.Row(equal_height=True):
        form |= _prompt("a", "What sounds where the jam begins")
        form |= _prompt("b", "What sounds where it goes")
    with gr.Row(equal_height=True):
        hint = "Move it and the jam follows your hand"
        form["position"] = _slider("position", 0, 1, 0.01, "Position between A and B", hint)
        form["path"] = gr.Radio(
            PATHS, value=DEFAULTS["path"], label="Path", elem_id="path", min_width=WIDTH
        )
    with gr.Row(equal_height=True):
        form["bpm"] = _slider("bpm", MIN_BPM, MAX_BPM, 1, "Tempo (beats per minute)")
        form["key"] = gr.Dropdown(
            KEYS, value=DEFAULTS["key"], label="Key", elem_id="key", min_width=WIDTH
        )
        form["chords"] = gr.Textbox(
            DEFAULTS["chords"],
            label="Chords, one a bar",
            placeholder="Am F C G, or leave empty",
            elem_id="chords",
            max_lines=1,
            min_width=WIDTH,
        )
    form |= build_pickers()
    with gr.Accordion("More controls", open=False, elem_id="more"):
        form |= _more_controls()
    return form


def listed_key(key: str) -> str:
    """A key as the list of the page spells it: "c# minor" is "Dbm"."""
    parsed = parse_key(key)
    return note_name(parsed.tonic, flats=True) + ("m" if parsed.mode == "minor" else "")


def _prompt(end: str, hint: str) -> Form:
    seed = f"seed_{end}"
    with gr.Group():
        prompt = gr.Textbox(
            DEFAULTS[end],
            label=f"Prompt {end.upper()}",
            info=hint,
            elem_id=f"prompt-{end}",
            max_lines=3,
            min_width=WIDTH,
        )
        with gr.Row(elem_classes="riff-seed"):
            number = gr.Textbox(
                str(DEFAULTS[seed]),
                label=f"Seed {end.upper()}",
                elem_id=f"seed-{end}",
                max_lines=1,
                min_width=90,
            )
            dice = gr.Button(
                "New seed",
                icon=PLAYER_FILES / "dice.svg",
                elem_id=f"dice-{end}",
                size="sm",
                scale=0,
                min_width=130,
            )
    dice.click(None, None, number, js=DICE)
    return {end: prompt, seed: number}


def _more_controls() -> Form:
    form: Form = {
        "shape": gr.Checkbox(
            DEFAULTS["shape"],
            label="Shape the sound by hand",
            info="Otherwise density, brightness and drums are as the prompts say",
            elem_id="shape",
        )
    }
    with gr.Row():
        form |= {
            name: _slider(name, 0, 1, 0.05, name.capitalize())
            for name in ("density", "brightness", "drums")
        }
    with gr.Row():
        form["walk_bars"] = _slider("walk_bars", 1, 64, 1, "Bars from A to B")
        form["beats"] = _slider("beats", MIN_BEATS, MAX_BEATS, 1, "Beats per bar")
    with gr.Row():
        hint = "How closely to follow the prompts"
        form["guidance"] = _slider("guidance", 0, 15, 0.1, "Guidance", hint)
        form["steps"] = _slider("steps", 1, MAX_STEPS, 1, "Steps", "More are finer and slower")
    return form


def _slider(
    name: str, least: float, most: float, step: float, label: str, hint: str | None = None
) -> gr.Slider:
    return gr.Slider(
        least,
        most,
        DEFAULTS[name],
        step=step,
        label=label,
        info=hint,
        elem_id=name.replace("_", "-"),
        min_width=WIDTH,
    )
