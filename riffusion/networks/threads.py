"""Threads that share the processor's cores.

PyTorch splits each operation over all cores. With small tensors the cores then wait for each other
after each of thousands of calls; on two cores that took as long as on one core. Two threads, each
with a core of its own, do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")


def sharing_cores(threads: int, name: str) -> list[ThreadPoolExecutor]:
    """Start ``threads`` executors of one thread, each with its share of the caller's cores."""
    cores = torch.get_num_threads()
    share = max(1, cores // threads)
    begun = [ThreadPoolExecutor(1, name, _use_cores, (share,)) for _ in range(threads)]
    for thread in begun:
        thread.submit(int).result()
    # PyTorch keeps the number for the thread that sets it, and for threads that start later.
    torch.set_num_threads(cores)
    return begun


@contextmanager
def on_one_core() -> Iterator[None]:
    """Let operations of this thread run on one core inside the block.

    Sums come out in another order on several cores, and so with other bits.
    """
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(cores)


def each_on_one_core(items: Iterator[T]) -> Iterator[T]:
    """Yield the same items, each of which is made on one core."""
    while True:
        with on_one_core():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


def _use_cores(cores: int) -> None:
    """Let operations of this thread run on ``cores`` cores."""
    # The first call in a thread sets its number to the default, which must not come later.
    torch.get_num_threads()
    torch.set_num_threads(cores)
