"""Cohesion of sounds that were made to have a known one."""

from __future__ import annotations

from dataclasses import replace

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import Prompt
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.jam.settings import JamSettings
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.evaluation.measures.cohesion import (
    Cohesion,
    count_loop_bars,
    make_held_requests,
    make_rows,
    make_walk_requests,
    measure_cohesion,
    measure_jam,
)

Array = npt.NDArray[np.float32]
RATE = COMPACT_PARAMS.sample_rate
BANDS = 128
BPM, BAR = 120.0, 200  # frames in a bar of four beats
DECADES_6_DB = 6 / 20


def draw_bars(bars: int, seed: int = 0) -> Array:
    """Return bars of independent levels, (bars, frames, 1, bands), within 40 dB of each other."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1.5, 0.0, (bars, BAR, 1, BANDS)).astype(np.float32)


def join(bars: Array) -> Array:
    return bars.reshape(-1, *bars.shape[2:])


def hear(samples: npt.NDArray[np.float64]) -> Array:
    """Return the levels of a sound in mono."""
    wave = Waveform(samples[None].astype(np.float32), RATE)
    levels: Array = log_mel(mel_spectrogram(wave, COMPACT_PARAMS).magnitudes).permute(2, 0, 1)
    return np.asarray(levels)


def make_hits(bars: int, bpm: float, seed: int) -> npt.NDArray[np.float64]:
    """Return bars of noise that dies away from each sixteenth on, at random levels."""
    rng = np.random.default_rng(seed)
    places = np.arange(round(bars * 240 / bpm * RATE)) * bpm / 60 / RATE * 4
    loud = rng.uniform(0.05, 0.5, 16 * bars + 1)[places.astype(int)]
    noise = rng.normal(0.0, 0.2, len(places))
    return np.asarray(noise * loud * np.exp(-4 * (places % 1)))


def test_one_bar_over_and_over_is_the_same_at_any_distance() -> None:
    found = measure_cohesion(join(np.repeat(draw_bars(1), 16, 0)), BPM)
    assert set(found.correlations) == {1, 2, 4, 8}
    assert list(found.correlations.values()) == pytest.approx([1.0] * 4, abs=1e-6)
    assert (found.step_db, found.high_step_db, found.return_db) == pytest.approx((0, 0, 0))


def test_independent_bars_have_nothing_in_common() -> None:
    found = measure_cohesion(join(draw_bars(16)), BPM)
    # Each correlation of 64 x 64 independent values is 0 +- 0.016.
    assert list(found.correlations.values()) == pytest.approx([0.0] * 4, abs=0.02)
    assert found.return_db > 4


def test_a_loop_comes_round_after_its_own_length_only() -> None:
    found = measure_cohesion(join(np.tile(draw_bars(4), (4, 1, 1, 1))), BPM)
    assert found.loop_correlation == found.correlations[4] == pytest.approx(1.0)
    assert found.correlations[8] == pytest.approx(1.0)
    assert abs(found.correlations[1]) < 0.02
    of_three = measure_cohesion(join(np.tile(draw_bars(3), (4, 1, 1, 1))), BPM, loop_bars=3)
    assert of_three.loop_correlation == pytest.approx(1.0)
    assert of_three.return_db == pytest.approx(0.0)
    assert abs(of_three.correlations[4]) < 0.02


def test_a_sound_that_stays_is_nothing_in_common() -> None:
    bars = draw_bars(16) + np.linspace(0.0, -4.0, BANDS, dtype=np.float32)
    assert list(measure_cohesion(join(bars), BPM).correlations.values()) == pytest.approx(
        [0.0] * 4, abs=0.02
    )


def test_the_first_and_the_last_bar_do_not_count() -> None:
    bars = np.repeat(draw_bars(1), 16, 0)
    bars[[0, -1]] = draw_bars(2, seed=1) - 1.0
    found = measure_cohesion(join(bars), BPM)
    assert list(found.correlations.values()) == pytest.approx([1.0] * 4, abs=1e-6)
    assert found.high_step_db == pytest.approx(0.0)


def test_bars_of_another_metre_are_found() -> None:
    waltz = measure_cohesion(join(np.tile(draw_bars(2), (6, 1, 1, 1))), 0.75 * BPM, 3, 2)
    assert waltz.loop_correlation == pytest.approx(1.0)


def test_steps_of_level_have_their_size() -> None:
    bars = np.repeat(draw_bars(1), 16, 0)
    bars[1::2] += DECADES_6_DB
    found = measure_cohesion(join(bars), BPM, loop_bars=1)
    # Steps between bars are in tenths of a decade, half of the decibels, as in the reference.
    assert (found.step_db, found.high_step_db) == pytest.approx((3.0, 3.0), abs=1e-3)
    assert found.return_db == pytest.approx(6.0, abs=0.05)
    assert measure_cohesion(join(bars), BPM, loop_bars=2).return_db == pytest.approx(0.0, abs=1e-3)


def test_few_large_steps_are_in_the_percentile_not_in_the_median() -> None:
    bars = np.repeat(draw_bars(1), 22, 0)
    bars[4:8] += DECADES_6_DB
    bars[15:18] += DECADES_6_DB
    found = measure_cohesion(join(bars), BPM)
    assert found.step_db == pytest.approx(0.0, abs=1e-3)
    assert found.high_step_db == pytest.approx(3.0, abs=1e-3)


def test_the_first_time_round_may_differ() -> None:
    bars = np.tile(draw_bars(4), (4, 1, 1, 1))
    bars[:4] = draw_bars(4, seed=1)
    assert measure_cohesion(join(bars), BPM).return_db == pytest.approx(0.0)
    bars[8:12] = draw_bars(4, seed=2)
    assert measure_cohesion(join(bars), BPM).return_db > 4


def test_what_is_masked_does_not_count_but_what_is_missing_does() -> None:
    bars = np.tile(draw_bars(4), (3, 1, 1, 1))
    bars[..., 60:] = draw_bars(12, seed=1)[..., 60:] - 3.0
    assert measure_cohesion(join(bars), BPM).return_db == pytest.approx(0.0)
    gone, new = bars.copy(), bars.copy()
    gone[8:, ..., :60] -= 3.0
    new[4:8, ..., :60] -= 3.0
    for changed in (gone, new):
        assert measure_cohesion(join(changed), BPM).return_db == pytest.approx(60.0, abs=1.0)


@settings(max_examples=10, deadline=None)
@given(gain=st.floats(-1.0, 1.0), seed=st.integers(0, 2**31))
def test_loudness_does_not_count(gain: float, seed: int) -> None:
    levels = join(draw_bars(11, seed))
    plain, louder = (measure_cohesion(x, BPM) for x in (levels, levels + np.float32(gain)))
    assert louder.correlations == pytest.approx(plain.correlations, abs=1e-4)
    for name in ("step_db", "high_step_db", "return_db"):
        assert getattr(louder, name) == pytest.approx(getattr(plain, name), abs=1e-3)


@pytest.mark.parametrize("bpm", [120.0, 117.0, 97.3, 70.0])
def test_a_repeated_sound_is_known_again_where_bars_are_not_whole_frames(bpm: float) -> None:
    bars = measure_cohesion(hear(np.tile(make_hits(4, bpm, 0), 4)), bpm)
    assert bars.return_db < 0.2
    assert bars.loop_correlation > 0.8
    fresh = measure_cohesion(hear(make_hits(16, bpm, 0)), bpm)
    assert fresh.return_db > 2
    assert fresh.loop_correlation < bars.loop_correlation - 0.2


def test_values_are_those_of_the_reference() -> None:
    """The same formulae on librosa's mel spectrogram, by which the known values were measured."""
    bpm = 104.0
    sound = np.tile(make_hits(4, bpm, 3), 4) + 0.5 * make_hits(16, bpm, 4)
    mel = librosa.feature.melspectrogram(
        y=sound, sr=RATE, n_fft=2048, hop_length=441, n_mels=128, fmin=20, fmax=20000, power=1.0
    )
    levels = np.log10(mel + 1e-9).T
    bar = 24000 / bpm
    starts = np.arange(int(len(levels) // bar))[1:-1, None] * bar
    bars = levels[(starts + np.arange(64) * bar / 64).astype(int)][..., ::2]
    changes = bars - bars.mean((0, 1))
    spectra = 10 * bars.mean(1)
    steps = np.sqrt(((spectra[1:] - spectra[:-1]) ** 2).mean(1))
    found = measure_cohesion(hear(sound), bpm)
    for lag in (1, 2, 4, 8):
        pairs = zip(changes, changes[lag:], strict=False)
        expected = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])
        assert found.correlations[lag] == pytest.approx(expected, abs=0.01)
    assert found.step_db == pytest.approx(np.median(steps), abs=0.05)
    assert found.high_step_db == pytest.approx(np.percentile(steps, 90), abs=0.05)


