"""One gain for the whole track, and a ceiling that nothing passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.mastering import Mastering, MasterState, Samples, master, start_master

RATE = 44100
AIMS = Mastering()


def noise(seed: int, samples: int, rms: float = 0.1, channels: int = 1) -> Samples:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((channels, samples)) * rms).astype(np.float32)


def mastered(samples: Samples, state: MasterState | None = None) -> Samples:
    state = state or start_master(samples.shape[0])
    return master(state, samples)[1]


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@settings(max_examples=50)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 2),
    st.lists(st.integers(0, 5000), min_size=1, max_size=12),
)
def test_stream_equals_batch(seed: int, channels: int, sizes: list[int]) -> None:
    samples = noise(seed, sum(sizes), 0.3, channels)
    state = start_master(channels)
    pieces = []
    for block in np.split(samples, np.cumsum(sizes)[:-1], axis=1):
        state, ready = master(state, block)
        pieces.append(ready)
    assert np.array_equal(np.concatenate(pieces, axis=1), mastered(samples))


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0, 30), st.integers(1, 2))
def test_no_peak_passes_the_ceiling(seed: int, level: float, channels: int) -> None:
    samples = noise(seed, 20_000, 0.05, channels)
    rng = np.random.default_rng(seed)
    samples[:, rng.integers(0, samples.shape[1], 20)] = level
    assert np.abs(mastered(samples)).max() <= AIMS.ceiling * (1 + 1e-6)


@given(st.integers(1, 3), st.integers(0, 3000))
def test_the_delay_is_bounded(channels: int, samples: int) -> None:
    state, ready = master(start_master(channels), noise(1, samples, 0.1, channels))
    assert ready.shape[1] + state.waiting.shape[1] == samples
    assert state.waiting.shape[1] < AIMS.delay
    assert state.position == ready.shape[1]


def test_a_state_can_be_gone_back_to() -> None:
    first, second, other = noise(1, 9000), noise(2, 9000), noise(3, 9000, 0.5)
    state, _ = master(start_master(1), first)
    _, expected = master(state, second)
    master(state, other)
    assert np.array_equal(master(state, second)[1], expected)


@pytest.mark.parametrize("level", [0.05, 0.1, 0.25])
def test_the_track_settles_at_the_target(level: float) -> None:
    out = mastered(noise(1, 60 * RATE, level))
    assert rms(out[:, -10 * RATE :]) == pytest.approx(AIMS.target_rms, rel=0.05)


def test_the_gain_takes_seconds() -> None:
    quiet, loud = noise(1, 30 * RATE, 0.1), noise(2, RATE // 2, 0.15)
    out = mastered(np.concatenate([quiet, loud, quiet[:, : 2 * RATE]], axis=1))
    just_before = rms(out[:, 29 * RATE : 30 * RATE])
    during = rms(out[:, 30 * RATE + 2000 : 30 * RATE + RATE // 2 - 2000])
    assert during / just_before > 1.4  # half as loud again stays nearly so


def test_silence_stays_silent_and_does_not_raise_the_gain() -> None:
    music, silence = noise(1, 10 * RATE), np.zeros((1, 60 * RATE), np.float32)
    out = mastered(np.concatenate([music, silence, music], axis=1))
    assert not out[:, 11 * RATE : 69 * RATE].any()
    again = out[:, 70 * RATE + 1000 : 71 * RATE]
    assert rms(again) == pytest.approx(rms(out[:, 9 * RATE : 10 * RATE]), rel=0.1)


def test_quiet_music_is_only_scaled() -> None:
    samples = noise(1, RATE, 0.01)
    out = mastered(samples)
    gains = out[0] / samples[0, : out.shape[1]]
    assert np.abs(np.diff(gains)).max() < 1e-3


def test_channels_share_one_gain() -> None:
    samples = noise(1, RATE, 0.3)
    both = np.concatenate([samples, samples * 0.5])
    out = mastered(both)
    assert np.allclose(out[1], out[0] * 0.5, atol=1e-6)
