"""Sound from magnitudes: pitch, error, determinism, and continuing what already sounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.jam.anchors import anchor_sound, find_anchor
from riffusion.spectral.griffin_lim import (
    BLOCK_FRAMES,
    griffin_lim,
    griffin_lim_blocks,
    griffin_lim_in_blocks,
)
from riffusion.spectral.phases import advancing_phases
from riffusion.spectral.spectrogram import (
    RIFFUSION,
    Spectrogram,
    SpectrogramParams,
    mel_spectrogram,
)
from riffusion.training.evaluation.vocoders import OfflineVocoder

# The shipped engine's grid, but for its top: the bounds below were measured on this one.
SHIPPED = SpectrogramParams(
    win_length=2048,
    n_fft=2048,
    mel_bands=128,
    min_hz=20.0,
    max_hz=16000.0,
    mel_scale="slaney",
    mel_norm="slaney",
)
SMALL = SpectrogramParams(
    sample_rate=8000, hop_length=50, win_length=200, n_fft=400, mel_bands=64, max_hz=4000.0
)
REFINED = pytest.mark.parametrize("refined", [False, True])
GEOMETRIES = pytest.mark.parametrize("params", [RIFFUSION, SHIPPED], ids=["riffusion", "shipped"])


def music(params: SpectrogramParams, seconds: float = 1.2, channels: int = 1) -> Waveform:
    """A chord that changes halfway, with a hit of noise on each beat; channels differ."""
    samples = int(seconds * params.sample_rate)
    t = np.arange(samples) / params.sample_rate
    hits = np.exp(-(t % 0.25) * 40) * np.random.default_rng(0).standard_normal(samples)
    out = np.zeros((channels, samples))
    for channel in range(channels):
        for note in (220.0, 277.2, 329.6):
            hz = note * np.where(t < seconds / 2, 1.0, 0.75) * (1 + channel)
            tone = sum(np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 6))
            out[channel] += 0.1 * tone * np.exp(-(t % (seconds / 2)))
        out[channel] += 0.1 * hits
    return Waveform(out.astype(np.float32), params.sample_rate)


def error(sound: Waveform, target: Spectrogram, first: int = 0) -> float:
    """Spectral convergence: how far the mel spectrogram of ``sound`` is from ``target``."""
    made = mel_spectrogram(sound, target.params).magnitudes[..., first:]
    wanted = target.magnitudes[..., first:]
    return float((made - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("params", "most"), [(RIFFUSION, 0.15), (SHIPPED, 0.15)])
@pytest.mark.parametrize("channels", [1, 2])
def test_music_comes_back_within_a_stated_error(
    params: SpectrogramParams, most: float, channels: int
) -> None:
    waveform = music(params, 1.5, channels)
    target = mel_spectrogram(waveform, params)
    sound = griffin_lim(target)
    assert sound.samples.shape == (channels, params.samples(target.frames))
    assert sound.sample_rate == params.sample_rate
    assert error(sound, target) < most
    # The level is that of the sound, not a normalised one.
    levels = sound.samples.std(axis=1) / waveform.samples.std(axis=1)
    assert np.all(np.abs(levels - 1) < 0.1)


@pytest.mark.parametrize(
    ("params", "hz", "within_hz"),
    [
        (RIFFUSION, 110.0, 3.0),
        (RIFFUSION, 440.0, 3.0),
        (RIFFUSION, 3000.0, 12.0),
        (SHIPPED, 440.0, 12.0),
        (SHIPPED, 3000.0, 40.0),
    ],
)
def test_a_sine_keeps_its_frequency(params: SpectrogramParams, hz: float, within_hz: float) -> None:
    t = np.arange(params.sample_rate) / params.sample_rate
    sine = Waveform(0.5 * np.sin(2 * np.pi * hz * t)[None].astype(np.float32), params.sample_rate)
    sound = griffin_lim(mel_spectrogram(sine, params))
    spectrum = np.abs(np.fft.rfft(sound.samples[0]))
    assert abs(spectrum.argmax() / sound.duration_s - hz) < within_hz


@pytest.mark.parametrize(("mono", "share"), [(True, 0.95), (False, 0.8)])
def test_refining_comes_closer(mono: bool, share: float) -> None:
    sound = anchor_sound(find_anchor("night_drive"))
    sound = Waveform(sound.samples[:, : 2 * sound.sample_rate], sound.sample_rate)
    target = mel_spectrogram(sound.mono() if mono else sound)
    plain, refined = (griffin_lim_in_blocks(target, refined=yes) for yes in (False, True))
    assert error(refined, target) < share * error(plain, target)


@GEOMETRIES
def test_momentum_and_iterations_help(params: SpectrogramParams) -> None:
    target = mel_spectrogram(music(params), params)
    slow = error(griffin_lim(target, momentum=0.0), target)
    fast = error(griffin_lim(target), target)
    # The first phases are good already, so what is left to gain is small.
    assert fast < 0.98 * slow
    assert error(griffin_lim(target, iterations=2), target) > slow


@pytest.mark.parametrize("hz", [110.0, 440.0, 1234.5])
def test_first_phases_turn_at_the_frequency_of_the_peak(hz: float) -> None:
    seconds = torch.arange(44100) / 44100
    framed = torch.sin(2 * torch.pi * hz * seconds).unfold(0, 4410, 441) * torch.hann_window(4410)
    magnitudes = torch.fft.rfft(framed).abs()[None]
    phases = advancing_phases(magnitudes, 441 / 4410, seed=0)
    peak = int(magnitudes[0, 0].argmax())
    turned = torch.diff(phases[0, :, peak]) / (2 * torch.pi) - hz * 441 / 44100
    # A parabola finds the peak of a Hann window within 3 % of a bin: 0.003 turns a hop.
    assert float((turned - turned.round()).abs().max()) < 0.01


def test_first_phases_spare_iterations() -> None:
    target = mel_spectrogram(music(SHIPPED), SHIPPED)
    assert error(griffin_lim(target, iterations=4, momentum=0.0), target) < 0.2


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    target = mel_spectrogram(music(SHIPPED, 0.5), SHIPPED)
    first, second = griffin_lim(target, seed=7), griffin_lim(target, seed=7)
    assert np.array_equal(first.samples, second.samples)
    assert not np.array_equal(first.samples, griffin_lim(target, seed=8).samples)


def test_global_randomness_is_neither_used_nor_changed() -> None:
    target = mel_spectrogram(music(SMALL, 0.5), SMALL)
    torch.manual_seed(1)
    first = griffin_lim(target)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)
    assert np.array_equal(griffin_lim(target).samples, first.samples)


@given(
    frames=st.integers(2, 60),
    channels=st.integers(1, 2),
    share=st.floats(0, 1),
    refined=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_a_prefix_comes_back_bit_for_bit(
    frames: int, channels: int, share: float, refined: bool
) -> None:
    length = SMALL.samples(frames)
    known = max(1, round(share * length))
    waveform = music(SMALL, 2 * length / SMALL.sample_rate, channels)
    target = mel_spectrogram(waveform, SMALL).cut(0, frames)
    prefix = Waveform(waveform.samples[:, :known], SMALL.sample_rate)
    sound = griffin_lim(target, iterations=4, prefix=prefix, refined=refined)
    assert sound.samples.shape == (channels, length)
    assert np.array_equal(sound.samples[:, :known], prefix.samples)


@REFINED
@GEOMETRIES
@pytest.mark.parametrize("known", [1000, 10_000, 33_333, 50_000])
def test_what_follows_a_prefix_joins_without_a_step(
    params: SpectrogramParams, known: int, refined: bool
) -> None:
    waveform = music(params, 1.5)
    target = mel_spectrogram(waveform, params)
    prefix = Waveform(waveform.samples[:, :known], params.sample_rate)
    sound = griffin_lim(target, prefix=prefix, refined=refined)
    steps = np.abs(np.diff(sound.samples[0]))
    assert steps[known - 1] <= np.abs(np.diff(waveform.samples[0])).max()
    assert steps[known - 1] <= steps[known - 2000 if known > 2000 else 0 : known + 2000].max()
    assert error(sound, target, first=max(0, known // params.hop_length - 5)) < 0.16


@REFINED
def test_a_steady_tone_goes_on_in_phase(refined: bool) -> None:
    t = np.arange(RIFFUSION.sample_rate) / RIFFUSION.sample_rate
    sine = Waveform(0.5 * np.sin(2 * np.pi * 330 * t)[None].astype(np.float32), 44100)
    prefix = Waveform(sine.samples[:, :22050], 44100)
    sound = griffin_lim(mel_spectrogram(sine), prefix=prefix, refined=refined)
    after = slice(22050, 22050 + 2205)
    step = np.abs(np.diff(sound.samples[0, 22040:22060])).max()
    assert step < 1.1 * np.abs(np.diff(sine.samples[0])).max()
    alike = np.corrcoef(sound.samples[0, after], sine.samples[0, after])[0, 1]
    assert alike > 0.95


@pytest.mark.parametrize("known", [20_000, 22_050, 25_000])
def test_each_side_goes_on_with_its_own_tone(known: int) -> None:
    """Tones that mel bands can tell apart: of nearer ones nothing says whose phase is whose."""
    t = np.arange(RIFFUSION.sample_rate) / RIFFUSION.sample_rate
    tones = np.stack([0.5 * np.sin(2 * np.pi * hz * t) for hz in (330, 360)]).astype(np.float32)
    both = Waveform(tones, RIFFUSION.sample_rate)
    prefix = Waveform(tones[:, :known], RIFFUSION.sample_rate)
    sound = griffin_lim(mel_spectrogram(both), prefix=prefix, refined=True)
    after = slice(known, known + 2205)
    for made, tone in zip(sound.samples, tones, strict=True):
        assert np.corrcoef(made[after], tone[after])[0, 1] > 0.98


def test_frames_within_the_prefix_do_not_matter() -> None:
    waveform = music(SMALL, 1.0)
    target = mel_spectrogram(waveform, SMALL)
    prefix = Waveform(waveform.samples[:, :4000], SMALL.sample_rate)
    other = target.magnitudes.clone()
    other[..., : 4000 // SMALL.hop_length - 2] = 5.0
    expected = griffin_lim(target, prefix=prefix)
    sound = griffin_lim(Spectrogram(other, SMALL), prefix=prefix)
    assert np.array_equal(sound.samples, expected.samples)


@REFINED
def test_silence_stays_silent(refined: bool) -> None:
    silence = Spectrogram(torch.zeros(2, SMALL.mel_bands, 20), SMALL)
    assert not griffin_lim(silence, refined=refined).samples.any()


def test_two_frames_are_enough_and_one_is_not() -> None:
    target = mel_spectrogram(music(SMALL, 0.5), SMALL)
    assert griffin_lim(target.cut(0, 2)).samples.shape == (1, SMALL.hop_length)
    with pytest.raises(InvalidInput, match="at least two"):
        griffin_lim(target.cut(0, 1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(value: float) -> None:
    magnitudes = torch.zeros(1, SMALL.mel_bands, 20)
    magnitudes[0, 3, 7] = value
    with pytest.raises(InvalidInput, match="must be finite"):
        griffin_lim(Spectrogram(magnitudes, SMALL))


@pytest.mark.parametrize(
    "wrong", [{"iterations": 0}, {"iterations": 10**6}, {"momentum": 1.0}, {"seed": -1}]
)
def test_odd_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="use a"):
        griffin_lim(mel_spectrogram(music(SMALL, 0.5), SMALL), **wrong)


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        (Waveform(np.zeros((1, 500), np.float32), 44100), "resample the prefix"),
        (Waveform(np.zeros((2, 500), np.float32), 8000), "the spectrogram has 1"),
        (Waveform(np.zeros((1, 5000), np.float32), 8000), "use at most 4000"),
    ],
)
def test_prefixes_that_do_not_fit_are_refused(prefix: Waveform, says: str) -> None:
    with pytest.raises(InvalidAudio, match=says):
        griffin_lim(mel_spectrogram(music(SMALL, 0.5), SMALL), prefix=prefix)


def test_a_long_spectrogram_in_blocks_is_as_good_as_at_once() -> None:
    target = mel_spectrogram(music(SMALL, 8.0, channels=2), SMALL)
    assert target.frames > 2 * 512
    sound = griffin_lim_in_blocks(target)
    assert sound.samples.shape == (2, SMALL.samples(target.frames))
    assert error(sound, target) < 1.15 * error(griffin_lim(target), target)


def test_blocks_continue_each_other() -> None:
    t = np.arange(8 * SMALL.sample_rate) / SMALL.sample_rate
    tone = Waveform(0.5 * np.sin(2 * np.pi * 330 * t)[None].astype(np.float32), SMALL.sample_rate)
    sound = griffin_lim_in_blocks(mel_spectrogram(tone, SMALL))
    kinks = np.abs(np.diff(sound.samples[0], 3))  # tiny in a tone, large where it breaks off
    inside = kinks[5000:20000].max()
    for join in (512 * SMALL.hop_length, 1024 * SMALL.hop_length):
        assert kinks[join - 1000 : join + 1000].max() < 1.5 * inside


def test_a_short_spectrogram_is_one_block() -> None:
    target = mel_spectrogram(music(SMALL, 0.5), SMALL)
    assert np.array_equal(
        griffin_lim_in_blocks(target, iterations=8).samples,
        griffin_lim(target, iterations=8, mirrored=(True, True), refined=True).samples,
    )


def panned(*tones: tuple[float, float]) -> Waveform:
    """Sines of some Hz, each with its own loudness left against right in dB, equal in power."""
    time = np.arange(SHIPPED.sample_rate) / SHIPPED.sample_rate
    out = np.zeros((2, len(time)))
    for hz, left_over_right_db in tones:
        angle = np.arctan(10 ** (-left_over_right_db / 20))
        sides = np.array([[np.cos(angle)], [np.sin(angle)]])
        out += 0.2 * sides * np.sin(2 * np.pi * hz * time)
    return Waveform(out.astype(np.float32), SHIPPED.sample_rate)


def decibels(ratio_of_powers: float) -> float:
    return float(10 * np.log10(ratio_of_powers))


@REFINED
@given(levels_db=st.lists(st.floats(-12, 12), min_size=3, max_size=3))
@settings(deadline=None, max_examples=5)
def test_panned_tones_stay_where_they_are(refined: bool, levels_db: list[float]) -> None:
    tones = list(zip((310.0, 1000.0, 3400.0), levels_db, strict=True))
    sound = griffin_lim(mel_spectrogram(panned(*tones), SHIPPED), refined=refined)
    spectra = np.abs(np.fft.rfft(sound.samples))
    for hz, left_over_right_db in tones:
        near = slice(int(hz * sound.duration_s) - 40, int(hz * sound.duration_s) + 40)
        left, right = (float(np.sum(spectrum[near] ** 2)) for spectrum in spectra)
        assert decibels(left / right) == pytest.approx(left_over_right_db, abs=1.0)


@REFINED
@GEOMETRIES
@pytest.mark.parametrize("known", [0, 20_000])
def test_the_sum_of_both_sides_keeps_its_power(
    params: SpectrogramParams, known: int, refined: bool
) -> None:
    mono = music(params, 1.5)
    sides = np.array([[1.0], [0.6]], np.float32)
    hiss = np.random.default_rng(1).standard_normal((2, mono.samples.shape[1])) * 0.005
    waveform = Waveform(mono.samples * sides + hiss.astype(np.float32), params.sample_rate)
    prefix = Waveform(waveform.samples[:, :known], params.sample_rate) if known else None
    sound = griffin_lim(mel_spectrogram(waveform, params), prefix=prefix, refined=refined)
    expected = waveform.samples[:, : sound.samples.shape[1]]
    new = slice(known, None)
    assert decibels(power(sound.mono(), new) / power(Waveform(expected, 44100).mono(), new)) == (
        pytest.approx(0, abs=1.0)
    )
    # Hits in the middle stay in the middle: not more than a trace of what both share differs.
    apart = sound.samples[0, new] - sound.samples[1, new] / 0.6
    assert decibels(np.mean(apart**2) / np.mean(sound.samples[0, new] ** 2)) < -15


def power(waveform: Waveform, part: slice) -> float:
    return float(np.mean(waveform.samples[0, part].astype(np.float64) ** 2))


@REFINED
def test_two_equal_sides_are_the_mono_sound_twice(refined: bool) -> None:
    target = mel_spectrogram(music(SHIPPED), SHIPPED)
    both = Spectrogram(target.magnitudes.repeat(2, 1, 1), SHIPPED)
    left, right = griffin_lim(both, refined=refined).samples
    assert np.array_equal(left, right)
    if not refined:  # which takes a few iterations more with two channels
        assert np.allclose(left, griffin_lim(target).samples[0], atol=1e-5)


@REFINED
def test_a_silent_side_stays_silent(refined: bool) -> None:
    target = mel_spectrogram(music(SHIPPED), SHIPPED)
    one_sided = torch.cat([target.magnitudes, torch.zeros_like(target.magnitudes)])
    left, right = griffin_lim(Spectrogram(one_sided, SHIPPED), refined=refined).samples
    assert left.any()
    assert not right.any()


def test_a_million_frames_are_read_as_they_are_needed() -> None:
    asked: list[tuple[int, int]] = []

    def cut(start: int, stop: int) -> Spectrogram:
        asked.append((start, stop))
        return Spectrogram(torch.ones(1, SMALL.mel_bands, stop - start), SMALL)

    blocks = griffin_lim_blocks(cut, 1_000_000, iterations=1)
    made = np.concatenate([next(blocks), next(blocks)], axis=1)
    assert made.shape[1] == 2 * BLOCK_FRAMES * SMALL.hop_length
    assert np.isfinite(made).all()
    assert max(stop for _, stop in asked) < 3 * BLOCK_FRAMES


@pytest.mark.parametrize("decode", [griffin_lim, griffin_lim_in_blocks])
def test_one_frame_is_refused(decode: OfflineVocoder) -> None:
    with pytest.raises(InvalidInput, match="at least two"):
        decode(Spectrogram(torch.ones(1, SMALL.mel_bands, 1), SMALL))


def test_nan_late_in_a_long_spectrogram_is_refused() -> None:
    magnitudes = torch.ones(1, SMALL.mel_bands, 2 * BLOCK_FRAMES)
    magnitudes[0, 3, -1] = torch.nan
    with pytest.raises(InvalidInput, match="finite"):
        griffin_lim_in_blocks(Spectrogram(magnitudes, SMALL), iterations=1)


def test_mels_of_other_parameters_are_refused() -> None:
    with pytest.raises(InvalidInput, match="64 mel bands"):
        Spectrogram(torch.ones(1, 128, 20), SMALL)
