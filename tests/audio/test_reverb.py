"""A small room as a link of the master: off it changes no bit, on it rings out in every cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.effects.effect import Samples, Signal
from riffusion.audio.effects.reverb import DECAY_S, GLIDE_S, TAIL_S, Reverb
from riffusion.audio.mastering import MasterState, change_effects, master, start_master
from riffusion.errors import InvalidInput

RATE = 44100


def noise(samples: int, channels: int = 2, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((channels, samples)) * 0.1).astype(np.float32)


def start_with(amount: float, channels: int = 2) -> MasterState:
    """Return a master whose reverb has that amount from the start of the track."""
    return change_effects(start_master(channels), {"reverb": amount}, 0)


def added(reverb: Reverb, samples: Samples) -> tuple[Reverb, Samples]:
    """The reverb after ``samples``, and what it adds to them."""
    reverb, signal = reverb.process(Signal.at_unity(samples, 2))
    return reverb, signal.samples - samples


def level_db(samples: Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))) + 1e-30))


def hit(seconds: float, channels: int = 2) -> Samples:
    samples = np.zeros((channels, round(seconds * RATE)), np.float32)
    samples[:, 0] = 1.0
    return samples


def in_blocks(state: MasterState, samples: Samples, sizes: list[int]) -> Samples:
    pieces = []
    for block in np.split(samples, np.cumsum(sizes), axis=1):
        state, ready = master(state, block)
        pieces.append(ready)
    return np.concatenate(pieces, axis=1)


def test_off_it_changes_no_bit() -> None:
    samples = noise(3 * RATE)
    reverb, signal = Reverb.start(RATE, 0.0).process(Signal.at_unity(samples, 2))
    assert np.array_equal(signal.samples.view(np.int32), samples.view(np.int32))
    assert reverb.position == samples.shape[1]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 2),
    st.lists(st.integers(0, 3000), max_size=12),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 12_000),
)
def test_stream_equals_batch_through_a_change(
    channels: int, sizes: list[int], before: float, after: float, line: int
) -> None:
    samples = noise(12_000, channels)
    start = start_with(before, channels)
    start = change_effects(start, {"reverb": after}, line)
    assert np.array_equal(in_blocks(start, samples, sizes), master(start, samples)[1])


@pytest.mark.parametrize("block", [353, 4410, 100_000])
def test_a_tail_ends_in_any_cut_and_the_room_can_sound_again(block: int) -> None:
    samples = np.concatenate([noise(RATE), np.zeros((2, round(TAIL_S * RATE)), np.float32)], axis=1)
    samples = np.concatenate([samples, noise(2 * RATE, seed=1)], axis=1)
    start = start_with(0.5)
    start = change_effects(change_effects(start, {"reverb": 0.0}, RATE // 2), {"reverb": 0.0}, RATE)
    sizes = [block] * (samples.shape[1] // block)
    assert np.array_equal(in_blocks(start, samples, sizes), master(start, samples)[1])
    reverb = Reverb.start(RATE, 0.5).change({"reverb": 0.0}, RATE // 2)
    reverb, _ = added(reverb, samples)
    assert reverb.lines is None
    _, wet = added(reverb.change({"reverb": 1.0}, reverb.position), noise(RATE))
    assert wet.any()


def test_a_state_can_be_gone_back_to() -> None:
    state, _ = master(start_with(0.4), noise(RATE))
    _, expected = master(state, noise(RATE, seed=1))
    master(change_effects(state, {"reverb": 1.0}, RATE), noise(RATE, seed=2))
    assert np.array_equal(master(state, noise(RATE, seed=1))[1], expected)


def test_it_falls_by_60_db_in_its_decay_time() -> None:
    _, wet = added(Reverb.start(RATE, 1.0), hit(2))
    levels = [level_db(wet[:, n : n + 2205]) for n in range(2205, 2 * RATE - 2205, 2205)]
    early, late = levels[0], levels[round(DECAY_S / 0.05)]
    assert -75 < late - early < -50
    assert max(np.diff(levels)) < 3


def test_it_is_wide_and_keeps_channels_alike_in_level() -> None:
    _, wet = added(Reverb.start(RATE, 1.0), hit(1))
    assert abs(np.corrcoef(wet)[0, 1]) < 0.2
    assert abs(level_db(wet[:1]) - level_db(wet[1:])) < 1
    _, mono = added(Reverb.start(RATE, 1.0), hit(1, channels=1))
    assert mono.shape[0] == 1
    assert level_db(mono) == pytest.approx(level_db(wet), abs=6)


def test_more_is_louder_and_one_is_nearly_as_loud_as_the_music() -> None:
    samples = noise(3 * RATE)
    levels = [level_db(added(Reverb.start(RATE, a), samples)[1]) for a in (0.25, 0.5, 1.0)]
    assert levels[0] + 5 < levels[1] < levels[2] - 5
    assert -8 < levels[2] - level_db(samples) < 0


def test_a_change_begins_at_its_sample_and_glides() -> None:
    tone = np.sin(np.arange(2 * RATE) * 2 * np.pi * 440 / RATE).astype(np.float32)[None] * 0.3
    _, wet = added(Reverb.start(RATE, 0.0).change({"reverb": 1.0}, RATE), tone)
    assert not wet[:, :RATE].any()
    assert wet[:, RATE : RATE + 2000].any()
    # A click would be a step; what a tone of 440 Hz adds moves slowly.
    assert np.abs(np.diff(wet)).max() < 0.05


def test_after_a_change_to_off_the_room_rings_out() -> None:
    off = round(GLIDE_S * RATE)
    _, wet = added(Reverb.start(RATE, 1.0).change({"reverb": 0.0}, RATE), noise(6 * RATE))
    ringing = level_db(wet[:, RATE + off : RATE + off + 2205])
    assert ringing > level_db(wet[:, RATE - 2205 : RATE]) - 12
    assert not wet[:, RATE + off + round((TAIL_S + 0.1) * RATE) :].any()


@pytest.mark.parametrize("amount", [-0.1, 1.5, float("nan")])
def test_an_odd_amount_is_refused(amount: float) -> None:
    with pytest.raises(InvalidInput, match="from 0 \\(off\\) to 1"):
        Reverb.start(RATE, amount)
    with pytest.raises(InvalidInput, match="reverb"):
        change_effects(start_master(2), {"reverb": amount}, 0)
