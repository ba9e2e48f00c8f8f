"""What is measured of songs: known forms, and the whole command on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from riffusion.cli import main
from riffusion.song.planner import plan_song
from riffusion.training.evaluate_songs import compared, planned_songs, shortened
from riffusion.training.form import (
    boundaries_s,
    f_measure,
    features,
    self_similarity,
)
from riffusion.training.judge import Judge, save_judge
from riffusion.waveform import Waveform

RATE = 22050
PART_S = 8.0
TIMES = st.lists(st.floats(0, 100), max_size=8, unique=True)


def part(pitches: list[float], seed: int) -> np.ndarray:
    """Eight seconds of a chord, struck twice a second, with a little noise."""
    seconds = np.arange(round(PART_S * RATE)) / RATE
    struck = np.exp(-4 * (seconds % 0.5))
    tones = sum(np.sin(2 * np.pi * hz * seconds) for hz in pitches)
    noise = 0.01 * np.random.default_rng(seed).standard_normal(len(seconds))
    return np.asarray(0.2 * struck * tones + noise, np.float32)


@pytest.fixture(scope="module")
def similarity() -> np.ndarray:
    """Of a song a b a c."""
    a, b, c = [220.0, 277.2, 329.6], [196.0, 246.9, 2349.3], [1174.7, 174.6, 4186.0]
    samples = np.concatenate([part(p, seed) for seed, p in enumerate((a, b, a, c))])
    return self_similarity(features(Waveform(samples[None], RATE)))


def test_what_comes_back_is_like_itself(similarity: np.ndarray) -> None:
    steps = np.arange(len(similarity)) // round(PART_S / 0.25)
    like = [similarity[steps == 0][:, steps == number].mean() for number in range(4)]
    assert like[2] > 0.9 * like[0] > max(like[1], like[3]) + 0.3


def test_boundaries_are_found_where_they_are(similarity: np.ndarray) -> None:
    true = [PART_S, 2 * PART_S, 3 * PART_S]
    assert f_measure(boundaries_s(similarity), true, 0.5) == 1.0


def test_a_sound_without_form_has_no_boundaries_where_none_are() -> None:
    samples = np.concatenate([part([220.0, 330.0], seed) for seed in range(4)])
    found = boundaries_s(self_similarity(features(Waveform(samples[None], RATE))))
    assert len(found) < 8  # chance; a boundary a part would be three


@given(TIMES, TIMES)
def test_f_measure_is_a_share_and_fair_to_both(found: list[float], true: list[float]) -> None:
    score = f_measure(found, true, 1.0)
    assert 0 <= score <= 1
    assert score == f_measure(true, found, 1.0)
    assert f_measure(true, true, 0.0) == (1.0 if true else 0.0)


def test_f_measure_counts_each_boundary_once() -> None:
    assert f_measure([9.8, 10.2], [10.0], 0.5) == pytest.approx(2 / 3)
    assert f_measure([10.6], [10.0], 0.5) == 0.0


def test_songs_are_planned_that_can_be_compared() -> None:
    for song in planned_songs(20, 1.5, 2):
        repeated, other = compared(song)
        assert song.order.count(repeated) > 1
        assert repeated != other in song.order
        assert max(section.bars for section in song.sections) <= 2
    long = plan_song("", 3, 1)
    assert shortened(long, 2).order == long.order


def test_the_whole_command(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge, out = tmp_path / "judge.safetensors", tmp_path / "songs"
    save_judge(Judge(["jazz", "techno"]), judge)
    few = ["--songs", "1", "--bars", "2", "--minutes", "0.4"]
    command = ["evaluate-songs", str(tiny_model_folder), "--judge", str(judge), "--out", str(out)]
    assert main([*command, *few]) == 0
    assert "same bytes                           1 of 1" in capsys.readouterr().out
    (measures,) = json.loads((out / "songs.json").read_text())
    assert measures["same_bytes"] is True
    assert measures["distance_across"] > 0
    with Image.open(out / "song-00.png") as picture:
        assert picture.width > 500


def test_the_command_times_a_song(
    tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "techno at 180 bpm, 15 seconds"
    assert main(["evaluate-songs", str(tiny_model_folder), "--line", line]) == 0
    assert "15.0 s of music in" in capsys.readouterr().out


def test_the_command_needs_a_judge(
    tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate-songs", str(tiny_model_folder)]) == 2
    assert "--judge is 'missing'" in capsys.readouterr().err
