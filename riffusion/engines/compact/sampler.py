"""The sampler: second-order steps of flow matching from noise to a clean image.

Time runs from 0 (noise) to 1 (clean). Each step costs one denoised image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

# The schedule spends more of its steps where the image is still mostly noise.
TIME_SHIFT = 2.0
# Few steps are so many, spaced nearly evenly: the last one draws all of the detail, and draws it
# the sharper the shorter it is. A first step after an anchor is no shorter than the shortest.
FEW_STEPS, FEW_STEPS_SHIFT = 4, 1.25
SHORTEST_STEP = 0.05
# Strong guidance in the last steps burns the image in and adds nothing to how the prompt is
# followed.
LAST_GUIDED = 0.95
WEAK_GUIDANCE = 1.5


@dataclass(frozen=True)
class Denoised:
    """The network's prediction of the clean image at a time from 0 (noise) to 1 (clean)."""

    time: float
    clean: torch.Tensor


@dataclass(frozen=True)
class Sampler:
    """The ``times`` of the steps from noise to a clean image, and what denoises at each of them.

    ``denoise`` returns the clean image (channels, mel, frames) of a noisy one at a time. Steps of
    ``second_order`` also look at the one before.
    """

    times: Sequence[float]
    denoise: Callable[[torch.Tensor, float], torch.Tensor]
    second_order: bool


def schedule(steps: int, start: float, shift: float = TIME_SHIFT) -> list[float]:
    """Return the ``steps + 1`` times from ``start`` to 1, closer together near the noise.

    A start at 1 takes no step and returns [1.0].
    """
    if start >= 1:
        return [1.0]
    even = np.linspace(0.0, 1.0, steps + 1)
    shifted = even / (even + (1 - even) * shift)
    return [float(start + (1 - start) * time) for time in shifted]


def few_steps(start: float) -> list[float]:
    """Return the times of a student of few steps from ``start`` to 1.

    They are always the same ones, those after ``start``, since the student knows from the time
    alone how far its step goes. A start at 1 takes no step and returns [1.0].
    """
    if start >= 1:
        return [1.0]
    between = schedule(FEW_STEPS, 0.0, FEW_STEPS_SHIFT)[1:-1]
    return [start, *(time for time in between if time > start + SHORTEST_STEP), 1.0]


def guidance_at(scale: float, time: float) -> float:
    """Return the guidance scale of a step at ``time``: at most 1.5 from time 0.95 on."""
    return scale if time < LAST_GUIDED else min(scale, WEAK_GUIDANCE)


def advance(
    image: torch.Tensor, now: Denoised, following: float, before: Denoised | None
) -> torch.Tensor:
    """Return the image at time ``following`` on the path dx/dt = (clean - x) / (1 - t).

    The step is exact where the denoised image changes linearly in time, which this and the one
    before tell: an exponential Adams-Bashforth step (Hochbruck and Ostermann, "Exponential
    integrators", 2010), as DPM-Solver++ (Lu et al., 2022) is. It is linear in time instead of in
    the logarithm of the signal-to-noise ratio, because that has no beginning at time 0. The first
    step (``before`` None) is of first order, and so is the last, which ends on the denoised image.
    """
    noise, left = 1 - now.time, 1 - following
    share = left / noise
    moved = share * image + (1 - share) * now.clean
    if before is None or left <= 0:
        return moved
    slope = (now.clean - before.clean) / (now.time - before.time)
    return moved + (noise - left - left * math.log(noise / left)) * slope