def test_silence_has_finite_values() -> None:
    found = measure_cohesion(np.full((12 * BAR, 2, BANDS), -4.0, np.float32), BPM)
    assert list(found.correlations.values()) == [0.0] * 4
    assert (found.step_db, found.return_db) == pytest.approx((0.0, 0.0))


@pytest.mark.parametrize("bars", [0.5, 1, 2, 3, 6])
def test_rows_leave_out_tracks_that_are_too_short(bars: float) -> None:
    long = measure_cohesion(join(np.tile(draw_bars(4), (4, 1, 1, 1))), BPM)
    short = measure_cohesion(join(draw_bars(6))[: round(bars * BAR)], BPM)
    rows = {row.name: row for row in make_rows("held", [long, short], [long])}
    assert np.isnan(short.correlations[8])
    assert rows["held: correlation 8 bars apart"].clips == 1
    assert rows["held: bars one loop apart differ by, dB"].clips == 1
    assert rows["held: correlation one loop apart"].ceiling == pytest.approx(1.0)
    assert all(np.isfinite(row.value) for row in rows.values())
    assert not list(make_rows("held", [], [long]))


def test_rows_are_medians() -> None:
    found = [Cohesion({1: x, 2: x, 4: x, 8: x}, 4, x, x, x) for x in (0.1, 0.2, 0.9)]
    rows = list(make_rows("walk", found, found[:1]))
    assert [(row.value, row.ceiling, row.clips) for row in rows] == [(0.2, 0.1, 3)] * len(rows)
    assert {row.chance for row in rows[:5]} == {0.0}


