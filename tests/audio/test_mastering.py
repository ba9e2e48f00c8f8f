"""One slow gain to a stated loudness for the whole track, and true peaks under a ceiling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from riffusion.audio.effects.effect import Signal
from riffusion.audio.effects.slow_gain import SlowGain
from riffusion.audio.loudness import k_weighting, lufs, lufs_to_power
from riffusion.audio.mastering import (
    Mastering,
    MasterState,
    Samples,
    master,
    master_whole,
    start_master,
)

RATE = 44100
AIMS = Mastering()


def noise(seed: int, samples: int, rms: float = 0.1, channels: int = 1) -> Samples:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((channels, samples)) * rms).astype(np.float32)


def mastered(samples: Samples, state: MasterState | None = None) -> Samples:
    state = state or start_master(samples.shape[0])
    return master(state, samples)[1]


def music(seconds: float, beats_per_s: float = 2.0) -> Samples:
    """Chords in stereo that change each second, with a hit of noise on each beat."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * RATE)) / RATE
    root = 110 * 2 ** (np.floor(t) % 4 * 5 % 12 / 12)
    chord = sum(np.sin(2 * np.pi * np.cumsum(root * r) / RATE) for r in (1, 1.25, 1.5, 2, 4))
    hits = rng.standard_normal((2, len(t))) * np.exp(-(t % (1 / beats_per_s)) * 30)
    return np.asarray(0.08 * chord + 0.12 * hits, np.float32)


def integrated_lufs(samples: Samples) -> float:
    """Measured by a library that others use, as ITU-R BS.1770-4 says."""
    meter: Any = pyloudnorm.Meter(RATE)
    return float(meter.integrated_loudness(samples.T.astype(np.float64)))


def true_peak_db(samples: Samples) -> float:
    """Eight times oversampled, by another filter than the limiter's."""
    dense = resample_poly(samples.astype(np.float64), 8, 1, axis=1)
    return float(20 * np.log10(np.abs(dense).max()))


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@settings(max_examples=50, deadline=None)
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


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 30), st.integers(1, 2))
def test_no_peak_passes_the_ceiling(seed: int, level: float, channels: int) -> None:
    samples = noise(seed, 20_000, 0.05, channels)
    rng = np.random.default_rng(seed)
    samples[:, rng.integers(0, samples.shape[1], 20)] = level
    assert np.abs(mastered(samples)).max() <= AIMS.ceiling * (1 + 1e-6)


@given(st.integers(1, 3), st.integers(0, 3000))
def test_the_delay_is_bounded(channels: int, samples: int) -> None:
    state, ready = master(start_master(channels), noise(1, samples, 0.1, channels))
    assert state.received == samples
    assert state.position == ready.shape[1]
    assert state.received - state.position < AIMS.delay


def test_a_state_can_be_gone_back_to() -> None:
    first, second, other = noise(1, 9000), noise(2, 9000), noise(3, 9000, 0.5)
    state, _ = master(start_master(1), first)
    _, expected = master(state, second)
    master(state, other)
    assert np.array_equal(master(state, second)[1], expected)


def test_the_weighting_is_the_table_of_the_recommendation() -> None:
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285]
    shelf_poles = [1.0, -1.69065929318241, 0.73248077421585]
    poles = [1.0, -1.99004745483398, 0.99007225036621]
    numerator, denominator = k_weighting(48000)
    assert np.allclose(numerator, np.convolve(shelf, [1.0, -2.0, 1.0]), atol=1e-9)
    assert np.allclose(denominator, np.convolve(shelf_poles, poles), atol=1e-9)


@given(st.floats(-80, 10))
def test_loudness_and_power_are_each_others_inverse(loudness: float) -> None:
    assert lufs(lufs_to_power(loudness)) == pytest.approx(loudness, abs=1e-9)


@pytest.mark.parametrize("level", [0.05, 0.1, 0.2])
def test_steady_sound_settles_at_the_target(level: float) -> None:
    out = mastered(noise(1, 40 * RATE, level, channels=2))
    assert integrated_lufs(out[:, -20 * RATE :]) == pytest.approx(AIMS.target_lufs, abs=0.2)


@pytest.mark.parametrize("level", [0.8, 1.5, 3.0])
def test_a_track_is_as_loud_as_stated(level: float) -> None:
    out = master_whole(music(40) * np.float32(level), RATE)
    assert integrated_lufs(out) == pytest.approx(AIMS.target_lufs, abs=1.0)


@pytest.mark.parametrize("level", [1.0, 4.0])
def test_true_peaks_stay_under_minus_one_db(level: float) -> None:
    hits = music(10, beats_per_s=8) * np.float32(level)
    # A tone a quarter of the rate whose samples all miss its peaks by 3 dB.
    between = np.sin(np.arange(hits.shape[1]) * np.pi / 2 + np.pi / 4) * 0.8
    out = master_whole(hits + between.astype(np.float32), RATE)
    assert -2.0 < true_peak_db(out) <= -1.0


def gains_db(samples: Samples) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The slow gain at the end of each chunk, in dB, whatever the limiter does."""
    state = start_master(len(samples), Mastering(start_lufs=-35.0, max_gain=1e3))
    gain = next(effect for effect in state.effects if isinstance(effect, SlowGain))
    chunks = samples.shape[1] // AIMS.chunk
    _, signal = gain.process(Signal.at_unity(samples[:, : chunks * AIMS.chunk], chunks + 2))
    return np.asarray(20 * np.log10(signal.gains[1:-1]))


def test_the_gain_does_not_pump() -> None:
    quiet = music(30) * np.float32(0.1)
    gains = gains_db(np.concatenate([quiet, quiet * np.float32(0.1), quiet], axis=1))
    per_second = np.abs(gains[100:] - gains[:-100])
    assert per_second.max() <= AIMS.max_db_per_s + 1e-6
    assert per_second.max() > AIMS.max_db_per_s / 2  # it did have to move
    # Steady music, a bar of which lasts two seconds: the gain holds still.
    assert np.ptp(gains[2000:3000]) < 0.5


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
