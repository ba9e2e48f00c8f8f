"""From noise to a clean image: the steps of flow matching, second order at one evaluation each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

TIME_SHIFT = 2.0  # more of the steps are spent where the image is still mostly noise


@dataclass(frozen=True)
class Denoised:
    """What the network took for the clean image at a time from 0 (noise) to 1 (clean)."""

    time: float
    clean: torch.Tensor


def schedule(steps: int, start: float) -> list[float]:
    """Times from ``start`` to 1, closer together near the noise; 1 alone where it starts there."""
    if start >= 1:
        return [1.0]
    even = np.linspace(0.0, 1.0, steps + 1)
    shifted = even / (even + (1 - even) * TIME_SHIFT)
    return [float(start + (1 - start) * time) for time in shifted]


def advance(
    image: torch.Tensor, now: Denoised, following: float, before: Denoised | None
) -> torch.Tensor:
    """The image at time ``following``, on the way dx/dt = (clean - x) / (1 - t).

    Exact where the estimate changes linearly in time, which two estimates tell: an exponential
    Adams-Bashforth step (Hochbruck and Ostermann, "Exponential integrators", 2010), as DPM-Solver++
    (Lu et al., 2022) is, but straight in time, because the logarithm of the signal-to-noise ratio
    that it counts in has no beginning here. The first step is of first order, and so is the last:
    it ends on the estimate.
    """
    noise, left = 1 - now.time, 1 - following
    share = left / noise
    moved = share * image + (1 - share) * now.clean
    if before is None or left <= 0:
        return moved
    slope = (now.clean - before.clean) / (now.time - before.time)
    return moved + (noise - left - left * math.log(noise / left)) * slope
