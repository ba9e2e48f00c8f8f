"""Matrix products in 8 bits on processors, which read a quarter of the weights for each product.

Weights have a scale for each row, inputs one for each product, measured as it is made ("dynamic
quantisation"). Of the ways that were compared (docs/benchmarks.md) this one is part of PyTorch.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import nn

LARGEST = 127
# Inputs get 7 of the 8 bits, as in PyTorch's own dynamically quantised layers: with 8, products
# overflow on x86 processors that have no instructions for them.
REDUCE_RANGE = True


def is_available() -> bool:
    """Return whether this build of PyTorch multiplies in 8 bits on this processor."""
    has_products = hasattr(torch, "quantize_per_channel")
    return has_products and torch.backends.quantized.engine != "none"


class Int8Linear(nn.Module):
    """``nn.Linear`` whose product is in 8 bits. It takes and returns float32."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(1) / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
        zeros = torch.zeros(len(weight), dtype=torch.long)
        with warnings.catch_warnings():
            # PyTorch will replace its quantised tensors; until then these products need one.
            warnings.simplefilter("ignore", UserWarning)
            quantized = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
        bias = None if linear.bias is None else linear.bias.detach().float()
        self._packed = torch.ops.quantized.linear_prepack(quantized, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product (..., outputs) of ``x`` (..., inputs)."""
        product: torch.Tensor = torch.ops.quantized.linear_dynamic(x, self._packed, REDUCE_RANGE)
        return product


def quantize_linears(module: nn.Module, names: Sequence[str]) -> None:
    """Replace the linear layers of these names in ``module`` by 8-bit ones."""
    for name in names:
        setattr(module, name, Int8Linear(getattr(module, name)))
