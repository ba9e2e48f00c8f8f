"""Parallel guidance runs two evaluations at once, each on its half of the cores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest
import torch

from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.compact.parallel_guidance import ParallelGuidance
from riffusion.engines.loading import load_engine

CORES = 4


@pytest.fixture
def cores() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    yield CORES
    torch.set_num_threads(before)


def cores_of_a_new_thread() -> int:
    found: list[int] = []
    thread = Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def test_each_evaluation_has_half_of_the_cores_and_nothing_else_has_fewer(cores: int) -> None:
    evaluations = ParallelGuidance()
    assert evaluations(lambda index: torch.get_num_threads()) == [cores // 2, cores // 2]
    assert torch.get_num_threads() == cores
    assert cores_of_a_new_thread() == cores
    assert evaluations(lambda index: torch.get_num_threads()) == [cores // 2, cores // 2]


def test_both_evaluations_run_at_once(cores: int) -> None:
    meeting = Barrier(2)
    assert sorted(ParallelGuidance()(lambda index: meeting.wait(timeout=30))) == [0, 1]


def test_results_come_in_order_without_gradients(cores: int) -> None:
    weight = torch.ones(1, requires_grad=True)
    results = ParallelGuidance()(lambda index: weight * index)
    assert [float(result) for result in results] == [0.0, 1.0]
    assert not any(result.requires_grad for result in results)


def test_an_error_of_either_evaluation_reaches_the_caller(cores: int) -> None:
    def evaluate(index: int) -> float:
        return 1.0 / index

    with pytest.raises(ZeroDivisionError):
        ParallelGuidance()(evaluate)


def test_it_needs_a_core_for_each_evaluation(cores: int) -> None:
    assert ParallelGuidance.is_available()
    torch.set_num_threads(1)
    assert not ParallelGuidance.is_available()


def test_a_clip_is_the_same_however_many_cores_there_are(
    cores: int, tiny_model_folder: Path
) -> None:
    request = ClipRequest(Prompt("church bells", 1), Prompt("beats", 2), alpha=0.3, steps=3)
    clips = []
    for number in (1, 2, cores):
        torch.set_num_threads(number)
        clips.append(load_engine(str(tiny_model_folder), "cpu").generate([request])[0].magnitudes)
    for clip in clips[1:]:
        assert torch.allclose(clip.log10(), clips[0].log10(), atol=1e-4)
