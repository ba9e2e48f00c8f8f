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
    tensors = load_file(folder / SAFETENSORS_WEIGHTS_NAME)
    scales = {name: tensors.pop(name) for name in list(tensors) if name.endswith(SCALE)}
    for name, scale in scales.items():
        matrix = name.removesuffix(SCALE)
        if matrix in tensors:
            tensors[matrix] = tensors[matrix].float() * scale
    # The mixin's own methods would import the rest of diffusers.
    nn.Module.load_state_dict(network, tensors)
    return nn.Module.eval(network)


def write_network(network: ModelMixin, folder: Path) -> None:
    """Write config.json and safetensors in half precision to ``folder``.

    The matrices inside blocks, most of a network, are written in 8 bits with a scale for each row:
    Dettmers et al., "LLM.int8()", NeurIPS 2022, section 2.1, rows by their largest number.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name, value in nn.Module.state_dict(network).items():
        if "blocks." in name and value.ndim == 2:
            scale = (value.float().abs().amax(1, keepdim=True) / LARGEST).clamp(min=SMALLEST)
            tensors[name] = (value / scale).round().to(torch.int8)
            tensors[name + SCALE] = scale
        else:
            tensors[name] = value.half()
    untyped: Any = network
    untyped.save_config(folder)
    contiguous = {name: value.contiguous().cpu() for name, value in tensors.items()}
    save_file(contiguous, folder / SAFETENSORS_WEIGHTS_NAME, {"format": "pt"})
