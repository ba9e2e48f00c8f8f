"""A request in the original's fields becomes a clip request with the same meaning."""

from __future__ import annotations

import pytest
import torch

from riffusion.compat.inference import (
    InferenceInput,
    PromptInput,
    resolve_clip_request,
    to_clip_request,
)
from riffusion.engines.clip import Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.anchors import find_anchor
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram

START = PromptInput(prompt="bells", seed=1, negative_prompt="drums", denoising=0.2, guidance=3.0)
END = PromptInput(prompt="jazz", seed=2, denoising=0.6, guidance=9.0)


def inputs(**changes: object) -> InferenceInput:
    fields = {"alpha": 0.25, "num_inference_steps": 7, "start": START, "end": END, **changes}
    return InferenceInput(**fields)  # type: ignore[arg-type]


def test_prompts_guidance_and_steps_are_translated() -> None:
    request = to_clip_request(inputs())
    assert request.start == Prompt("bells", 1, "drums")
    assert request.end == Prompt("jazz", 2)
    assert (request.alpha, request.steps) == (0.25, 7)
    assert (request.guidance, request.end_guidance) == (3.0, 9.0)


def test_denoising_is_the_strength_of_an_anchor_and_nothing_without_one() -> None:
    anchor = Spectrogram(torch.ones(1, 512, 512), RIFFUSION)
    request = to_clip_request(inputs(), anchor)
    assert request.anchor is anchor
    assert request.strength_at_alpha == pytest.approx(0.75 * 0.2 + 0.25 * 0.6)
    free = to_clip_request(inputs())
    assert (free.anchor, free.strength, free.end_strength) == (None, 1.0, None)


def test_a_seed_image_brings_its_tempo_and_harmony(tiny_engine: Engine) -> None:
    request = resolve_clip_request(
        inputs(seed_image_id="marim", mask_image_id="left_half"), tiny_engine
    )
    anchor = find_anchor("marim")
    assert request.bpm == anchor.bpm
    assert request.lead_sheet is not None
    assert request.lead_sheet.frames == tiny_engine.frames
    assert request.anchor is not None
    assert request.mask is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"start": START.model_copy(update={"denoising": -0.1})}, "start.denoising is -0.1"),
        ({"end": END.model_copy(update={"guidance": 31.0})}, "end.guidance is 31.0"),
        ({"end": END.model_copy(update={"prompt": " "})}, "prompt is ' '"),
    ],
)
def test_a_field_out_of_range_is_named_as_the_original_names_it(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        to_clip_request(inputs(**changes))
