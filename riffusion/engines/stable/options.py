"""Which Stable Diffusion checkpoint is to be run and how: frozen data, nothing loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from riffusion.errors import InvalidInput

Scheduler = Literal["dpm++", "unipc", "ddim", "pndm", "euler", "lcm", "tcd"]
SCHEDULERS: tuple[Scheduler, ...] = get_args(Scheduler)
Precision = Literal["auto", "float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FRAMES = 512
MIN_FRAMES, MAX_FRAMES = 64, 2048
FRAME_STEP = 8  # pixels of an image to one of its latent
MAX_WEIGHT = 4
MAX_AT_ONCE = 64


@dataclass(frozen=True)
class Lora:
    """A low-rank change to a checkpoint. ``model``: a .safetensors file, or a hub id."""

    model: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not abs(self.weight) <= MAX_WEIGHT:
            legal = f"use a number from -{MAX_WEIGHT} to {MAX_WEIGHT}, usually 1"
            raise InvalidInput("LoRA weight", self.weight, legal)


@dataclass(frozen=True)
class StableOptions:
    """What a checkpoint is run with.

    ``scheduler`` None is the checkpoint's own. ``loras`` are added up. ``frames`` is the length of
    a window, 512 as the original's (5.11 s) or up to 2048. ``precision`` "auto" is half precision
    on CUDA, single elsewhere. ``pickles`` allows weights that are not safetensors. ``batch`` is how
    many clips are drawn at once, where as many are asked for that take the same steps: faster on
    GPUs, but the last digits of a clip may then depend on what else was asked for.
    """

    scheduler: Scheduler | None = None
    loras: tuple[Lora, ...] = ()
    frames: int = FRAMES
    precision: Precision = "auto"
    pickles: bool = False
    batch: int = 1

    def __post_init__(self) -> None:
        if self.scheduler is not None and self.scheduler not in SCHEDULERS:
            raise InvalidInput("scheduler", self.scheduler, f"use {', '.join(SCHEDULERS)}")
        if self.precision not in PRECISIONS:
            raise InvalidInput("precision", self.precision, f"use {', '.join(PRECISIONS)}")
        if self.frames % FRAME_STEP or not MIN_FRAMES <= self.frames <= MAX_FRAMES:
            legal = f"use a multiple of {FRAME_STEP} from {MIN_FRAMES} to {MAX_FRAMES}"
            raise InvalidInput("frames", self.frames, legal)
        if not 1 <= self.batch <= MAX_AT_ONCE:
            raise InvalidInput("batch", self.batch, f"use a whole number from 1 to {MAX_AT_ONCE}")


def is_hub_id(model: str) -> bool:
    """Whether ``model`` has the form owner/name and is nothing on this disk."""
    return HUB_ID.fullmatch(model) is not None and not Path(model).exists()
