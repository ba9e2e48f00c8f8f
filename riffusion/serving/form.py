"""The form of the page: one control for each setting of a jam, built from the schema.

The tables below say which controls lie side by side. A setting that they do not name goes to
"More controls", so a new entry of the schema is on the page at once. Momentary settings have
buttons in the player instead (``riffusion.serving.live_buttons``).
"""

from __future__ import annotations

import gradio as gr

from riffusion.jam.prompt_settings import LETTERS
from riffusion.jam.schema import BY_NAME, settings_for
from riffusion.jam.setting_values import SHAPE, SHAPED
from riffusion.music.harmony import note_name, parse_key
from riffusion.serving.controls import Form, build_control, build_row
from riffusion.serving.links import DEFAULTS
from riffusion.serving.live_buttons import TOGGLES
from riffusion.serving.pickers import PICKED, build_pickers
from riffusion.serving.prompt_form import build_prompts

PROMPT_PARTS = ("prompt", "seed", "negative", "weight")
PROMPTS = tuple(f"{part}_{letter}" for letter in LETTERS for part in PROMPT_PARTS)
ROWS: tuple[tuple[str, ...], ...] = (("position", "walk_bars", "path"), ("bpm", "key", "chords"))
LOOP = ("loop", "variation", "arc", "arc_bars", "quantize")
MORE_ROWS: tuple[tuple[str, ...], ...] = (
    SHAPED,
    ("beats_per_bar", "swing", "ramp_bars"),
    ("quality", "guidance", "steps", "reverb"),
)
PLACED = {name for row in (PROMPTS, *ROWS, LOOP, *MORE_ROWS, PICKED, TOGGLES) for name in row}
# Five controls side by side.
MIN_LOOP_WIDTH = 190


def build_form() -> Form:
    """Lay out all controls where the page is being built."""
    form = build_prompts()
    for row in ROWS:
        form |= build_row(row)
    form |= build_row(LOOP, min_width=MIN_LOOP_WIDTH)
    form |= build_pickers()
    with gr.Accordion("More controls", open=False, elem_id="more"):
        form[SHAPE] = gr.Checkbox(
            DEFAULTS[SHAPE],
            label="Shape the sound by hand",
            info=f"Otherwise {', '.join(SHAPED)} are as the prompts say",
            elem_id=SHAPE,
        )
        for row in MORE_ROWS:
            form |= build_row(row)
        others = [e for e in settings_for("jam") if e.name not in PLACED and not e.momentary]
        form |= build_row(entry.name for entry in others)
    # The player shows a button for each of these; the form keeps their values.
    toggles = {name: build_control(BY_NAME[name], visible="hidden") for name in TOGGLES}
    return {**form, **toggles}


def list_key(key: str) -> str:
    """Return a key as the page's list spells it: "c# minor" is "Dbm"."""
    parsed = parse_key(key)
    return note_name(parsed.tonic, flats=True) + ("m" if parsed.mode == "minor" else "")
