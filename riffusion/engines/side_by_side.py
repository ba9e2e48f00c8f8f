"""Two evaluations of a small network at once, each on its half of the processor's cores.

Split over all cores, as PyTorch does it, a small network makes its cores wait for each other
after each of thousands of calls. On two cores that took as long as one core alone.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

T = TypeVar("T")
SIDES = 2


class SideBySide:
    """Two threads that share the cores of the thread that makes it."""

    def __init__(self) -> None:
        cores = torch.get_num_threads()
        half = max(1, cores // SIDES)
        self._threads = ThreadPoolExecutor(SIDES, "evaluation", _use_cores, (half,))
        # Both have begun before the number is put back: to PyTorch it is that of the thread which
        # sets it, but also that of threads which begin after it.
        begun = Barrier(SIDES + 1)
        for _ in range(SIDES):
            self._threads.submit(begun.wait)
        begun.wait()
        torch.set_num_threads(cores)

    @staticmethod
    def pays() -> bool:
        """Whether there is a core for each side."""
        return torch.get_num_threads() >= SIDES

    def __call__(self, evaluate: Callable[[int], T]) -> list[T]:
        """``evaluate`` of 0 and 1, without gradients."""
        return list(self._threads.map(torch.inference_mode()(evaluate), range(SIDES)))


def _use_cores(cores: int) -> None:
    torch.get_num_threads()  # which sets the number of a new thread to that of all, the first time
    torch.set_num_threads(cores)
