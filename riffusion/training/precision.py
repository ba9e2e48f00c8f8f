"""In which precision a training computes: bfloat16 where that is faster, else float32."""

from __future__ import annotations

import time
from functools import cache

import torch

SIZE, TRIES = 512, 20


def fastest(device: str) -> torch.autocast:
    """Autocast to bfloat16 on a device type that gains by it, else a context that does nothing."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=halves_pay(device))


def halves_pay(device: str) -> bool:
    """Whether a device type multiplies bfloat16 faster than float32."""
    return device != "cpu" or _pays_on_cpu()


@cache
def _pays_on_cpu() -> bool:
    """Processors without matrix tiles multiply bfloat16 at half the speed of float32, others at
    several times. It is measured, since no public call tells."""
    return _multiplying_s(torch.bfloat16) < _multiplying_s(torch.float32)


def _multiplying_s(precision: torch.dtype) -> float:
    """The shortest of some products of square matrices, in seconds."""
    matrix = torch.ones(SIZE, SIZE, dtype=precision)
    times = []
    for _ in range(TRIES):
        begin = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - begin)
    return min(times)
