"""Low-rank changes of a network's weights, kept in a small file beside the weights themselves.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021. A changed matrix is stored as
two thin ones; changes of vectors are stored as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from riffusion.errors import ModelError

DOWN, UP, DIFFERENCE = ".lora_A", ".lora_B", ".diff"
Weights = Mapping[str, torch.Tensor]


def factorise(before: Weights, after: Weights, rank: int) -> dict[str, torch.Tensor]:
    """Return the change from ``before`` to ``after`` in half precision, as ``save_change`` keeps it.

    Matrices are cut to their ``rank`` largest singular values, which is the nearest matrix of that
    rank (Eckart and Young, 1936).
    """
    change: dict[str, torch.Tensor] = {}
    for name, weights in after.items():
        difference = (weights - before[name]).float()
        if difference.ndim == 2 and min(difference.shape) > rank:
            left, sizes, right = torch.linalg.svd(difference, full_matrices=False)
            roots = sizes[:rank].sqrt()
            change[name + UP] = left[:, :rank] * roots
            change[name + DOWN] = roots[:, None] * right[:rank]
        else:
            change[name + DIFFERENCE] = difference
    return {name: value.half().contiguous() for name, value in change.items()}


def save_change(change: Weights, path: Path) -> None:
    """Write a change of weights as safetensors."""
    save_file(dict(change), path, {"format": "pt"})


def load_change(path: Path) -> dict[str, torch.Tensor]:
    """Read a change of weights. Raises ModelError where the file is missing or damaged."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"the weights in {path} are damaged: fetch the folder again") from error


def apply_change(network: nn.Module, change: Weights) -> None:
    """Add a change to the weights of ``network``. Raises ModelError where it does not fit."""
    weights = network.state_dict()
    try:
        with torch.no_grad():
            for key, value in change.items():
                name, _, part = key.rpartition(".")
                if f".{part}" == UP:
                    weights[name] += value.float() @ change[name + DOWN].float()
                elif f".{part}" == DIFFERENCE:
                    weights[name] += value.float()
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"this change of weights belongs to another network: {error}") from error
