"""Networks read from and written to folders, without diffusers' downloads and adapters.

``ModelMixin.from_pretrained`` takes a second and 90 MB for imports that these folders never need.
The format is the same: config.json, and a file of safetensors beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.constants import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file, save_file
from torch import nn

Network = TypeVar("Network", bound=ModelMixin)

SCALE = ".scale"  # follows the name of an 8-bit matrix in the name of its scales
LARGEST, SMALLEST = 127, 1e-12


def read_network(kind: type[Network], folder: Path) -> Network:
    """Return a network of ``kind`` in float32 from the folder that it was saved to.

    ``save_pretrained`` and ``write_network`` write such folders. Raises OSError, ValueError,
    RuntimeError or SafetensorError where it is missing or damaged.
    """
    untyped: Any = kind
    network: Network = untyped.from_config(untyped.load_config(folder, local_files_only=True))
    tensors = unpack_rows(load_file(folder / SAFETENSORS_WEIGHTS_NAME))
    # The mixin's own methods would import the rest of diffusers.
    nn.Module.load_state_dict(network, tensors)
    return nn.Module.eval(network)


def write_network(network: ModelMixin, folder: Path) -> None:
    """Write config.json and safetensors in half precision to ``folder``.

    The matrices inside blocks, most of a network, are written in 8 bits.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name, value in nn.Module.state_dict(network).items():
        if "blocks." in name and value.ndim == 2:
            tensors |= pack_rows(name, value)
        else:
            tensors[name] = value.half()
    untyped: Any = network
    untyped.save_config(folder)
    contiguous = {name: value.contiguous().cpu() for name, value in tensors.items()}
    save_file(contiguous, folder / SAFETENSORS_WEIGHTS_NAME, {"format": "pt"})


def pack_rows(name: str, matrix: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return a matrix in 8 bits and the scales of its rows, each by its name in a file.

    Dettmers et al., "LLM.int8()", NeurIPS 2022, section 2.1, rows by their largest number.
    """
    scale = (matrix.float().abs().amax(1, keepdim=True) / LARGEST).clamp(min=SMALLEST)
    return {name: (matrix / scale).round().to(torch.int8), name + SCALE: scale}


def unpack_rows(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors of a file with those in 8 bits as float32."""
    unpacked = {name: value for name, value in tensors.items() if not name.endswith(SCALE)}
    for name, scale in tensors.items():
        if name.endswith(SCALE) and (matrix := name.removesuffix(SCALE)) in unpacked:
            unpacked[matrix] = unpacked[matrix].float() * scale
    return unpacked
