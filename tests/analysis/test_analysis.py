"""Tempo, bar lines and key of recordings that are made here, and what is said of bad ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from riffusion.analysis.recording import MAX_S, RecordingAnalysis, analyse
from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.music.harmony import parse_key
from tests.bands import RATE, Samples, add, band, sound_of

SEAM_S = 0.03


def late_s(heard: RecordingAnalysis, bpm: float, beats: int, downbeat_s: float) -> float:
    """Return how late the last bar line is after the nearest true one."""
    line_s = heard.last_bar_line_s(heard.end_s - 1)
    assert line_s is not None
    bar_s = beats * 60 / bpm
    bars = (line_s - downbeat_s) / bar_s
    return float((bars - round(bars)) * bar_s)


@settings(max_examples=10, deadline=None)
@given(st.floats(90, 150), st.floats(0, 1.5))
@example(100.0, 0.0)
def test_the_bar_lines_of_a_band_are_found_at_any_tempo_and_phase(
    bpm: float, downbeat_s: float
) -> None:
    heard = analyse(band("Cm", bpm, 4, downbeat_s))
    assert heard.bars is not None
    assert heard.bars.bpm == pytest.approx(bpm, rel=1e-3)
    assert heard.bars.beats_per_bar == 4
    assert abs(late_s(heard, bpm, 4, downbeat_s)) < SEAM_S


@pytest.mark.parametrize("length_s", [8.0, 20.0])
def test_a_waltz_is_in_three(length_s: float) -> None:
    heard = analyse(band("G", 130.0, 3, 0.4, length_s))
    assert heard.bars is not None
    assert heard.bars.beats_per_bar == 3
    assert abs(late_s(heard, 130.0, 3, 0.4)) < SEAM_S


@pytest.mark.parametrize("name", ["C", "F#", "Bb", "Am", "Cm", "F#m"])
def test_the_key_is_found_in_any_tuning(name: str) -> None:
    sound = band(name)
    assert analyse(sound).key == parse_key(name)
    # A third of a semitone sharper and faster.
    sharp = Waveform(sound.samples, round(RATE * 2 ** (0.33 / 12)))
    assert analyse(sharp).key == parse_key(name)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_rate_channels_and_level_change_nothing_that_is_heard(rate: int) -> None:
    sound = band("Cm", 96.0, 4, 0.7).resample(rate)
    two = Waveform(np.stack([0.02 * sound.samples[0], -0.02 * sound.samples[0]]), rate)
    heard = analyse(two)
    assert heard.bars is not None
    assert heard.bars.bpm == pytest.approx(96.0, rel=1e-3)
    assert abs(late_s(heard, 96.0, 4, 0.7)) < SEAM_S


def test_silence_around_the_music_is_left_out() -> None:
    sound = band("Cm", 120.0, length_s=12.0)
    quiet = np.zeros((1, 3 * RATE), np.float32)
    heard = analyse(Waveform(np.concatenate([quiet, sound.samples, quiet], axis=1), RATE))
    assert heard.start_s == pytest.approx(3.0, abs=0.1)
    assert heard.end_s == pytest.approx(15.0, abs=0.5)
    assert abs(late_s(heard, 120.0, 4, 3.0)) < SEAM_S


def test_only_the_last_minute_is_heard_and_times_count_from_the_start() -> None:
    first, last = band("Cm", 90.0, length_s=30.0), band("Gm", 120.0, length_s=MAX_S)
    heard = analyse(Waveform(np.concatenate([first.samples, last.samples], axis=1), RATE))
    assert heard.bars is not None
    assert heard.bars.bpm == pytest.approx(120.0, rel=1e-3)
    assert heard.key == parse_key("Gm")
    assert heard.start_s == pytest.approx(30.0, abs=0.2)
    assert abs(late_s(heard, 120.0, 4, 30.0)) < SEAM_S


def test_corrections_are_followed() -> None:
    sound = band("Cm", 100.0)
    slow = analyse(sound, bpm=67.0)
    assert slow.bars is not None
    assert slow.bars.bpm == pytest.approx(67.0, rel=0.025)
    heard = analyse(sound, beats_per_bar=5, downbeat_s=1.2)
    assert heard.bars is not None
    assert heard.bars.beats_per_bar == 5
    assert heard.bars.bpm == pytest.approx(100.0, rel=1e-3)
    assert heard.bars.downbeat_s == 1.2


def noise(length_s: float) -> Waveform:
    """Return white noise."""
    rng = np.random.default_rng(1)
    return sound_of(rng.normal(0, 0.1, (1, round(length_s * RATE))))


def speech(length_s: float, seed: int) -> Waveform:
    """Return syllables of irregular length: a buzz at a gliding pitch, and hisses."""
    rng = np.random.default_rng(seed)
    samples = np.zeros(round(length_s * RATE))
    at_s = 0.1
    while at_s < length_s - 0.5:
        length = rng.uniform(0.08, 0.3)
        time_s = np.arange(round(length * RATE)) / RATE
        phase = np.cumsum(rng.uniform(90, 180) * (1 + 0.1 * np.sin(9 * time_s))) / RATE
        voiced = sum(np.sin(2 * np.pi * n * phase) / n for n in range(1, 20))
        wave = rng.normal(size=len(time_s)) if rng.random() < 0.25 else voiced
        fade = np.minimum(1, np.minimum(time_s / 0.03, (length - time_s) / 0.05))
        add(samples, at_s, np.asarray(wave * fade), rng.uniform(0.3, 1))
        at_s += length * rng.uniform(0.7, 1.2) + rng.exponential(0.12)
    return sound_of(0.3 * samples[None])


def test_noise_and_speech_have_no_beat_unless_a_tempo_is_given() -> None:
    for sound in (noise(20.0), speech(20.0, 1), speech(20.0, 2)):
        heard = analyse(sound)
        assert heard.bars is None
        assert heard.last_bar_line_s(10.0) is None
        assert "tempo" in heard.in_words()
        told = analyse(sound, bpm=120.0)
        assert told.bars is not None
        assert told.bars.bpm == pytest.approx(120.0, rel=0.025)


def test_what_is_heard_is_said_in_words() -> None:
    words = analyse(band("Cm", 120.0)).in_words()
    assert "120.0 bpm" in words
    assert "4 beats" in words
    assert "Cm" in words


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((1, 10 * RATE)), "silent"),
        (np.full((2, 10 * RATE), 0.5), "silent"),
        (0.1 * np.ones((1, RATE // 5)), "at least 3 s"),
        (np.pad(noise(1.0).samples, ((0, 0), (5 * RATE, 5 * RATE))), "only 1.0 s"),
    ],
    ids=["silence", "DC", "0.2 s", "one second between silence"],
)
def test_bad_recordings_are_refused_in_words(samples: Samples, words: str) -> None:
    with pytest.raises(InvalidAudio, match=words):
        analyse(sound_of(samples))


@pytest.mark.parametrize(
    ("corrections", "what"),
    [
        ({"bpm": 20.0}, "tempo"),
        ({"beats_per_bar": 40}, "beats per bar"),
        ({"downbeat_s": 99.0}, "downbeat"),
        ({"downbeat_s": float("nan")}, "downbeat"),
    ],
)
def test_bad_corrections_are_refused(corrections: dict[str, float], what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        analyse(noise(5.0), **corrections)  # type: ignore[arg-type]
