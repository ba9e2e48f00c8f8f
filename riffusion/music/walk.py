"""The walk from prompt to prompt: interpolation of vectors, and schedules in bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch

WalkMode = Literal["ping-pong", "once", "round", "hold", "manual", "together"]
PATHS: tuple[WalkMode, ...] = get_args(WalkMode)
STANDING: tuple[WalkMode, ...] = ("hold", "manual", "together")

# Beyond this cosine the angle is too small (or too near 180 degrees) to divide by its sine.
# The original Riffusion uses the same number.
NEARLY_PARALLEL = 0.9995


def lerp(a: torch.Tensor, b: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return the linear interpolation from ``a`` to ``b``, exact at both ends."""
    return (1 - alpha) * a + alpha * b


def slerp(a: torch.Tensor, b: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return the spherical interpolation from ``a`` to ``b``, each taken as one vector.

    It keeps the length of vectors of the same length, so Gaussian noise stays Gaussian noise. It
    is ``lerp`` where the absolute cosine of the angle is over 0.9995 or one vector is zero.
    K. Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985.
    """
    cosine = _cosine(a, b)
    if not abs(cosine) <= NEARLY_PARALLEL:
        return lerp(a, b, alpha)
    angle = torch.acos(torch.tensor(cosine, dtype=torch.float64))
    weight_a = torch.sin((1 - alpha) * angle) / torch.sin(angle)
    weight_b = torch.sin(alpha * angle) / torch.sin(angle)
    return float(weight_a) * a + float(weight_b) * b


def weighted_mean(vectors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Return the mean of vectors of one shape by their weights."""
    return _weighted_sum(vectors, weights) / sum(weights)


def sum_at_unit_length(vectors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Return the weighted sum of vectors, as long as they are in the weighted mean.

    A sum of Gaussian noises so stays as loud as Gaussian noise, also where some are the same.
    """
    total = _weighted_sum(vectors, weights)
    lengths = [float(vector.double().norm()) for vector in vectors]
    mean = sum(w * length for w, length in zip(weights, lengths, strict=True)) / sum(weights)
    length = float(total.double().norm())
    return total * (mean / length) if length else total


def _weighted_sum(vectors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    return torch.stack([w * v for w, v in zip(weights, vectors, strict=True)]).sum(0)


def _cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the cosine of the angle between two tensors, NaN where one is zero."""
    wide_a, wide_b = a.detach().double().flatten(), b.detach().double().flatten()
    return float(wide_a @ wide_b / (wide_a.norm() * wide_b.norm()))


def position_at(path: WalkMode, distance: float, stops: int = 2) -> float:
    """Return the position after ``distance`` lengths of the way from one prompt to the next.

    The ``stops`` prompts lie at 0, 1 and so on. ``ping-pong`` goes to the last one, back to the
    first and so on; ``once`` reaches the last one and stays; ``round`` goes on from the last one to
    the first, so that it lies between ``stops - 1`` and ``stops``; the others stand at ``distance``
    itself.
    """
    last = max(1, stops - 1)
    if path == "ping-pong":
        return last - abs(distance % (2.0 * last) - last)
    if path == "round":
        return distance % max(1, stops)
    return min(max(distance, 0.0), last)


def distance_after(path: WalkMode, start: float, bars: float, walk_bars: int) -> float:
    """Return the distance after ``bars`` bars from ``start``; the way takes ``walk_bars`` bars."""
    if path in STANDING:
        return start
    return start + bars / walk_bars
