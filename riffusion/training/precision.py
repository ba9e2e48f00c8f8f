"""The precision in which training computes: bfloat16 where that is faster, else float32."""

from __future__ import annotations

import torch

from riffusion.networks.precision import is_bfloat16_faster


def choose_autocast(device: str) -> torch.autocast:
    """Return autocast to bfloat16 where that is faster on a device type, else one that is off."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=is_bfloat16_faster(device))
