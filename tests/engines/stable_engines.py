"""Tiny Stable Diffusion engines and requests that several files of tests use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.loading import load_engine
from riffusion.engines.stable.engine import StableEngine
from riffusion.engines.stable.image import BLACK
from riffusion.engines.stable.loading import StableModel, load_stable
from riffusion.engines.stable.options import Scheduler, StableOptions
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram

BELLS, BEATS = Prompt("church bells", 1), Prompt("electronic beats", 2)
FRAMES = 64


def short(folder: Path, scheduler: Scheduler | None = None, frames: int = FRAMES) -> StableEngine:
    engine = load_engine(str(folder), "cpu", StableOptions(scheduler=scheduler, frames=frames))
    assert isinstance(engine, StableEngine)
    return engine


def with_model(
    folder: Path, scheduler: Scheduler | None = None, batch: int = 1
) -> tuple[StableEngine, StableModel]:
    """Return an engine with short windows and its model, whose modules can be watched."""
    options = StableOptions(scheduler=scheduler, frames=FRAMES, batch=batch)
    model = load_stable(str(folder), options, "cpu")
    return StableEngine(model, options), model


def request(**changes: object) -> ClipRequest:
    return replace(ClipRequest(BELLS, BEATS, alpha=0.3, steps=3), **changes)  # type: ignore[arg-type]


def same(a: Spectrogram, b: Spectrogram) -> bool:
    return bool(torch.equal(a.magnitudes, b.magnitudes))


def anchor(frames: int = FRAMES) -> Spectrogram:
    noise = torch.rand(1, 512, frames, generator=torch.Generator().manual_seed(7))
    return Spectrogram(BLACK * noise**4, RIFFUSION)


def half_mask(frames: int = FRAMES) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a mask that repaints the second half."""
    mask = np.zeros((512, frames), np.float32)
    mask[:, frames // 2 :] = 1
    return mask


def limit_batch(model: StableModel, most: int) -> None:
    """Let the UNet run out of memory with more than ``most`` images at a time."""

    def check(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    model.unet.register_forward_pre_hook(check)
