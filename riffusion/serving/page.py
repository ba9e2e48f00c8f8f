"""The page: a form of settings below the player, whose scripts are in assets/player."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from riffusion.engines.protocol import Engine
from riffusion.jam.schema import settings_for
from riffusion.live.pace import Pace
from riffusion.serving import live_buttons, section_form
from riffusion.serving.controls import Form, is_long_number
from riffusion.serving.form import build_form, list_key
from riffusion.serving.jams import PLAYER_FILES
from riffusion.serving.links import NAMES, read_link
from riffusion.serving.opening_form import build_opening, let_recordings_set_tempo
from riffusion.serving.pickers import let_anchors_set_tempo

TITLE = "Riffusion"
# A text is sent when the typing has rested this long, other controls at once.
TYPING_MS = 900
# The player loads on its own and may not be there yet.
READY = "() => { (window.riffusionPlayer ??= {}).formReady = true; riffusionPlayer.begin?.(); }"


@dataclass(frozen=True)
class Example:
    """A pair of prompts that is worth a try, with a tempo and a key that fit."""

    a: str
    b: str
    bpm: int
    key: str


EXAMPLES = (
    Example("church bells", "electronic beats", 100, "Cm"),
    Example("funky piano", "jazzy saxophone", 112, "Dm"),
    Example("acoustic guitar", "rock drums and bass", 126, "G"),
    Example("bossa nova", "jazz piano", 130, "F"),
    Example("blues guitar", "reggae", 96, "A"),
    Example("ambient pads", "techno", 124, "Am"),
)


def build_page(engine: Engine, pace: Future[Pace]) -> gr.Blocks:
    """Return the page for an engine. ``launch_options`` and the player's routes launch it.

    ``pace`` is shown when it is known.
    """
    page = gr.Blocks(title=TITLE, analytics_enabled=False)
    with page:
        gr.HTML(_file("header.html"))
        note = gr.HTML(visible=False, elem_id="link-note")
        pace_note = gr.HTML(visible=False, elem_id="pace-note")
        player = _player(engine)
        gr.HTML(
            html_template=_file("song.html").replace(
                section_form.PLACEHOLDER, section_form.build_section_inputs()
            ),
            js_on_load=_file("song-load.js"),
            apply_default_css=False,
            elem_id="song",
        )
        with gr.Row(elem_classes="riff-examples"):
            gr.HTML("Try", apply_default_css=False, scale=0, min_width=30)
            examples = [
                gr.Button(f"{example.a} → {example.b}", size="sm", scale=0) for example in EXAMPLES
            ]
        opening = build_opening()
        form = build_form()
        share = gr.Button("Copy a link to this jam", elem_id="share", size="sm")
        _connect(player, form, share)
        let_anchors_set_tempo(form)
        let_recordings_set_tempo(form, opening)
        for button, example in zip(examples, EXAMPLES, strict=True):
            values = [example.a, example.b, example.bpm, example.key]
            targets = [form["a"], form["b"], form["bpm"], form["key"]]
            button.click(None, None, targets, js=f"() => {json.dumps(values)}")
        opened = page.load(
            open_link,
            None,
            [*_controls(form), note],
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )
        opened.then(None, js=READY)
        page.load(
            lambda: show_pace(pace),
            None,
            pace_note,
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )
    return page


def launch_options() -> dict[str, Any]:
    """Return the arguments of ``launch`` that make the page look and work as it should."""
    theme = gr.themes.Base(
        primary_hue="orange",
        neutral_hue="slate",
        radius_size="lg",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return {
        "theme": theme,
        "css_paths": [PLAYER_FILES / "player.css", PLAYER_FILES / "song.css"],
        "footer_links": [],
        "run_history": False,
        # Gradio's server for server-side rendering would swallow the player's routes.
        "ssr_mode": False,
        # Agents may call what the API offers.
        "mcp_server": True,
        # Anchors and masks are uploaded by a route of their own, nothing through Gradio.
        "max_file_size": "1kb",
    }


def open_link(request: gr.Request) -> list[Any]:
    """Return the values of the form for the page's address, and a note on what is wrong with it."""
    values, problems = read_link(dict(request.query_params))
    note = ""
    if problems:
        listed = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
        note = f"Part of this link cannot be used and has its usual value instead:<ul>{listed}</ul>"
    values["key"] = list_key(str(values["key"]))
    for entry in settings_for("jam"):
        if is_long_number(entry):
            values[entry.wire_name] = str(values[entry.wire_name])
    return [*(values[name] for name in NAMES), gr.update(value=note, visible=bool(note))]


async def show_pace(pace: Future[Pace]) -> Any:
    """Return the note for listeners of an engine that is slower than its music, when it is known.

    The player reads from it how many seconds of sound to gather.
    """
    # A page that is closed meanwhile must not cancel what others wait for.
    found = await asyncio.shield(asyncio.wrap_future(pace))
    note = f'<p data-hold-s="{found.hold_s:g}">{escape(found.note)}</p>'
    return gr.update(value=note, visible=bool(found.note))


def _player(engine: Engine) -> gr.HTML:
    return gr.HTML(
        html_template=_file("player.html").replace(
            live_buttons.PLACEHOLDER, live_buttons.build_live_buttons()
        ),
        js_on_load=_file("load.js"),
        apply_default_css=False,
        elem_id="player",
        sample_rate=engine.params.sample_rate,
        channels=engine.channels,
        names=escape(json.dumps(NAMES), quote=True),
    )


def _connect(player: gr.HTML, form: Form, share: gr.Button) -> None:
    """Connect the form to the player in the browser; the player tells the server."""
    controls = _controls(form)
    texts = [control for control in controls if isinstance(control, gr.Textbox)]
    others = [control for control in controls if control not in texts]
    player.play(None, controls, None, js="(...values) => window.riffusionPlayer?.play?.(values)")
    share.click(None, controls, None, js="(...values) => window.riffusionPlayer?.share?.(values)")
    changed = "(...values) => window.riffusionPlayer?.change?.(values)"
    typed = f"(...values) => window.riffusionPlayer?.changeText?.(values, {TYPING_MS})"
    gr.on([control.change for control in others], None, controls, None, js=changed)
    gr.on([text.change for text in texts], None, controls, None, js=typed)
    gr.on([text.submit for text in texts], None, controls, None, js=changed)
    gr.on([text.blur for text in texts], None, controls, None, js=changed)
    for name in live_buttons.TOGGLES:
        # The player's button asks for this.
        player.input(None, form[name], form[name], js="on => !on")
    form["position"].input(None, None, form["path"], js="() => 'manual'")


def _controls(form: Form) -> Sequence[Any]:
    return [form[name] for name in NAMES]


def _file(name: str) -> str:
    return (PLAYER_FILES / name).read_text(encoding="utf-8")
