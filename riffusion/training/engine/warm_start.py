"""Starts a run with the weights of an earlier model, also of another mel scale or a mono one.

Weights of the same shape are copied. The first and the last layer, which touch the image, are
interpolated to the new mel bands. A mono model becomes the loudness channel of a stereo one.
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
from riffusion.networks.weights import read_config, read_network
from riffusion.spectral.log_mel import ImageScale
from riffusion.spectral.spectrogram import SpectrogramParams, band_centres_hz
from riffusion.training.corpus.shards import CHANNELS

NEW_LAYER = ".own_modulation."
# The axis of each layer that runs over the image.
IMAGE_LAYERS = {"embed.weight": 1, "draw.weight": 0, "draw.bias": 0}


def read_scale(folder: Path) -> ImageScale | None:
    """Return the image scale of the model in ``folder``, for a run that starts from it.

    Returns None for a mono model, which has no balance. Raises ModelError where there is no model.
    """
    try:
        config = read_config(folder)
        names = ("mean", "std", "balance_std")
        return ImageScale(*(config[n] for n in names)) if config["channels"] == CHANNELS else None
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"there is no model to start from in {folder}: {error}") from error


def warm_start(network: SpectrogramTransformer, folder: Path) -> None:
    """Load the weights in ``folder`` into ``network``.

    Raises ModelError where there are none, or they do not fit.
    """
    try:
        earlier = read_network(SpectrogramTransformer, folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"there is no model to start from in {folder}: {error}") from error
    weights = earlier.state_dict()
    current = network.state_dict()
    for name, axis in IMAGE_LAYERS.items():
        weights[name] = _interpolate_bands(weights[name], axis, earlier.config, network.config)
    for name in current:
        if NEW_LAYER in name:  # it starts as zero, so a model without it gives the same output
            weights.setdefault(name, current[name])
    differing = [n for n in current if n not in weights or weights[n].shape != current[n].shape]
    if differing:
        raise ModelError(
            f"the model in {folder} has another width, depth or patch (see {differing[0]}): "
            "train with the same ones, or leave out --start-from"
        )
    network.load_state_dict(weights)


def _interpolate_bands(weights: torch.Tensor, axis: int, before: Any, after: Any) -> torch.Tensor:
    """Return weights on the mel bands of ``after`` instead of those of ``before``.

    ``axis`` runs over (frames of a patch, channels, bands).
    """
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
