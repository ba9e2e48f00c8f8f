"""The controls of the prompts: A and B in full, and a row for each further one."""

from __future__ import annotations

import gradio as gr

from riffusion.jam.prompt_settings import FIRST_LETTERS, LETTERS
from riffusion.jam.schema import BY_NAME
from riffusion.serving.controls import Form, build_control, build_seed

MORE_HINT = (
    "<p class='riff-fine'>The walk visits up to eight prompts in the order of their letters; "
    "another row comes when the last one has a text. A negative prompt says what to keep away "
    "from. The weight says how much of a prompt is heard beside others, and 0 leaves it out.</p>"
)
MIN_NEGATIVE_WIDTH = 140
MIN_TEXT_WIDTH = 260
MIN_WEIGHT_WIDTH = 175
MIN_SEED_ROW_WIDTH = 260
MIN_DETAILS_WIDTH = 300


def build_prompts() -> Form:
    """Lay out all prompts where the page is being built."""
    form: Form = {}
    with gr.Row(equal_height=True):
        for letter in FIRST_LETTERS:
            form |= _build_first(letter)
    with gr.Accordion("More prompts", open=False, elem_id="prompts"):
        gr.HTML(MORE_HINT, apply_default_css=False)
        with gr.Row(equal_height=True):
            for letter in FIRST_LETTERS:
                with gr.Column(min_width=MIN_DETAILS_WIDTH), gr.Row(equal_height=True):
                    form |= _build_details(letter)
        for letter in LETTERS[len(FIRST_LETTERS) :]:
            form |= _build_further(letter)
    return form


def _build_first(letter: str) -> Form:
    """Lay out a prompt above its seed."""
    prompt = BY_NAME[f"prompt_{letter}"]
    with gr.Group():
        form = {prompt.wire_name: build_control(prompt, max_lines=3)}
        return {**form, **build_seed(BY_NAME[f"seed_{letter}"])}


def _build_further(letter: str) -> Form:
    """Lay out a further prompt and all that belongs to it in one row.

    The page hides the row while the one above it has no text.
    """
    prompt = BY_NAME[f"prompt_{letter}"]
    with gr.Row(equal_height=True, elem_classes="riff-prompt"):
        text = build_control(
            prompt,
            info=None,
            scale=2,
            min_width=MIN_TEXT_WIDTH,
            placeholder="Another music to walk to",
            elem_classes="riff-prompt-text",
        )
        form = {prompt.wire_name: text, **_build_details(letter)}
        with gr.Column(scale=2, min_width=MIN_SEED_ROW_WIDTH):
            return {**form, **build_seed(BY_NAME[f"seed_{letter}"])}


def _build_details(letter: str) -> Form:
    """Lay out the negative prompt and the weight of a prompt."""
    negative, weight = BY_NAME[f"negative_{letter}"], BY_NAME[f"weight_{letter}"]
    return {
        negative.wire_name: build_control(
            negative, info=None, scale=2, min_width=MIN_NEGATIVE_WIDTH
        ),
        weight.wire_name: build_control(weight, info=None, min_width=MIN_WEIGHT_WIDTH),
    }
