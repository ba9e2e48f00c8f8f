"""The page: a form of settings around the player. What happens live happens in assets/player."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from riffusion.engines.base import Engine
from riffusion.harmony import FLAT_NAMES, note_name, parse_key
from riffusion.rhythm import FASTEST_BPM, FEWEST_BEATS, MOST_BEATS, SLOWEST_BPM
from riffusion.serving.fields import DEFAULTS, NAMES, read_link
from riffusion.serving.routes import PLAYER_FILES

TITLE = "Riffusion"
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
# A text is taken up when the typing rests, other controls at once.
TYPING_MS = 900
# Seeds are text, because a browser's numbers would round big ones.
DICE = "() => String(Math.floor(Math.random() * 1e6))"

Form = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A pair of prompts that is worth a try, with a tempo and key that suit it."""

    a: str
    b: str
    bpm: int
    key: str


EXAMPLES = (
    Example("church bells", "electronic beats", 120, "Cm"),
    Example("funky piano", "jazzy saxophone", 112, "Dm"),
    Example("acoustic guitar", "rock drums and bass", 126, "G"),
    Example("bossa nova", "jazz piano", 130, "F"),
    Example("blues guitar", "reggae", 96, "A"),
    Example("ambient pads", "techno", 124, "Am"),
)


def build_page(engine: Engine) -> gr.Blocks:
    """The page for an engine. Launch it with ``launch_options`` and the player's routes."""
    page = gr.Blocks(title=TITLE, analytics_enabled=False)
    with page:
        gr.HTML(_file("header.html"))
        note = gr.Markdown(visible=False, elem_classes="riff-link-note")
        player = _player(engine)
        with gr.Row(elem_classes="riff-examples"):
            examples = [
                gr.Button(f"{example.a} → {example.b}", size="sm", min_width=120)
                for example in EXAMPLES
            ]
        form = _form()
        share = gr.Button("Copy a link to this jam", elem_id="share", size="sm")
        _connect(player, form, share)
        for button, example in zip(examples, EXAMPLES, strict=True):
            values = [example.a, example.b, example.bpm, example.key]
            targets = [form["a"], form["b"], form["bpm"], form["key"]]
            button.click(None, None, targets, js=f"() => {json.dumps(values)}")
        page.load(
            open_link,
            None,
            [*_controls(form), note],
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )
    return page


