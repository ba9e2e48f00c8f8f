"""Networks read from and written to folders: config.json, and a file of safetensors beside it.

The format and its names are those of diffusers' ``ModelMixin``, which this replaces: importing it
takes 2.6 s of processor time and 100 MB, more than all the rest of the engine but PyTorch.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import nn

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
SCALE = ".scale"  # follows the name of an 8-bit matrix in the name of its scales
LARGEST, SMALLEST = 127, 1e-12


class StoredNetwork(nn.Module):
    """A network that a folder can hold.

    ``config`` is a frozen dataclass, whose fields are the keyword arguments of the class.
    """

    config: Any


Network = TypeVar("Network", bound=StoredNetwork)


def read_config(folder: Path) -> dict[str, Any]:
    """Return the fields of the network in ``folder``, without those that say who wrote them.

    Raises OSError where the file is missing and ValueError where it is damaged.
    """
    fields = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    if not isinstance(fields, dict):
        raise ValueError(f"{CONFIG_FILE} is no object of fields")
    return {name: value for name, value in fields.items() if not name.startswith("_")}


def read_network(kind: type[Network], folder: Path) -> Network:
    """Return a network of ``kind`` in float32 from the folder that it was saved to.

    ``write_network`` writes such folders, and diffusers does. Raises OSError, ValueError,
    RuntimeError or SafetensorError where it is missing or damaged.
    """
    try:
        network = kind(**read_config(folder))
    except TypeError as error:
        raise ValueError(f"{CONFIG_FILE} is of another network: {error}") from error
    network.load_state_dict(unpack_rows(load_file(folder / WEIGHTS_FILE)))
    return network.eval()


def write_network(network: StoredNetwork, folder: Path, *, exact: bool = False) -> None:
    """Write config.json and safetensors to ``folder``.

    ``exact`` writes the weights as they are. Otherwise they are written in half precision, and the
    matrices inside blocks, most of a network, in 8 bits.
    """
    weights = network.state_dict()
    if not exact:
        weights = _compress(weights)
    config = {"_class_name": type(network).__name__, **asdict(network.config)}
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / CONFIG_FILE).write_text(content, encoding="utf-8")
    contiguous = {name: value.contiguous().cpu() for name, value in weights.items()}
    save_file(contiguous, folder / WEIGHTS_FILE, {"format": "pt"})


def _compress(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the same weights in half precision or in 8 bits."""
    small: dict[str, torch.Tensor] = {}
    for name, value in weights.items():
        if "blocks." in name and value.ndim == 2:
            small |= pack_rows(name, value)
        else:
            small[name] = value.half()
    return small


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
