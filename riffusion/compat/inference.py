"""The original Riffusion's request for a clip, and its translation into a ClipRequest.

The fields are those of InferenceInput and PromptInput in its server, web app and playground.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.anchors import Anchor, anchor_sound, find_anchor, fit_sound
from riffusion.jam.masks import Mask, fit_mask, named_mask
from riffusion.spectral.spectrogram import Spectrogram
from riffusion.spectral.tags import ImageInfo

DEFAULT_SEED_IMAGE = "og_beat"


class PromptInput(BaseModel):
    """One end of a walk between two prompts."""

    model_config = ConfigDict(strict=True, frozen=True)

    prompt: str = Field(description="What to play", examples=["church bells on sunday"])
    seed: int = Field(description="Which noise to start from", examples=[42])
    negative_prompt: str | None = Field(default=None, description="What not to play")
    denoising: float = Field(default=0.75, description="0 keeps the seed image, 1 ignores it")
    guidance: float = Field(default=7.0, description="How closely to follow the prompt, 0 to 30")


class InferenceInput(BaseModel):
    """A clip on the walk from ``start`` to ``end``. Fields that are not listed are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)

    alpha: float = Field(description="0 is all start, 1 is all end", examples=[0.75])
    num_inference_steps: int = Field(default=50, description="Steps: more are finer and slower")
    seed_image_id: str = Field(
        default=DEFAULT_SEED_IMAGE, description="The clip to start from: see /api/anchors"
    )
    mask_image_id: str | None = Field(
        default=None, description="Which part of it to repaint: see /api/masks"
    )
    start: PromptInput
    end: PromptInput

    def info(self, engine: str) -> ImageInfo:
        """Return the tags of the clip's image; ``engine`` is the name of the engine."""
        return ImageInfo(
            prompt_a=self.start.prompt,
            prompt_b=self.end.prompt,
            seed_a=self.start.seed,
            seed_b=self.end.seed,
            alpha=self.alpha,
            engine=engine,
        )


def resolve_clip_request(inputs: InferenceInput, engine: Engine) -> ClipRequest:
    """Translate a request, looking up its seed image and mask by name.

    The clip also gets the tempo and the harmony of the seed image. Raises InvalidInput for an
    unknown name or a field out of range.
    """
    anchor = find_anchor(inputs.seed_image_id)
    mask = fit_mask(named_mask(inputs.mask_image_id), engine) if inputs.mask_image_id else None
    request = to_clip_request(inputs, fit_sound(anchor_sound(anchor), engine), mask)
    return match_anchor_timing(request, anchor, engine)


def to_clip_request(
    inputs: InferenceInput, anchor: Spectrogram | None = None, mask: Mask | None = None
) -> ClipRequest:
    """Translate a request whose anchor and mask are already loaded.

    Denoising and guidance are interpolated linearly between the ends, as in the original. Raises
    InvalidInput that names the field of the original's request.
    """
    start, end = inputs.start, inputs.end
    _check_ends(inputs)
    return ClipRequest(
        start=Prompt(start.prompt, start.seed, start.negative_prompt or ""),
        end=Prompt(end.prompt, end.seed, end.negative_prompt or ""),
        alpha=inputs.alpha,
        anchor=anchor,
        strength=start.denoising if anchor else 1.0,
        end_strength=end.denoising if anchor else None,
        mask=mask,
        guidance=start.guidance,
        end_guidance=end.guidance,
        steps=inputs.num_inference_steps,
    )


def match_anchor_timing(request: ClipRequest, anchor: Anchor, engine: Engine) -> ClipRequest:
    """Return ``request`` with the tempo and the harmony of an anchor of the library."""
    return replace(request, bpm=anchor.bpm, lead_sheet=anchor.lead_sheet(engine))


def _check_ends(inputs: InferenceInput) -> None:
    """Raise InvalidInput for a field out of range, by its name in the original's request."""
    if not 0 <= inputs.alpha <= 1:
        raise InvalidInput("alpha", inputs.alpha, "use a number from 0 (start) to 1 (end)")
    for name, end in (("start", inputs.start), ("end", inputs.end)):
        if not 0 <= end.denoising <= 1:
            hint = "use a number from 0 to 1"
            raise InvalidInput(f"{name}.denoising", end.denoising, hint)
        if not 0 <= end.guidance <= 30:
            raise InvalidInput(f"{name}.guidance", end.guidance, "use a number from 0 to 30")
