"""The sampler's steps from noise to image, against paths with a known solution."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.compact.sampler import Denoised, advance, guidance_at, schedule

LAST = 0.8


def shrunk(steps: int) -> float:
    """Integrate from 1 to time ``LAST`` where the denoised image is always half of the image."""
    image, before = torch.ones(1, dtype=torch.float64), None
    for now, following in pairwise([LAST * n / steps for n in range(steps + 1)]):
        denoised = Denoised(now, image / 2)
        image = advance(image, denoised, following, before)
        before = denoised
    return float(image)


def test_half_the_step_makes_a_quarter_of_the_error() -> None:
    # dx/dt = (x / 2 - x) / (1 - t) from x(0) = 1 is the root of 1 - t.
    errors = [abs(shrunk(steps) - (1 - LAST) ** 0.5) for steps in (40, 80, 160)]
    assert errors[0] < 1e-3
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(4, abs=0.5)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.05, 0.4), st.floats(0.5, 0.95))
def test_a_denoised_image_that_changes_linearly_is_followed_exactly(
    level: float, slope: float, now: float, following: float
) -> None:
    # level + slope (1 + (1 - t) log(1 - t)) solves dx/dt = (level + slope t - x) / (1 - t).
    def exact(time: float) -> torch.Tensor:
        rest = torch.tensor(1 - time, dtype=torch.float64)
        return level + slope * (1 + rest * rest.log())

    def denoise(time: float) -> Denoised:
        return Denoised(time, torch.tensor(level + slope * time, dtype=torch.float64))

    image = advance(exact(now), denoise(now), following, denoise(0.0))
    assert float(image) == pytest.approx(float(exact(following)), abs=1e-9)


@given(st.floats(0, 0.9), st.booleans())
def test_the_last_step_ends_on_the_denoised_image(now: float, first: bool) -> None:
    clean = torch.randn(3, generator=torch.Generator().manual_seed(0))
    before = None if first else Denoised(now - 0.1, torch.ones(3))
    assert torch.equal(advance(torch.zeros(3), Denoised(now, clean), 1.0, before), clean)


@given(st.integers(1, 100), st.floats(0, 0.99))
def test_the_times_rise_from_the_start_to_the_end(steps: int, start: float) -> None:
    times = schedule(steps, start)
    assert times[0] == pytest.approx(start)
    assert times[-1] == pytest.approx(1.0)
    assert all(now < following for now, following in pairwise(times))


@given(st.floats(0, 30), st.floats(0, 1))
def test_guidance_is_at_most_one_and_a_half_in_the_last_twentieth(
    scale: float, time: float
) -> None:
    assert guidance_at(scale, time) == (scale if time < 0.95 else min(scale, 1.5))
