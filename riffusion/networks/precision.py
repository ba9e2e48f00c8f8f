"""Whether the processor multiplies bfloat16 faster than float32."""

from __future__ import annotations

import time
from functools import cache

import torch

SIZE, TRIES = 512, 20


def is_bfloat16_faster(device: str) -> bool:
    """Return whether a device type multiplies bfloat16 faster than float32."""
    return device != "cpu" or _is_faster_on_cpu()


@cache
def _is_faster_on_cpu() -> bool:
    """Measure it, since no public call tells.

    Processors without matrix tiles multiply bfloat16 at half the speed of float32, others at
    several times.
    """
    return _measure_product_s(torch.bfloat16) < _measure_product_s(torch.float32)


def _measure_product_s(precision: torch.dtype) -> float:
    """Return the shortest time, in seconds, of several products of square matrices."""
    matrix = torch.ones(SIZE, SIZE, dtype=precision)
    times = []
    for _ in range(TRIES):
        begin = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - begin)
    return min(times)
