"""Threads that share the processor's cores.

Split over all cores, as PyTorch does it, small tensors make the cores wait for each other after
each of thousands of calls. On two cores that took as long as one core alone: two threads, each
with a core of its own, do not wait for each other.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch


def sharing_cores(threads: int, name: str) -> list[ThreadPoolExecutor]:
    """So many threads, begun, each with its share of the cores of the thread that asks."""
    cores = torch.get_num_threads()
    share = max(1, cores // threads)
    begun = [ThreadPoolExecutor(1, name, _use_cores, (share,)) for _ in range(threads)]
    for thread in begun:
        thread.submit(int).result()
    # To PyTorch the number is that of the thread which sets it, but also that of threads which
    # begin after it.
    torch.set_num_threads(cores)
    return begun


def _use_cores(cores: int) -> None:
    torch.get_num_threads()  # which sets the number of a new thread to that of all, the first time
    torch.set_num_threads(cores)
