"""Options of Stable Diffusion checkpoints, as frozen data. Importing them loads no library."""

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
# The pixels of an image that one latent covers in each direction.
FRAME_STEP = 8
MAX_WEIGHT = 4
MAX_BATCH = 64


@dataclass(frozen=True)
class Lora:
    """A low-rank adaptation of a checkpoint's weights.

    Parameters
    ----------
    model : str
        A .safetensors file, or the hub id ("owner/name") of a repository that has exactly one.
    weight : float
        The factor of the adaptation, from -4 to 4.

    Raises
    ------
    InvalidInput
        When the weight is out of range.

    Examples
    --------
    >>> import riffusion
    >>> riffusion.Lora("style.safetensors", weight=0.8)
    Lora(model='style.safetensors', weight=0.8)
    """

    model: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not abs(self.weight) <= MAX_WEIGHT:
            hint = f"use a number from -{MAX_WEIGHT} to {MAX_WEIGHT}, usually 1"
            raise InvalidInput("LoRA weight", self.weight, hint)


@dataclass(frozen=True)
class StableOptions:
    """Options say how a Stable Diffusion checkpoint is run.

    Parameters
    ----------
    scheduler : str or None
        "dpm++", "unipc", "ddim", "pndm", "euler", "lcm" or "tcd". None is the checkpoint's own.
    loras : tuple of Lora
        The adaptations to add to the weights.
    frames : int
        The length of a window in frames of 10 ms, a multiple of 8 from 64 to 2048. The original's
        is 512 (5.11 s).
    precision : str
        "float32", "bfloat16", "float16", or "auto": half precision on CUDA and single elsewhere.
    pickles : bool
        Accept weights that are not safetensors. Opening those can run any program hidden in them.
    batch : int
        The number of clips to draw at once, 1 to 64, from requests that take the same steps. More
        is faster on GPUs, but the last digits of a clip may then depend on the other requests.

    Raises
    ------
    InvalidInput
        When a value is not one of the above.

    Examples
    --------
    >>> import riffusion
    >>> options = riffusion.StableOptions(
    ...     scheduler="lcm", loras=(riffusion.Lora("owner/lcm-lora"),), frames=1024
    ... )
    >>> riffusion.load_engine("riffusion/riffusion-model-v1", options=options)  # doctest: +SKIP
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
            hint = f"use a multiple of {FRAME_STEP} from {MIN_FRAMES} to {MAX_FRAMES}"
            raise InvalidInput("frames", self.frames, hint)
        if not 1 <= self.batch <= MAX_BATCH:
            raise InvalidInput("batch", self.batch, f"use a whole number from 1 to {MAX_BATCH}")


def is_hub_id(model: str) -> bool:
    """Return whether ``model`` has the form owner/name and is no path on this disk."""
    return HUB_ID.fullmatch(model) is not None and not Path(model).exists()
