"""Two evaluations of a small network at once, each on its half of the processor's cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from riffusion.networks.threads import sharing_cores

T = TypeVar("T")
SIDES = 2


class ParallelGuidance:
    """Two threads that share the cores of the thread that makes it."""

    def __init__(self) -> None:
        self._threads = sharing_cores(SIDES, "evaluation")

    @staticmethod
    def pays() -> bool:
        """Whether there is a core for each side."""
        return torch.get_num_threads() >= SIDES

    def __call__(self, evaluate: Callable[[int], T]) -> list[T]:
        """``evaluate`` of 0 and 1, without gradients."""
        task = torch.inference_mode()(evaluate)
        sides = [thread.submit(task, side) for side, thread in enumerate(self._threads)]
        return [side.result() for side in sides]
