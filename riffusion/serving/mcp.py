"""The API for gradio_client and MCP: the same clips and songs, as functions with help.

Gradio reads the signature, the annotations and the docstring of each function, and tells agents
what they say.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

import gradio as gr
from gradio.events import api as offer
from pydantic import BaseModel, ValidationError

from riffusion.compat.inference import InferenceInput
from riffusion.errors import RiffusionError
from riffusion.serving.api import Api
from riffusion.serving.data_urls import data_url
from riffusion.serving.requests import ClipApiRequest
from riffusion.serving.songs import PlanRequest, SongRequest

Tool = Callable[..., Any]

CLIP_HELP = """Make a clip of music of a prompt.

Parameters:
    {parameters}

Returns:
    image (PNG) and audio (WAV) as data URLs, duration_s, sample_rate and engine.
"""
# Programs may give these in this order without their names; all others follow.
CLIP_ORDER = ("prompt", "seed", "bpm", "key", "anchor", "strength", "steps")


class SongResponse(BaseModel):
    """A whole song as a data URL."""

    audio: str


def add_tools(page: gr.Blocks, api: Api) -> None:
    """Add the functions below to ``page``: under /gradio_api, and as tools over MCP."""
    tools = (
        _inference_tool(api),
        _clip_tool(api.clips.make_clip),
        _plan_tool(api),
        _song_tool(api),
        _anchors_tool(api),
    )
    with page:
        for tool in tools:
            offer(tool, api_name=tool.__name__, concurrency_limit=None)


def _inference_tool(api: Api) -> Tool:
    async def run_inference(
        prompt_a: str,
        prompt_b: str,
        alpha: float = 0.5,
        seed_a: int = 0,
        seed_b: int = 1,
        seed_image_id: str = "og_beat",
        denoising: float = 0.75,
        guidance: float = 7.0,
        steps: int = 50,
    ) -> dict[str, Any]:
        """
        Make a clip of music on the way from one prompt to another, as the original Riffusion did.

        Parameters:
            prompt_a: What sounds at the start of the way, for example church bells.
            prompt_b: What sounds at its end.
            alpha: How far along the way, 0 to 1.
            seed_a: The noise at prompt A, a whole number.
            seed_b: The noise at prompt B.
            seed_image_id: The clip to start from, an id that list_anchors gives.
            denoising: 0 keeps that clip, 1 ignores it.
            guidance: How closely to follow the prompts, 0 to 30.
            steps: Steps of the denoiser, 1 to 100.

        Returns:
            image (JPEG) and audio (MP3) as data URLs, and duration_s.
        """
        common = {"denoising": denoising, "guidance": guidance}
        return await _answer_in_words(
            api.clips.run_inference,
            InferenceInput,
            alpha=alpha,
            num_inference_steps=steps,
            seed_image_id=seed_image_id,
            start={"prompt": prompt_a, "seed": seed_a, **common},
            end={"prompt": prompt_b, "seed": seed_b, **common},
        )

    return run_inference


def _plan_tool(api: Api) -> Tool:
    async def plan_song(
        line: str = "", minutes: float | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """
        Plan a song of sections that come back, such as verse and chorus. Nothing is played yet.

        Parameters:
            line: The song in words, for example melancholy bossa nova. Empty for any song.
            minutes: The length of the song, which wins over one in the line.
            seed: A whole number; another one gives another song of the same line.

        Returns:
            plan (YAML to edit and give to make_song), fields, duration_s and sections.
        """
        return await _answer_in_words(
            api.songs.plan, PlanRequest, line=line, minutes=minutes, seed=seed
        )

    return plan_song


def _song_tool(api: Api) -> Tool:
    async def render(order: SongRequest) -> SongResponse:
        with await api.songs.file(order.plan, "mp3") as file:
            return SongResponse(audio=data_url("audio/mpeg", file.read()))

    async def make_song(plan: str) -> dict[str, Any]:
        """
        Play a plan of a song into a file.

        This takes about half as long as the song.

        Parameters:
            plan: The text of a plan, as plan_song gives it.

        Returns:
            audio (MP3) as a data URL.
        """
        return await _answer_in_words(render, SongRequest, plan=plan)

    return make_song


def _anchors_tool(api: Api) -> Tool:
    async def list_anchors() -> list[dict[str, Any]]:
        """
        List the clips to start from: id, prompt, bpm, key, and the paths of image and audio.
        """
        return [entry.model_dump() for entry in await api.library.anchors()]

    return list_anchors


def _clip_tool(endpoint: Any) -> Tool:
    """Return ``make_clip``, whose parameters and help are those of the fields of a request."""
    names = dict.fromkeys((*CLIP_ORDER, *ClipApiRequest.model_fields))
    fields = {name: ClipApiRequest.model_fields[name] for name in names}
    parameters = [
        Parameter(
            name,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=Parameter.empty if field.is_required() else field.default,
            annotation=field.annotation,
        )
        for name, field in fields.items()
    ]
    signature = Signature(parameters, return_annotation=dict[str, Any])

    async def make_clip(*values: Any, **named_values: Any) -> dict[str, Any]:
        given = signature.bind(*values, **named_values).arguments
        return await _answer_in_words(endpoint, ClipApiRequest, **given)

    tool: Any = make_clip
    tool.__signature__ = signature
    tool.__annotations__ = {name: field.annotation for name, field in fields.items()}
    tool.__annotations__["return"] = signature.return_annotation
    helps = [f"{name}: {field.description}" for name, field in fields.items()]
    tool.__doc__ = CLIP_HELP.format(parameters="\n    ".join(helps))
    return make_clip


async def _answer_in_words(endpoint: Any, model: Any, **values: Any) -> dict[str, Any]:
    """Return what ``endpoint`` answers to ``values``; its errors become Gradio errors in words."""
    try:
        answer = await endpoint(model(**values))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise gr.Error("; ".join(problems), print_exception=False) from error
    except RiffusionError as error:
        raise gr.Error(str(error), print_exception=False) from error
    described: dict[str, Any] = answer.model_dump()
    return described
