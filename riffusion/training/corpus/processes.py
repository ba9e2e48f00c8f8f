"""Jobs in several processes, whose results come as they are ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_in_processes(
    workers: int, work: Callable[..., Result], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[Result]:
    """Call ``work`` with each of ``arguments`` in ``workers`` processes; yield what it returns.

    Results come in the order in which they are ready. Exceptions of ``work`` are raised here.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(work, *each) for each in arguments]
        for job in as_completed(jobs):
            yield job.result()
