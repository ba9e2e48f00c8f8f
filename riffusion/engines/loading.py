"""Engines turn prompts into spectrograms. ``load_engine`` is the one place that chooses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from riffusion.engines.stable.options import StableOptions, is_hub_id
from riffusion.errors import InvalidInput, ModelError

if TYPE_CHECKING:
    from riffusion.engines.protocol import Engine

SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "model"


def load_engine(
    model: str | None = None, device: str = "auto", options: StableOptions | None = None
) -> Engine:
    """Load the shipped engine, or another one from a folder or a hub id.

    A folder with a config.json holds an engine of the shipped kind, one with a model_index.json a
    Stable Diffusion checkpoint, and "owner/name" is fetched from the Hugging Face hub once.
    ``options`` are for checkpoints only. ``device`` is "auto", "cpu", "cuda" or "mps". Raises
    ModelError where weights are missing, damaged or of another kind, InvalidInput for an unknown
    device.
    """
    folder = Path(model) if model else SHIPPED
    if (folder / "config.json").is_file():
        if options is not None:
            legal = f"those are for Stable Diffusion checkpoints, and {folder} holds none"
            raise InvalidInput("options", options, legal)
        from riffusion.engines.compact.engine import CompactEngine

        return CompactEngine.load(folder, usable_device(device))
    is_checkpoint = (folder / "model_index.json").is_file()
    if model is None or not (is_checkpoint or is_hub_id(model)):
        raise ModelError(
            f"there is no model in {folder}: a model folder has a config.json and weights in "
            "safetensors, a Stable Diffusion checkpoint a model_index.json. Fetch the whole "
            "repository, or name another folder or a hub id (owner/name) with --model."
        )
    from riffusion.engines.stable.engine import StableEngine
    from riffusion.engines.stable.loading import load_stable

    options, device = options or StableOptions(), usable_device(device)
    return StableEngine(load_stable(model, options, device), options, device)


def usable_device(name: str = "auto") -> str:
    """The device called ``name``, or the fastest one here. Raises InvalidInput for an unknown."""
    import torch

    usable = ["cpu"]
    if torch.cuda.is_available():
        usable.insert(0, "cuda")
    if torch.backends.mps.is_available():
        usable.insert(0, "mps")
    if name == "auto":
        return usable[0]
    if name not in usable:
        raise InvalidInput("device", name, f"use auto or one of {', '.join(usable)}")
    return name
