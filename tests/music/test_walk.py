"""Interpolation laws and the schedule of a walk."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riffusion.music.walk import (
    WalkMode,
    distance_after,
    lerp,
    position_at,
    slerp,
)

alphas = st.floats(0, 1)
seeds = st.integers(0, 2**32 - 1)


def noise(seed: int, shape: tuple[int, ...] = (2, 16, 8)) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def on_sphere(seed: int) -> torch.Tensor:
    vector = noise(seed)
    return vector * (math.sqrt(vector.numel()) / float(vector.norm()))


@given(seeds, seeds, alphas)
def test_slerp_keeps_the_length_of_vectors_of_one_length(a: int, b: int, alpha: float) -> None:
    start, end = on_sphere(a), on_sphere(b)
    assert float(slerp(start, end, alpha).norm()) == pytest.approx(float(start.norm()), rel=1e-4)


@given(seeds, seeds)
def test_both_interpolations_are_exact_at_their_ends(a: int, b: int) -> None:
    start, end = noise(a), noise(b)
    for between in (lerp, slerp):
        assert torch.equal(between(start, end, 0.0), start)
        assert torch.allclose(between(start, end, 1.0), end, atol=1e-6)


@given(seeds, seeds, alphas)
def test_walking_back_passes_the_same_points(a: int, b: int, alpha: float) -> None:
    start, end = noise(a), noise(b)
    for between in (lerp, slerp):
        there, back = between(start, end, alpha), between(end, start, 1 - alpha)
        assert torch.allclose(there, back, atol=1e-5)


@given(seeds, seeds)
def test_slerp_moves_at_a_steady_angle(a: int, b: int) -> None:
    start, end = on_sphere(a), on_sphere(b if b != a else b ^ 1)
    middle = slerp(start, end, 0.5)
    to_start = torch.nn.functional.cosine_similarity(start.flatten(), middle.flatten(), dim=0)
    to_end = torch.nn.functional.cosine_similarity(end.flatten(), middle.flatten(), dim=0)
    assert float(to_start) == pytest.approx(float(to_end), abs=1e-4)


@given(seeds, alphas, st.floats(-1e-3, 1e-3))
def test_slerp_is_a_line_between_nearly_parallel_vectors(
    seed: int, alpha: float, nudge: float
) -> None:
    start = noise(seed)
    end = start * (1 + nudge)
    assert torch.equal(slerp(start, end, alpha), lerp(start, end, alpha))
    assert torch.equal(slerp(start, -end, alpha), lerp(start, -end, alpha))


@given(alphas)
def test_slerp_from_silence_is_finite(alpha: float) -> None:
    nothing, something = torch.zeros(8), torch.ones(8)
    assert torch.equal(slerp(nothing, something, alpha), something * alpha)


def test_slerp_is_the_formula_of_the_original() -> None:
    start, end = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    angle = 0.25 * math.pi / 2
    expected = torch.tensor([math.cos(angle), math.sin(angle)])
    assert torch.allclose(slerp(start, end, 0.25), expected, atol=1e-7)


@given(st.floats(0, 1000))
def test_ping_pong_is_a_triangle(distance: float) -> None:
    alpha = position_at("ping-pong", distance)
    assert 0 <= alpha <= 1
    assert alpha == pytest.approx(position_at("ping-pong", distance + 2), abs=1e-9)
    assert alpha == pytest.approx(1 - position_at("ping-pong", distance + 1), abs=1e-9)


def test_ping_pong_and_once_bar_by_bar() -> None:
    def walk(path: WalkMode) -> list[float]:
        return [position_at(path, distance_after(path, 0.0, bar, 4)) for bar in range(10)]

    assert walk("ping-pong") == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0, 0.25]
    assert walk("once") == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1]


@given(st.sampled_from(["hold", "manual"]), alphas, st.integers(0, 10**6), st.integers(1, 64))
def test_hold_and_manual_stand_still(
    path: WalkMode, start: float, bars: int, walk_bars: int
) -> None:
    assert position_at(path, distance_after(path, start, bars, walk_bars)) == start
