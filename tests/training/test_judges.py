"""The judges of rhythm and harmony: what follows from their estimates, and that they learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import LeadSheet
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import ModelError
from riffusion.music.harmony import QUALITIES, SHARP_NAMES
from riffusion.music.styles import STYLES
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus.shards import find_mode
from riffusion.training.evaluation.families import group_styles, load_families, sum_by_family
from riffusion.training.evaluation.harmony_judge import (
    BINS,
    Harmony,
    HarmonyJudge,
    make_log_frequency_bank,
)
from riffusion.training.evaluation.judge_training import load_weights, pool_levels
from riffusion.training.evaluation.measures.continuation import BarLinePassage
from riffusion.training.evaluation.measures.controls import measure_rank_agreement
from riffusion.training.evaluation.rhythm_judge import match_tempi, measure_offset_s, measure_tempo

FRAMES = 512
SECONDS = np.arange(FRAMES) * COMPACT_PARAMS.frame_s


def pulse(bpm: float, late_s: float = 0.0, noise: float = 0.0) -> np.ndarray:
    """Return a pulse that is late, with noise."""
    rng = np.random.default_rng(0)
    turns = np.exp(2j * np.pi * (SECONDS - late_s) * bpm / 60)
    return turns + noise * (rng.standard_normal(FRAMES) + 1j * rng.standard_normal(FRAMES))


@given(st.floats(60, 180), st.floats(-0.15, 0.15), st.floats(0, 1))
def test_a_pulse_is_as_late_as_it_was_made(bpm: float, late_s: float, noise: float) -> None:
    heard = measure_offset_s(pulse(bpm, late_s, noise), SECONDS * bpm / 60, bpm)
    assert heard == pytest.approx(late_s, abs=1e-6 + 0.02 * noise)


@given(st.floats(60, 180), st.floats(0, 1))
def test_a_grid_that_moves_is_met_as_often_as_chance_has_it(bpm: float, noise: float) -> None:
    shifts = np.arange(100) / 100
    heard = [measure_offset_s(pulse(bpm, 0, noise), SECONDS * bpm / 60 + by, bpm) for by in shifts]
    assert np.mean(np.abs(heard) < 0.03) == pytest.approx(0.06 * bpm / 60, abs=0.021)


@given(st.floats(60, 180), st.floats(0, 1))
def test_the_tempo_of_a_pulse_is_found(bpm: float, noise: float) -> None:
    assert measure_tempo(pulse(bpm, 0.1, noise)) == pytest.approx(bpm, abs=0.8)


def test_tempi_within_four_percent_match() -> None:
    assert match_tempi(100, 103) == (True, True)
    assert match_tempi(100, 50) == (False, True)
    assert match_tempi(100, 71) == (False, False)


@given(st.integers(0, 11), st.integers(0, 2**31))
def test_moved_chords_are_found(by: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    loop = np.zeros((4, 12), np.float32)
    for bar, notes in enumerate(((0, 4, 7), (7, 11, 2), (9, 0, 4), (5, 9, 0))):
        loop[bar, list(notes)] = 1
    asked = np.repeat(loop, 128, 0)
    sounding = np.roll(asked[5::10], by, 1) + 0.3 * rng.random((51, 12)).astype(np.float32)
    assert Harmony(sounding, np.zeros(24, np.float32)).find_transposition(asked) == by


@given(st.integers(0, 23))
def test_the_likeliest_key_is_named(place: int) -> None:
    keys = np.full(24, 0.01, np.float32)
    keys[place] = 0.5
    heard = Harmony(np.zeros((1, 12), np.float32), keys)
    assert heard.key == (place % 12, "minor" if place > 11 else "major")
    assert heard.tonic == place % 12


@pytest.mark.parametrize("pitch", [72, 77, 81, 86, 91])
def test_a_tone_lies_where_its_pitch_is(pitch: int) -> None:
    tone = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * np.arange(44100) / 44100)
    wave = Waveform(tone[None].astype(np.float32) * 0.3, 44100)
    levels = log_mel(mel_spectrogram(wave, COMPACT_PARAMS).magnitudes).permute(2, 0, 1).numpy()
    bins = torch.from_numpy(pool_levels(levels, 10, 1)) @ make_log_frequency_bank()
    # The second of the three bins of each semitone from C2 on.
    expected = BINS // 12 * (pitch - 36) + 1
    assert abs(int(bins[5].argmax()) - expected) <= 2


def test_all_keys_are_judged_alike() -> None:
    judge = HarmonyJudge().eval()
    features = torch.randn(1, 96, 12)
    around = torch.cat([features, features[:, :, :11]], 2)
    moved = features.roll(5, 2)
    around_moved = torch.cat([moved, moved[:, :, :11]], 2)
    with torch.no_grad():
        assert torch.allclose(judge.key(around).roll(5, 2), judge.key(around_moved), atol=1e-5)


@pytest.mark.parametrize(
    ("chords", "mode"),
    [
        (("Dm7", "G7", "CM7", "A7"), "major"),
        (("Am", "F", "C", "G"), "major"),
        (("Cm", "Ab", "Eb", "Bb"), "minor"),
        (("C7", "C7", "F7"), "major"),
    ],
)
def test_the_chords_on_the_tonic_say_the_mode(chords: tuple[str, ...], mode: str) -> None:
    assert find_mode(0, chords) == mode


@settings(max_examples=20)
@given(st.sampled_from(sorted(QUALITIES)), st.integers(0, 11))
def test_the_mode_moves_with_the_tonic(quality: str, tonic: int) -> None:
    assert find_mode(tonic, [SHARP_NAMES[tonic] + quality]) == find_mode(0, ["C" + quality])


def test_a_damaged_judge_says_to_delete_it(tmp_path: Path) -> None:
    path = tmp_path / "harmony-judge.safetensors"
    path.write_bytes(b"no judge")
    with pytest.raises(ModelError, match="train it anew"):
        load_weights(HarmonyJudge(), path, "judge")


def test_what_is_mixed_up_most_is_joined_first() -> None:
    mixed_up = np.eye(6)
    mixed_up[0, 3] = mixed_up[3, 0] = 0.4
    mixed_up[1, 2] = 0.3
    mixed_up[2, 5] = 0.2
    assert sorted(group_styles(mixed_up, 4)) == [[0, 3], [1, 2], [4], [5]]
    assert sorted(group_styles(mixed_up, 3)) == [[0, 3], [1, 2, 5], [4]]


def test_every_style_is_in_one_of_24_families() -> None:
    names = sorted(style.name for style in STYLES)
    families = load_families(names)
    assert len(set(families.values())) == 24
    scores = torch.randn(5, len(names))
    assert torch.allclose(sum_by_family(scores, names, families).sum(1), torch.ones(5))
    assert load_families(["house", "techno", "unheard of"])["unheard of"] == 1


def test_what_was_written_is_ranked_by_what_is_measured() -> None:
    rng = np.random.default_rng(0)
    known = rng.random(500)
    assert measure_rank_agreement(known, known**3) == pytest.approx(1.0)
    assert measure_rank_agreement(known, -known) == pytest.approx(-1.0)
    assert abs(measure_rank_agreement(known, rng.random(500))) < 0.1


class KnownJudge:
    """Reads the angle of the pulse from the first band."""

    def predict(self, levels: np.ndarray) -> object:
        from riffusion.training.evaluation.rhythm_judge import Rhythm

        return Rhythm(np.exp(1j * levels[:, 0, 0].astype(float)), 0.0, 0.0)


@given(st.floats(-0.2, 0.2))
def test_a_beat_that_jumps_at_a_bar_line_is_seen(jump_s: float) -> None:
    bpm = 120.0
    beats = np.arange(1000) * COMPACT_PARAMS.frame_s * bpm / 60
    turns = 2 * np.pi * beats
    turns[500:] -= 2 * np.pi * jump_s * bpm / 60
    crossing = BarLinePassage(
        turns[:, None, None], LeadSheet(beats, 4, np.zeros((1000, 12), np.float32)), bpm, 500
    )
    assert crossing.measure_jump_s(KnownJudge()) == pytest.approx(abs(jump_s), abs=1e-6)
