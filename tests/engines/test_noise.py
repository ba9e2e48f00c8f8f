"""Noise belongs to the places of a loop, comes back turned, and stays Gaussian."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.blending import blend_noise, blend_prompts
from riffusion.engines.clip import ClipRequest, Prompt, WeightedPrompt
from riffusion.engines.noise import MAX_SEED, SHARED, LoopNoise, NoisePlace, derive_seed, draw_noise
from riffusion.errors import InvalidInput
from riffusion.music.walk import sum_at_unit_length

SHAPE = (2, 16, 512)
SEEDS = st.integers(0, MAX_SEED)


def similarity(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


@given(SEEDS, st.lists(st.integers(-1000, 1000), max_size=3))
def test_derived_seeds_are_seeds(seed: int, numbers: list[int]) -> None:
    assert 0 <= derive_seed(seed, *numbers) <= MAX_SEED


def one_place(place: int, turn: float, first_frame: int = 0, at: int = 0) -> LoopNoise:
    """The noise of one place of a loop, in a clip that begins at frame ``at``."""
    return LoopNoise((NoisePlace(first_frame, place, turn),), at, turn)


@given(st.integers(1, 400), st.integers(0, 300), st.floats(0, 5))
def test_a_clip_has_the_same_noise_wherever_it_lies_in_its_window(
    at: int, cut: int, turn: float
) -> None:
    whole = draw_noise(7, SHAPE, one_place(3, turn))
    places = (NoisePlace(-9, 1), NoisePlace(at, 3, turn))
    later = draw_noise(7, SHAPE, LoopNoise(places, at, turn))
    earlier = draw_noise(7, SHAPE, one_place(3, turn, -cut, -cut))
    assert torch.equal(later[..., at:], whole[..., : 512 - at])
    assert torch.equal(earlier[..., : 512 - cut], whole[..., cut:])


@pytest.mark.parametrize("frames_per_column", [1, 8])
def test_places_change_on_their_columns(frames_per_column: int) -> None:
    shape = (4, 64, 64)
    bars = (NoisePlace(0, 0), NoisePlace(24 * frames_per_column, 1))
    apart = 64 * frames_per_column  # no clip begins in the window
    both = draw_noise(1, shape, LoopNoise(bars, apart), frames_per_column)
    first, second = (
        draw_noise(1, shape, one_place(n, 0.0, 0, apart), frames_per_column) for n in (0, 1)
    )
    assert torch.equal(both[..., :24], first[..., :24])
    assert torch.equal(both[..., 24:], second[..., :-24])
    assert abs(similarity(first, second)) < 0.05


def test_clips_of_a_loop_have_a_part_of_their_noise_in_common() -> None:
    first, second = (draw_noise(1, SHAPE, one_place(n, 0.5)) for n in (0, 1))
    assert similarity(first, second) == pytest.approx(SHARED, abs=0.05)
    before_the_clip = draw_noise(1, SHAPE, one_place(1, 0.5, 0, 100))
    assert abs(similarity(first[..., :100], before_the_clip[..., :100])) < 0.05


def test_noise_does_not_repeat_within_a_window() -> None:
    places = tuple(NoisePlace(128 * n, n) for n in range(4))
    noise = draw_noise(1, SHAPE, LoopNoise(places))
    bars = noise.split(128, dim=-1)
    pairs = [similarity(a, b) for n, a in enumerate(bars) for b in bars[:n]]
    assert max(map(abs, pairs)) < 0.07


@given(st.floats(0, 0.99), st.floats(0.01, 1))
def test_noise_turns_by_the_angle_and_stays_gaussian(turn: float, more: float) -> None:
    more = min(more, 1 - turn)
    before, after = (draw_noise(3, SHAPE, one_place(0, t)) for t in (turn, turn + more))
    assert similarity(before, after) == pytest.approx(math.cos(more * math.pi / 2), abs=0.05)
    assert float(after.std()) == pytest.approx(1, abs=0.05)


def test_a_whole_turn_is_fresh_noise() -> None:
    turns = [draw_noise(3, SHAPE, one_place(0, turn)) for turn in range(3)]
    assert max(abs(similarity(turns[0], other)) for other in turns[1:]) < 0.05


def test_another_draw_of_the_same_place_is_other_noise() -> None:
    draws = [draw_noise(3, SHAPE, one_place(0, 0.0), number=number) for number in range(2)]
    assert abs(similarity(*draws)) < 0.05


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=6), st.floats(0, 1))
def test_noise_of_many_prompts_stays_as_long_as_gaussian_noise(
    weights: list[float], alpha: float
) -> None:
    others = tuple(WeightedPrompt(Prompt("x", n), w) for n, w in enumerate(weights, 10))
    request = ClipRequest(Prompt("a", 1), Prompt("b", 2), alpha, others=others)
    noise = blend_noise(request, lambda seed: draw_noise(seed, SHAPE))
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
    loudest = max(others, key=lambda other: other.weight)
    expected = loudest.weight / math.sqrt(1 + sum(w * w for w in weights))
    own = draw_noise(loudest.prompt.seed, SHAPE)
    assert similarity(noise, own) == pytest.approx(expected, abs=0.05)


def test_the_sum_of_one_noise_with_itself_is_itself() -> None:
    noise = draw_noise(1, SHAPE)
    assert torch.allclose(sum_at_unit_length([noise, noise], [1, 0.3]), noise, atol=1e-5)


def test_texts_of_many_prompts_are_their_weighted_mean() -> None:
    vectors = {"a": torch.tensor([1.0, 0]), "b": torch.tensor([0, 1.0]), "c": torch.ones(2)}
    others = (WeightedPrompt(Prompt("c"), 3.0),)
    request = ClipRequest(Prompt("a"), Prompt("b"), 0.25, others=others)
    blended = blend_prompts(request, lambda prompt: vectors[prompt.text])
    assert torch.allclose(blended, torch.tensor([(0.75 + 3) / 4, (0.25 + 3) / 4]))


def test_bad_prompts_and_places_are_refused_in_words() -> None:
    bells = Prompt("bells")
    with pytest.raises(InvalidInput, match=r"weight of a prompt.*over 0"):
        WeightedPrompt(bells, 0.0)
    with pytest.raises(InvalidInput, match=r"9 prompts.*at most 8"):
        ClipRequest(bells, bells, others=(WeightedPrompt(bells),) * 7)
    for places in ((), (NoisePlace(4, 0),)):
        with pytest.raises(InvalidInput, match=r"noise.*frame 0"):
            LoopNoise(places)
