"""Begin a run with the weights of an earlier model, also one of another mel scale or mono.

What has the same shape is copied. The first and the last layer, which touch the image, are moved
band by band to the new mel scale; a mono model becomes the loudness of a stereo one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.network import SpectrogramTransformer
from riffusion.errors import ModelError
from riffusion.networks.weights import read_network
from riffusion.spectral.log_mel import ImageScale
from riffusion.spectral.spectrogram import SpectrogramParams, band_centres_hz
from riffusion.training.corpus.shards import CHANNELS

NEW_LAYER = ".own_modulation."
IMAGE_LAYERS = {"embed.weight": 1, "draw.weight": 0, "draw.bias": 0}  # where the image's axis is


def scale_of(folder: Path) -> ImageScale | None:
    """The scale of a model's images, for a run that goes on from it, whatever its songs are like.

    None for a mono model, which knows none of the balance. Raises ModelError without a model.
    """
    try:
        config = SpectrogramTransformer.load_config(folder, local_files_only=True)
        names = ("mean", "std", "balance_std")
        return ImageScale(*(config[n] for n in names)) if config["channels"] == CHANNELS else None
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"there is no model to start from in {folder}: {error}") from error


def start_from(network: SpectrogramTransformer, folder: Path) -> None:
    """Load the weights in ``folder`` into ``network``. Raises ModelError where they don't fit."""
    try:
        earlier = read_network(SpectrogramTransformer, folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"there is no model to start from in {folder}: {error}") from error
    weights = earlier.state_dict()
    current = network.state_dict()
    for name, axis in IMAGE_LAYERS.items():
        weights[name] = _moved(weights[name], axis, earlier.config, network.config)
    for name in current:
        if NEW_LAYER in name:  # it begins as nothing, so a model without it stays what it was
            weights.setdefault(name, current[name])
    differing = [n for n in current if n not in weights or weights[n].shape != current[n].shape]
    if differing:
        raise ModelError(
            f"the model in {folder} has another width, depth or patch (see {differing[0]}): "
            "train with the same ones, or leave out --start-from"
        )
    network.load_state_dict(weights)


def _moved(weights: torch.Tensor, axis: int, before: Any, after: Any) -> torch.Tensor:
    """Weights whose ``axis`` runs over (frames of a patch, channels, bands), on the new grid."""
    last = weights.movedim(axis, -1)
    source = last.reshape(*last.shape[:-1], -1, before.channels, before.mel_bands)
    places = np.interp(
        band_centres_hz(_params(after)),
        band_centres_hz(_params(before)),
        np.arange(before.mel_bands),
    )
    low = torch.from_numpy(np.floor(places).astype(np.int64))
    high = (low + 1).clamp(max=before.mel_bands - 1)
    share = torch.from_numpy(places - np.floor(places)).to(source)
    moved = source[..., low] * (1 - share) + source[..., high] * share
    missing = max(0, after.channels - before.channels)
    moved = torch.nn.functional.pad(moved, (0, 0, 0, missing))
    return moved.flatten(-3).movedim(-1, axis)


def _params(config: Any) -> SpectrogramParams:
    return replace(COMPACT_PARAMS, max_hz=config.max_hz, mel_bands=config.mel_bands)
