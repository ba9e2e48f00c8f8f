"""Clips become one track without gaps, clicks or changes of level, and with a bounded past."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riffusion.audio.mastering import Samples
from riffusion.audio.waveform import Waveform
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import InvalidInput
from riffusion.jam.stitcher import Stitcher, correlation, crossfade, crossfade_gains, fade_in
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.spectrogram import Spectrogram, mel_spectrogram

RATE, HOP, FRAMES = 44100, 441, 512
BAR = 88200  # 120 beats per minute
CONTEXT = 104
QUICK = partial(griffin_lim, iterations=2)


def music(seconds: float) -> Samples:
    """Return a chord that swells and fades twice a second, with a little noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * hz * time) for hz in (220.0, 277.2, 329.6, 880.0))
    hiss = np.random.default_rng(0).standard_normal(len(time)) * 0.02
    return (0.08 * tones * np.exp(-2 * (time * 2 % 1)) + hiss)[None].astype(np.float32)


def clips_of(samples: Samples) -> list[tuple[int, int, Spectrogram]]:
    """Return windows of one long spectrogram, two bars apart: bar line, first frame, clip."""
    spectrogram = mel_spectrogram(Waveform(samples, RATE), COMPACT_PARAMS)
    lines = range(0, samples.shape[1] - FRAMES * HOP, 2 * BAR)
    firsts = [max(0, line // HOP - CONTEXT) for line in lines]
    windows = [spectrogram.cut(first, first + FRAMES) for first in firsts]
    return list(zip(lines, firsts, windows, strict=True))


def stitched(clips: list[tuple[int, int, Spectrogram]], stitcher: Stitcher) -> Samples:
    pieces = []
    for line, first, clip in clips:
        stitcher.push(line, first, clip)
        pieces += [stitcher.play_to(line + BAR), stitcher.play_to(line + 2 * BAR)]
    return np.concatenate(pieces, axis=1)


def new_stitcher() -> Stitcher:
    return Stitcher(COMPACT_PARAMS, 1, FRAMES, QUICK)


class Level:
    """A vocoder whose samples all have the value of the last magnitude."""

    prefix: Waveform | None = None

    def __call__(self, spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        self.prefix = prefix
        shape = (spectrogram.channels, spectrogram.params.samples(spectrogram.frames))
        level = float(spectrogram.magnitudes[0, 0, -1])
        return Waveform(np.full(shape, level, np.float32), RATE)


def level_clip(level: float) -> Spectrogram:
    shape = (1, COMPACT_PARAMS.mel_bands, FRAMES)
    return Spectrogram(torch.full(shape, level), COMPACT_PARAMS)


@given(st.integers(1, 4000), st.floats(0, 1))
def test_gains_keep_the_power_of_signals_of_that_correlation(samples: int, r: float) -> None:
    old, new = crossfade_gains(samples, r)
    assert np.allclose(old**2 + new**2 + 2 * old * new * r, 1)
    assert np.allclose(old, new[::-1])
    assert (np.diff(old) <= 1e-9).all()
    assert old.min() >= 0


@given(st.integers(1, 4000))
def test_gains_of_twins_add_up_to_one(samples: int) -> None:
    old, new = crossfade_gains(samples, 1.0)
    assert np.allclose(old + new, 1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 2000))
def test_a_crossfade_into_itself_changes_nothing(seed: int, channels: int, samples: int) -> None:
    sound = np.random.default_rng(seed).standard_normal((channels, samples)).astype(np.float32)
    assert np.allclose(crossfade(sound, sound), sound, atol=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_a_crossfade_of_strangers_keeps_the_loudness(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = rng.standard_normal((2, 1, 40_000)).astype(np.float32)
    mixed = crossfade(old, new)
    assert np.sqrt(np.mean(mixed**2)) == pytest.approx(1, abs=0.03)


def test_correlation_is_1_for_twins_and_minus_1_for_opposites() -> None:
    wave = np.sin(np.arange(1000, dtype=np.float32))[None]
    assert correlation(wave, wave * 3) == pytest.approx(1)
    assert correlation(wave, -2 * wave) == pytest.approx(-1)
    assert correlation(wave, wave * 0) == 0


def test_a_crossfade_needs_two_of_one_shape() -> None:
    with pytest.raises(InvalidInput, match="same shape"):
        crossfade(np.zeros((1, 4), np.float32), np.zeros((2, 4), np.float32))


def test_a_track_begins_from_silence() -> None:
    faded = fade_in(np.ones((2, 100), np.float32), 10)
    assert not faded[:, 0].any()
    assert (np.diff(faded[:, :11]) > 0).all()
    assert (faded[:, 10:] == 1).all()


def test_the_downbeat_is_wholly_the_new_clip() -> None:
    stitcher = Stitcher(COMPACT_PARAMS, 1, FRAMES, Level())
    stitcher.push(0, 0, level_clip(0.0))
    before = stitcher.play_to(BAR)
    stitcher.push(BAR, BAR // HOP - CONTEXT, level_clip(0.0025))
    after = stitcher.play_to(2 * BAR)
    out = np.concatenate([before, after], axis=1)[0]
    end = BAR - stitcher.handover
    start = end - stitcher.crossfade
    assert not out[:start].any()
    assert (out[start:end] > 0).all()
    assert np.allclose(out[end:], out[-1])


def test_no_sample_step_at_a_seam_is_larger_than_those_inside() -> None:
    stitcher = new_stitcher()
    clips = clips_of(music(21))
    out = stitched(clips, stitcher)
    steps = np.abs(np.diff(out[0]))
    lines = [line for line, _, _ in clips[1:]]
    near = np.zeros(len(steps), bool)
    for line in lines:
        near[line - stitcher.handover - stitcher.crossfade - HOP : line + HOP] = True
    assert len(lines) >= 3
    assert steps[near].max() <= steps[~near].max()


def test_seams_keep_the_level() -> None:
    clips = clips_of(music(15))
    stitcher = Stitcher(COMPACT_PARAMS, 1, FRAMES, partial(griffin_lim, iterations=16))
    out = stitched(clips, stitcher)[0]
    power = np.convolve(out**2, np.ones(stitcher.crossfade) / stitcher.crossfade, "valid")
    # The music repeats every half second: the same place one beat earlier is inside a clip.
    reach = stitcher.handover + stitcher.crossfade
    fades = np.array([line - reach for line, _, _ in clips[1:]])
    assert np.sqrt(power[fades] / power[fades - 22050]) == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize("hz", [110.0, 440.0, 1318.5])
def test_a_steady_tone_keeps_its_level_through_seams(hz: float) -> None:
    tone = 0.2 * np.sin(2 * np.pi * hz * np.arange(15 * RATE) / RATE)[None].astype(np.float32)
    clips = clips_of(tone)
    out = stitched(clips, Stitcher(COMPACT_PARAMS, 1, FRAMES, griffin_lim))[0]
    window = 2 * HOP  # at least two periods
    power = np.convolve(out.astype(np.float64) ** 2, np.ones(window) / window, "valid")
    usual = np.median(power)
    lines = [line for line, _, _ in clips[1:]]
    assert len(lines) == 2
    for line in lines:
        around = power[line - RATE // 5 : line + RATE // 5]
        assert 10 * np.log10(around.min() / usual) > -2.5
        assert 10 * np.log10(around.max() / usual) < 2.5


def test_beyond_the_end_of_the_sound_there_is_no_more() -> None:
    stitcher = Stitcher(COMPACT_PARAMS, 1, FRAMES, Level())
    stitcher.push(0, 0, level_clip(0.01))
    end = (FRAMES - 1) * HOP
    played = stitcher.play_to(end + RATE).shape[1]
    assert end - RATE // 20 < played <= end
    assert stitcher.play_to(end + 2 * RATE).shape[1] == 0


def test_the_vocoder_hears_what_sounds_up_to_the_fade() -> None:
    vocoder = Level()
    stitcher = Stitcher(COMPACT_PARAMS, 1, FRAMES, vocoder)
    stitcher.push(0, 0, level_clip(0.01))
    stitcher.play_ready(BAR)
    assert vocoder.prefix is None
    stitcher.play_to(BAR)
    stitcher.push(BAR, BAR // HOP - CONTEXT, level_clip(0.02))
    vocoder.prefix = None
    stitcher.play_ready(2 * BAR)
    heard = vocoder.prefix
    assert isinstance(heard, Waveform)
    assert heard.samples.shape[1] == pytest.approx(RATE // 4, abs=HOP)
    assert np.allclose(heard.samples, 0.01)


def test_a_clip_never_cancels_the_one_before() -> None:
    stitcher = Stitcher(COMPACT_PARAMS, 1, FRAMES, Level())
    stitcher.push(0, 0, level_clip(0.01))
    before = stitcher.play_to(BAR)
    stitcher.push(BAR, BAR // HOP - CONTEXT, level_clip(-0.01))
    out = np.concatenate([before, stitcher.play_to(2 * BAR)], axis=1)[0]
    around = out[BAR - RATE // 10 : BAR + RATE // 10]
    assert around.min() > 0.9 * around.max()


def test_frames_of_all_clips_form_one_spectrogram() -> None:
    samples = music(12)
    whole = mel_spectrogram(Waveform(samples, RATE), COMPACT_PARAMS)
    stitcher = new_stitcher()
    line, first, clip = clips_of(samples)[0]
    stitcher.push(line, first, clip)
    context = stitcher.context(2 * BAR, CONTEXT)
    stop = 2 * BAR // HOP
    assert context.magnitudes.equal(whole.cut(stop - CONTEXT, stop).magnitudes)


@pytest.mark.parametrize("back_to", [BAR, 2 * BAR, 5 * BAR])
def test_rewinding_and_playing_on_gives_the_same_samples(back_to: int) -> None:
    clips = clips_of(music(18))
    straight = stitched(clips[:1], new_stitcher())

    def replacing(stitcher: Stitcher) -> Samples:
        """Push another clip at ``back_to`` and return what it plays."""
        _, _, clip = clips[1]
        stitcher.push(back_to, back_to // HOP - CONTEXT, clip)
        return stitcher.play_to(back_to + BAR)

    never_back = new_stitcher()
    for line, first, clip in clips:
        if line >= back_to:
            break
        never_back.push(line, first, clip)
        for bar_line in (line + BAR, line + 2 * BAR):
            if bar_line <= back_to:
                never_back.play_to(bar_line)
    expected = replacing(never_back)

    rewound = new_stitcher()
    played = stitched(clips[:3], rewound)
    resume = rewound.rewind(back_to)
    assert back_to - rewound.reach_back <= resume <= back_to
    assert np.array_equal(replacing(rewound), expected)
    assert np.array_equal(played[:, : straight.shape[1]], straight)


def test_the_past_is_bounded() -> None:
    clip = level_clip(0.01)
    stitcher = Stitcher(COMPACT_PARAMS, 1, FRAMES, Level())

    def play(first: int, last: int) -> None:
        for bar in range(first, last, 2):
            line = bar * BAR
            stitcher.push(line, max(0, line // HOP - CONTEXT), clip)
            stitcher.play_to(line + BAR)
            stitcher.play_to(line + 2 * BAR)

    tracemalloc.start()
    play(0, 24)
    kept, lines = tracemalloc.get_traced_memory()[0], len(stitcher.bar_lines)
    play(24, 80)
    grown = tracemalloc.get_traced_memory()[0] - kept
    tracemalloc.stop()
    assert grown < 100_000
    assert len(stitcher.bar_lines) == lines
    assert stitcher.bar_lines[0] >= 78 * BAR - 31 * RATE
