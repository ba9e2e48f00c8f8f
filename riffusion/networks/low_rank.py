"""Low-rank changes of a network's weights: trained apart from the weights, kept beside them.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021. The change of a large matrix
is the product of two thin ones; smaller matrices and vectors change as a whole. Files hold the
matrices in 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrize

from riffusion.errors import ModelError
from riffusion.networks.weights import pack_rows, unpack_rows

DOWN, UP, DIFFERENCE = ".lora_A", ".lora_B", ".diff"
Change = Mapping[str, torch.Tensor]


class LowRankSum(nn.Module):
    """The parametrization of a weight (outputs, inputs) as itself and a product of low rank.

    The product is zero at first.
    """

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        self.up = nn.Parameter(weight.new_zeros(outputs, rank))
        self.down = nn.Parameter(torch.randn(rank, inputs).to(weight) * inputs**-0.5)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the changed weight."""
        return weight + self.up @ self.down


def train_low_rank(network: nn.Module, rank: int) -> None:
    """Let the large matrices of ``network`` change by products of ``rank`` alone."""
    for module in list(network.modules()):
        if isinstance(module, nn.Linear) and min(module.weight.shape) > rank:
            module.weight.requires_grad_(False)
            parametrize.register_parametrization(
                module, "weight", LowRankSum(module.weight.detach(), rank)
            )


def read_change(network: nn.Module, before: nn.Module) -> dict[str, torch.Tensor]:
    """Return how ``network``, after ``train_low_rank``, differs from ``before``."""
    products = dict(_products(network))
    change = {name + UP: product.up.detach() for name, product in products.items()}
    change |= {name + DOWN: product.down.detach() for name, product in products.items()}
    weights = network.state_dict()
    for name, value in before.state_dict().items():
        if name not in products:
            change[name + DIFFERENCE] = weights[name] - value
    return change


def write_change(network: nn.Module, change: Change) -> None:
    """Continue training of ``network``, after ``train_low_rank``, from a change.

    Raises ModelError where it is that of another network or rank.
    """
    products, weights = dict(_products(network)), network.state_dict()
    try:
        with torch.no_grad():
            for name, product in products.items():
                product.up.copy_(change[name + UP])
                product.down.copy_(change[name + DOWN])
            for name in weights:
                if name + DIFFERENCE in change:
                    weights[name] += change[name + DIFFERENCE]
    except (KeyError, RuntimeError) as error:
        raise ModelError(
            f"the change of weights to start from is of another network or rank: {error}"
        ) from error


def apply_change(network: nn.Module, change: Change) -> None:
    """Add a change to the weights of ``network``. Raises ModelError where it does not fit."""
    weights = network.state_dict()
    try:
        with torch.no_grad():
            for key, value in change.items():
                name, _, part = key.rpartition(".")
                if f".{part}" == UP:
                    weights[name] += value @ change[name + DOWN]
                elif f".{part}" == DIFFERENCE:
                    weights[name] += value
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"the change of weights is of another network: {error}") from error


def save_change(change: Change, path: Path) -> None:
    """Write a change of weights as safetensors, its matrices in 8 bits."""
    packed: dict[str, torch.Tensor] = {}
    for name, value in change.items():
        packed |= pack_rows(name, value) if value.ndim == 2 else {name: value.half()}
    save_file({name: value.contiguous() for name, value in packed.items()}, path, {"format": "pt"})


def load_change(path: Path) -> dict[str, torch.Tensor]:
    """Read a change of weights. Raises ModelError where the file is missing or damaged."""
    try:
        return {name: value.float() for name, value in unpack_rows(load_file(path)).items()}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"the weights in {path} are damaged: fetch the folder again") from error


def _products(network: nn.Module) -> Iterator[tuple[str, LowRankSum]]:
    """Yield the name of each weight that changes by a product, and the product."""
    for name, module in network.named_modules():
        if isinstance(module, LowRankSum):
            # "a.b.parametrizations.weight.0" is the change of "a.b.weight".
            yield name.replace("parametrizations.", "").removesuffix(".0"), module
