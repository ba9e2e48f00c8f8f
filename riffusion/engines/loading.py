"""Loading engines: ``load_engine`` is the one place that chooses between the kinds."""

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
    """Load the shipped engine, or another one from a folder or the Hugging Face hub.

    A folder with a ``config.json`` holds an engine of the shipped kind, one with a
    ``model_index.json`` a Stable Diffusion checkpoint.

    Parameters
    ----------
    model : str or None
        A folder, or a checkpoint's hub id ("owner/name"), downloaded once. None is the shipped one.
    device : str
        "auto" (the fastest one of this machine), "cpu", "cuda" or "mps".
    options : StableOptions or None
        How a Stable Diffusion checkpoint is run. Engines of the shipped kind know precision, but
        for float16, and batch.

    Returns
    -------
    Engine
        The engine, ready to generate.

    Raises
    ------
    ModelError
        When weights are missing, damaged or of another kind.
    InvalidInput
        When the device is unknown, or an engine of the shipped kind does not know an option.

    Examples
    --------
    >>> import riffusion
    >>> engine = riffusion.load_engine(device="cpu")
    >>> bells = riffusion.Prompt("church bells", seed=1)
    >>> (clip,) = engine.generate([riffusion.ClipRequest(bells, bells, bpm=100, steps=1)])
    >>> clip.magnitudes.shape
    torch.Size([2, 128, 512])
    """
    folder = Path(model) if model else SHIPPED
    if (folder / "config.json").is_file():
        return _load_compact(folder, device, options)
    is_checkpoint = (folder / "model_index.json").is_file()
    if model is None or not (is_checkpoint or is_hub_id(model)):
        raise ModelError(
            f"there is no model in {folder}: a model folder has a config.json and weights in "
            "safetensors, a Stable Diffusion checkpoint a model_index.json. Fetch the whole "
            "repository, or name another folder or a hub id (owner/name) with --model."
        )
    return _load_checkpoint(model, device, options or StableOptions())


def _load_compact(folder: Path, device: str, options: StableOptions | None) -> Engine:
    """Load an engine of the shipped kind, which knows two of the options.

    Raises InvalidInput where there are others.
    """
    options = options or StableOptions()
    precision, batch = options.precision, options.batch
    if options != StableOptions(precision=precision, batch=batch) or precision == "float16":
        hint = f"those are for Stable Diffusion checkpoints, and {folder} holds none"
        raise InvalidInput("options", options, hint)
    from riffusion.engines.compact.engine import CompactEngine

    return CompactEngine.load(folder, choose_device(device), precision, batch)


def _load_checkpoint(model: str, device: str, options: StableOptions) -> Engine:
    """Load a Stable Diffusion checkpoint from a folder or a hub id."""
    from riffusion.engines.stable.engine import StableEngine
    from riffusion.engines.stable.loading import load_stable

    device = choose_device(device)
    return StableEngine(load_stable(model, options, device), options, device)


def choose_device(name: str = "auto") -> str:
    """Return the device called ``name``, or the fastest one of this machine for "auto".

    Raises InvalidInput for a device that this machine does not have.
    """
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
