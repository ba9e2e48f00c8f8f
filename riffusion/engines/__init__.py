"""Engines turn prompts into spectrograms. ``load_engine`` is the one place that chooses."""

from __future__ import annotations

from pathlib import Path

from riffusion.engines.base import Engine
from riffusion.errors import InvalidInput, ModelError

SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "model"


def load_engine(model: str | None = None, device: str = "auto") -> Engine:
    """Load the shipped engine, or another one from a folder.

    ``device`` is "auto", "cpu", "cuda" or "mps". Raises ModelError where weights are missing or
    damaged, InvalidInput for an unknown device.
    """
    from riffusion.engines.compact import CompactEngine

    folder = Path(model) if model else SHIPPED
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"there is no model in {folder}: a model folder has a config.json and weights in "
            "safetensors. Fetch the whole repository, or name another folder with --model."
        )
    return CompactEngine.load(folder, _device(device))


def _device(name: str) -> str:
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