def launch_options() -> dict[str, Any]:
    """What ``launch`` needs so that the page looks and works as it should."""
    theme = gr.themes.Base(
        primary_hue="orange",
        neutral_hue="slate",
        radius_size="lg",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return {
        "theme": theme,
        "css_paths": [PLAYER_FILES / "player.css"],
        "footer_links": [],
        "run_history": False,
        # The server for rendering on the server's side would swallow the player's routes.
        "ssr_mode": False,
    }


def open_link(request: gr.Request) -> list[Any]:
    """Values of the form as the page's address says, and a note on what is wrong with it."""
    values, problems = read_link(dict(request.query_params))
    note = ""
    if problems:
        listed = "\n".join(f"- {escape(problem)}" for problem in problems)
        note = f"Part of this link cannot be used and has its usual value instead:\n\n{listed}"
    key = parse_key(str(values["key"]))
    values["key"] = note_name(key.tonic, flats=True) + ("m" if key.mode == "minor" else "")
    values |= {name: str(values[name]) for name in ("seed_a", "seed_b")}
    return [*(values[name] for name in NAMES), gr.update(value=note, visible=bool(note))]


def _player(engine: Engine) -> gr.HTML:
    return gr.HTML(
        html_template=_file("player.html"),
        js_on_load=_file("load.js"),
        apply_default_css=False,
        elem_id="player",
        sample_rate=engine.params.sample_rate,
        channels=engine.channels,
        names=escape(json.dumps(NAMES), quote=True),
    )


def _form() -> Form:
    """All controls by the names of their fields."""
    form: Form = {}
    with gr.Row(equal_height=True):
        for end, place in (("a", "where the jam begins"), ("b", "where it goes")):
            with gr.Group():
                form[end] = gr.Textbox(
                    DEFAULTS[end],
                    label=f"Prompt {end.upper()}",
                    info=f"What sounds {place}",
                    elem_id=f"prompt-{end}",
                    max_lines=3,
                )
                with gr.Row(elem_classes="riff-seed"):
                    name = f"seed_{end}"
                    form[name] = gr.Textbox(
                        str(DEFAULTS[name]),
                        label=f"Seed {end.upper()}",
                        elem_id=f"seed-{end}",
                        max_lines=1,
                        scale=3,
                        min_width=90,
                    )
                    dice = gr.Button("🎲 New seed", elem_id=f"dice-{end}", scale=1, min_width=110)
                    dice.click(None, None, form[name], js=DICE)
    with gr.Row(equal_height=True):
        form["position"] = gr.Slider(
            0,
            1,
            DEFAULTS["position"],
            step=0.01,
            label="Position between A and B",
            info="Move it and the jam follows your hand",
            elem_id="position",
            scale=2,
        )
        form["path"] = gr.Radio(
            PATHS, value=DEFAULTS["path"], label="Path", elem_id="path", scale=2
        )
    with gr.Row(equal_height=True):
        form["bpm"] = gr.Slider(
            SLOWEST_BPM,
            FASTEST_BPM,
            DEFAULTS["bpm"],
            step=1,
            label="Tempo (beats per minute)",
            elem_id="bpm",
        )
        form["key"] = gr.Dropdown(KEYS, value=DEFAULTS["key"], label="Key", elem_id="key")
        form["chords"] = gr.Textbox(
            DEFAULTS["chords"],
            label="Chords, one a bar",
            placeholder="Am F C G (or leave empty)",
            elem_id="chords",
            max_lines=1,
        )
    with gr.Accordion("More controls", open=False, elem_id="more"):
        form |= _more_controls()
    return form


def _more_controls() -> Form:
    form: Form = {}
    form["shape"] = gr.Checkbox(
        DEFAULTS["shape"],
        label="Shape the sound by hand",
        info="Otherwise density, brightness and drums are as the prompts say",
        elem_id="shape",
    )
    with gr.Row():
        for name in ("density", "brightness", "drums"):
            form[name] = gr.Slider(
                0, 1, DEFAULTS[name], step=0.05, label=name.capitalize(), elem_id=name
            )
    with gr.Row():
        form["walk_bars"] = gr.Slider(
            1, 64, DEFAULTS["walk_bars"], step=1, label="Bars from A to B", elem_id="walk-bars"
        )
        form["beats"] = gr.Slider(
            FEWEST_BEATS,
            MOST_BEATS,
            DEFAULTS["beats"],
            step=1,
            label="Beats per bar",
            elem_id="beats",
        )
    with gr.Row():
        form["guidance"] = gr.Slider(
            0,
            10,
            DEFAULTS["guidance"],
            step=0.1,
            label="Guidance",
            info="How closely to follow the prompts",
            elem_id="guidance",
        )
        form["steps"] = gr.Slider(
            2,
            50,
            DEFAULTS["steps"],
            step=1,
            label="Steps",
            info="More are finer and slower",
            elem_id="steps",
        )
    return form


def _connect(player: gr.HTML, form: Form, share: gr.Button) -> None:
    """The form and the player talk in the browser; the server hears of it from the player."""
    controls = _controls(form)
    texts = [form[name] for name in ("a", "seed_a", "b", "seed_b", "chords")]
    others = [control for control in controls if control not in texts]
    player.play(None, controls, None, js="(...values) => riffusionPlayer.play(values)")
    share.click(None, controls, None, js="(...values) => riffusionPlayer.share(values)")
    changed = "(...values) => riffusionPlayer.change(values)"
    typed = f"(...values) => riffusionPlayer.change(values, {TYPING_MS})"
    gr.on([control.change for control in others], None, controls, None, js=changed)
    gr.on([text.change for text in texts], None, controls, None, js=typed)
    gr.on([text.submit for text in texts], None, controls, None, js=changed)
    gr.on([text.blur for text in texts], None, controls, None, js=changed)
    form["position"].input(None, None, form["path"], js="() => 'manual'")


def _controls(form: Form) -> Sequence[Any]:
    return [form[name] for name in NAMES]


def _file(name: str) -> str:
    return (PLAYER_FILES / name).read_text(encoding="utf-8")
