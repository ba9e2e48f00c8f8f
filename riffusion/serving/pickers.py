"""The page's pickers: the clip that a jam starts from, and which part of it is repainted."""

from __future__ import annotations

import json
from html import escape

import gradio as gr

from riffusion.jam.anchors import Anchor, library
from riffusion.jam.masks import SHAPES
from riffusion.jam.schema import BY_NAME
from riffusion.serving.controls import Form, elem_id
from riffusion.serving.jams import PLAYER_FILES
from riffusion.serving.links import DEFAULTS

# The settings that this part of the form shows.
PICKED = ("anchor", "anchor_b", "strength", "mask")

ANCHOR_HINT = (
    "Clips start from it and it goes round in time. One of ours brings its tempo and key along; "
    "your own, audio or a spectrogram image of at most 20 s, is fitted to whole bars."
)
END_HINT = (
    "The walk ends on this clip, and on the way it is blended with the one that it starts from."
)
MASK_HINT = "White is played anew, black stays as it is. Your own: a picture of 512 x 512."


def build_pickers() -> Form:
    """Lay out the controls of anchor, strength and mask where the page is being built."""
    with gr.Accordion("Start from a clip", open=False, elem_id="anchors"):
        # The second picker takes no room until it is looked at.
        with gr.Tabs():
            with gr.Tab("Start from"):
                anchor = _anchor_picker("anchor", "Start from", ANCHOR_HINT)
            with gr.Tab("At the end of the walk"):
                anchor_b = _anchor_picker("anchor_b", "At the end of the walk", END_HINT)
        entry = BY_NAME["strength"]
        strength = gr.Slider(
            entry.minimum,
            entry.maximum,
            DEFAULTS["strength"],
            step=entry.step,
            label=entry.label.capitalize(),
            info=entry.help,
            elem_id="strength",
        )
        masks = [_mask_card(name) for name in SHAPES if name != "all"]
        mask = _picker("mask", "Play anew", MASK_HINT, masks, "image/*", PICTURE)
    return {"anchor": anchor, "anchor_b": anchor_b, "strength": strength, "mask": mask}


def let_anchors_set_tempo(form: Form) -> None:
    """Let an anchor that is chosen by hand set the tempo and the key of the form."""
    music = {anchor.id: [anchor.bpm, anchor.key] for anchor in library()}
    form["anchor"].input(
        None,
        [form["anchor"], form["bpm"], form["key"]],
        [form["bpm"], form["key"]],
        js=f"(name, bpm, key) => ({json.dumps(music)})[name] ?? [bpm, key]",
    )


AUDIO = '<audio controls preload="none"></audio>'
PICTURE = '<img alt="" width="96" height="96">'


def _anchor_picker(name: str, label: str, hint: str) -> gr.HTML:
    """Return the component that offers the library, or a sound of one's own, as an anchor."""
    cards = [_anchor_card(name, anchor) for anchor in library()]
    return _picker(name, label, hint, cards, "audio/*,image/*", AUDIO)


def _anchor_card(setting: str, anchor: Anchor) -> str:
    """Return the HTML of one clip of the library: a radio button, its image and its sound."""
    name, path = escape(anchor.id.replace("_", " ")), f"/api/anchors/{anchor.id}"
    return (
        f'<div class="riff-card"><label><input type="radio" name="riff-{setting}" '
        f'value="{anchor.id}">'
        f'<img alt="" width="96" height="96" loading="lazy" data-src="{path}.jpg">'
        f"<span>{name}</span><small>{anchor.bpm:g} bpm, {escape(anchor.key)}</small></label>"
        f'<audio controls preload="none" data-src="{path}.mp3" '
        f'aria-label="Preview of {name}"></audio></div>'
    )


def _mask_card(name: str) -> str:
    """Return the HTML of one mask: a radio button and its picture."""
    return (
        f'<div class="riff-card"><label><input type="radio" name="riff-mask" value="{name}">'
        f'<img alt="" width="96" height="96" loading="lazy" data-src="/api/masks/{name}.png">'
        f"<span>{escape(name.replace('_', ' '))}</span></label></div>"
    )


def _picker(
    name: str, label: str, hint: str, cards: list[str], accepts: str, preview: str
) -> gr.HTML:
    """Return the component that offers ``cards``, none of them, and a file of one's own."""
    entry = BY_NAME[name]
    # The title of an anchor is that of its tab.
    nothing, title = ("All of it", f"<h3>{label}</h3>") if entry.kind == "mask" else ("Nothing", "")
    radio = f'<input type="radio" name="riff-{name}"'
    return gr.HTML(
        DEFAULTS[name],
        html_template=(
            f'<div class="riff-picker" data-kind="{entry.kind}" role="radiogroup" '
            f'aria-label="{label}">'
            f"{title}<p>{hint}</p><div class='riff-cards'>"
            f'<div class="riff-card"><label>{radio} value="" checked><span>{nothing}</span></label>'
            f'</div>{"".join(cards)}<div class="riff-card riff-own" hidden><label>{radio} '
            f'value="own"><span>Your own</span></label>{preview}</div></div>'
            f'<label class="riff-bring">Bring your own <input type="file" accept="{accepts}" '
            f'aria-label="Your own {entry.label}"></label><p role="status"></p></div>'
        ),
        js_on_load=(PLAYER_FILES / "load-picker.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=elem_id(entry),
    )
