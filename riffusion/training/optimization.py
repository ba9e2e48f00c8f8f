"""Training runs share this: learning rate, optimizers, average and the check of losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from riffusion.errors import ModelError
from riffusion.networks.precision import is_bfloat16_faster

WARMUP_STEPS = 100
DECAY_FROM = 0.6
MIN_RATE = 0.01


def learning_rate(step: int, spent: float) -> float:
    """Return the factor of the learning rate: a short warm-up, a flat part and a linear decay.

    ``spent`` is the share of the time budget that is used, from 0 to 1.
    """
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    left = (1 - spent) / (1 - DECAY_FROM)
    return warm * max(MIN_RATE, min(1.0, left))


def set_learning_rate(optimizers: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def check_losses(losses: float | npt.NDArray[np.float64], step: int) -> None:
    """Raise ModelError where a loss is not finite, before anything of the run is saved.

    torch.compile of 2.13 with bfloat16 was seen to make gradients of trained weights no numbers.
    """
    if not np.isfinite(losses).all():
        raise ModelError(
            f"the losses are no numbers any more after {step} steps, so the run stops and its last "
            "checkpoint stays as it is: go on from there with --no-compile, or begin in another "
            "folder with a lower --rate"
        )


def make_optimizers(network: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside blocks and AdamW for all other parameters.

    Muon is from Jordan et al., 2024. It multiplies matrices in bfloat16, so that processors which
    are slow at bfloat16 get AdamW for both: there a step of the vocoder took Muon six seconds on
    two cores, where all else takes one.
    """
    device = next(network.parameters()).device.type
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        is_matrix = "blocks." in name and parameter.ndim == 2 and "modulation" not in name
        (matrices if is_matrix else others).append(parameter)
    if is_bfloat16_faster(device):
        first: torch.optim.Optimizer = torch.optim.Muon(
            matrices, lr=rate, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        )
    else:
        first = _make_adam(matrices, rate)
    return [first, _make_adam(others, rate)]


def _make_adam(parameters: list[nn.Parameter], rate: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.95), weight_decay=0.01)


def take_step(
    network: nn.Module, optimizers: Sequence[torch.optim.Optimizer], loss: torch.Tensor
) -> None:
    """Change the parameters of ``network`` against the gradient of ``loss``, clipped to norm 1."""
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the exponential moving average of the parameters towards those of ``network``."""
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