def test_a_jam_comes_round_with_its_loop_or_else_its_chords() -> None:
    prompt = Prompt("house")
    held = JamSettings(prompt, prompt, bpm=BPM, path="hold")
    assert count_loop_bars(held) == 4
    of_three = replace(held, chords="Am F G")
    assert count_loop_bars(of_three) == 3
    assert count_loop_bars(replace(of_three, loop="0")) == 3
    assert count_loop_bars(replace(of_three, loop="8")) == 8
    levels = join(np.tile(draw_bars(3), (4, 1, 1, 1)))
    assert measure_jam(levels, of_three).loop_correlation == pytest.approx(1.0)
    assert abs(measure_jam(levels, held).loop_correlation) < 0.02


def test_requests_hold_or_walk_all_the_way() -> None:
    styles = [f"style {number}" for number in range(10)]
    held, walks = make_held_requests(styles, 3), make_walk_requests(styles, 3)
    assert len(held) == len(walks) == 6
    assert {request.settings.path for request in held} == {"hold"}
    assert {request.seconds for request in held} == {40.0}
    for request in walks:
        chosen = request.settings
        assert chosen.prompt_a.text != chosen.prompt_b.text
        assert chosen.path == "once"
        assert request.seconds == pytest.approx(chosen.walk_bars * 4 * 60 / chosen.bpm)
    assert len({request.settings.bpm for request in walks}) > 3
