"""Parallel guidance: both evaluations of a guided step at once, each on half of the CPU cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from riffusion.networks.threads import sharing_cores

T = TypeVar("T")
EVALUATIONS = 2


class ParallelGuidance:
    """Two threads that share the cores of the thread that creates them."""

    def __init__(self) -> None:
        self._threads = sharing_cores(EVALUATIONS, "evaluation")

    @staticmethod
    def is_available() -> bool:
        """Return whether this thread has a core for each evaluation."""
        return torch.get_num_threads() >= EVALUATIONS

    def __call__(self, evaluate: Callable[[int], T]) -> list[T]:
        """Return ``[evaluate(0), evaluate(1)]``, computed at once and without gradients.

        An error of either call is raised here.
        """
        task = torch.inference_mode()(evaluate)
        running = [thread.submit(task, index) for index, thread in enumerate(self._threads)]
        return [evaluation.result() for evaluation in running]
