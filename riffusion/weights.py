"""Networks from their folders, without all that diffusers imports for downloads and adapters.

``ModelMixin.from_pretrained`` takes a second and 90 MB for what these folders never need. What it
wrote is read: config.json, and the safetensors beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.constants import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from torch import nn

Network = TypeVar("Network", bound=ModelMixin)


def read_network(kind: type[Network], folder: Path) -> Network:
    """A network of ``kind`` in float32, as ``save_pretrained`` left it in ``folder``.

    Raises OSError, ValueError, RuntimeError or SafetensorError where it is missing or damaged.
    """
    untyped: Any = kind
    network: Network = untyped.from_config(untyped.load_config(folder, local_files_only=True))
    # The mixin's own methods would import the rest of diffusers.
    nn.Module.load_state_dict(network, load_file(folder / SAFETENSORS_WEIGHTS_NAME))
    return nn.Module.eval(network)
