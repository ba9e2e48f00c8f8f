"""The measures of songs: known structures, and the whole command on a tiny model."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from riffusion.audio.waveform import Waveform
from riffusion.cli.main import main
from riffusion.engines.clip import Prompt
from riffusion.engines.protocol import Engine
from riffusion.song.model import Section, Song
from riffusion.song.placement import place_sections
from riffusion.song.planner import plan_song
from riffusion.training.corpus.dataset import FRAMES
from riffusion.training.evaluation.repetition import (
    choose_sections,
    embed_passage,
    measure_distances,
    repeats_exactly,
    split_windows,
)
from riffusion.training.evaluation.songs import plan_songs, shorten_song
from riffusion.training.evaluation.structure import (
    STEP_S,
    SelfSimilarity,
    compute_f_measure,
    compute_repetition_novelty,
    compute_self_similarity,
    exclude_excused,
    find_boundaries_s,
    measure_self_similarity,
)
from riffusion.training.evaluation.style_judge import StyleJudge, save_style_judge

RATE = 22050
PART_S = 8.0
TIMES = st.lists(st.floats(0, 100), max_size=8, unique=True)


def part(pitches: list[float], seed: int) -> np.ndarray:
    """Return eight seconds of a chord, struck twice a second, with a little noise."""
    seconds = np.arange(round(PART_S * RATE)) / RATE
    struck = np.exp(-4 * (seconds % 0.5))
    tones = sum(np.sin(2 * np.pi * hz * seconds) for hz in pitches)
    noise = 0.01 * np.random.default_rng(seed).standard_normal(len(seconds))
    return np.asarray(0.2 * struck * tones + noise, np.float32)


@pytest.fixture(scope="module")
def song() -> SelfSimilarity:
    """Return the self-similarity of a song with the parts a b a c."""
    a, b, c = [220.0, 277.2, 329.6], [196.0, 246.9, 2349.3], [1174.7, 174.6, 4186.0]
    samples = np.concatenate([part(p, seed) for seed, p in enumerate((a, b, a, c))])
    return measure_self_similarity(Waveform(samples[None], RATE))


def test_a_part_that_returns_is_like_itself(song: SelfSimilarity) -> None:
    for similarity in (song.texture, song.moments):
        steps = np.arange(len(similarity)) // round(PART_S / STEP_S)
        like = [similarity[steps == 0][:, steps == number].mean() for number in range(4)]
        assert like[2] > 0.9 * like[0] > max(like[1], like[3]) + 0.3


def test_boundaries_are_found_where_they_are(song: SelfSimilarity) -> None:
    true = [PART_S, 2 * PART_S, 3 * PART_S]
    assert compute_f_measure(find_boundaries_s(song), true, 0.5) == 1.0


def test_what_sounds_alike_is_parted_where_it_comes_back() -> None:
    a, b, c = np.random.default_rng(0).standard_normal((3, 20, 48))
    curve = compute_repetition_novelty(
        compute_self_similarity(np.concatenate([a, b, a, c], axis=1))
    )
    for boundary in (48, 96, 144):
        around = curve[boundary - 1 : boundary + 2].max()
        assert around > 3 * max(curve[boundary - 20], curve[boundary + 20])


def test_a_sound_without_form_has_no_boundaries_where_none_are() -> None:
    samples = np.concatenate([part([220.0, 330.0], seed) for seed in range(4)])
    found = find_boundaries_s(measure_self_similarity(Waveform(samples[None], RATE)))
    assert len(found) < 8  # chance; a boundary a part would be three


@given(TIMES, TIMES)
def test_f_measure_is_a_share_and_fair_to_both(found: list[float], true: list[float]) -> None:
    score = compute_f_measure(found, true, 1.0)
    assert 0 <= score <= 1
    assert score == compute_f_measure(true, found, 1.0)
    assert compute_f_measure(true, true, 0.0) == (1.0 if true else 0.0)


def test_f_measure_counts_each_boundary_once() -> None:
    assert compute_f_measure([9.8, 10.2], [10.0], 0.5) == pytest.approx(2 / 3)
    assert compute_f_measure([10.6], [10.0], 0.5) == 0.0


def test_a_section_that_follows_itself_is_excused() -> None:
    assert exclude_excused([1.0, 5.1, 8.0], [5.0], [1.0], 0.5) == [1.0, 8.0]
    assert exclude_excused([5.1], [5.0], [5.2], 0.5) == [5.1]


def test_songs_are_planned_that_can_be_compared() -> None:
    for song in plan_songs(20, 1.5, 2):
        repeated, other = choose_sections(song)
        assert song.order.count(repeated) > 1
        assert repeated != other in song.order
        assert max(section.bars for section in song.sections) <= 2
    long = plan_song("", 3, 1)
    assert shorten_song(long, 2).order == long.order


@pytest.fixture(scope="module")
def judge() -> StyleJudge:
    torch.manual_seed(0)
    return StyleJudge(["jazz", "techno"]).eval()


def test_a_section_is_nearer_to_itself(judge: StyleJudge) -> None:
    section = Section("a", 2, Prompt("x"))
    song = Song((section, replace(section, name="b")), ("a", "b", "a"), bpm=60)
    a, b = part([220.0, 277.2], 0), part([1174.7, 4186.0], 1)
    again = a + part([], 2)
    wave = Waveform(np.concatenate([a, b, again])[None], RATE)
    heard = measure_distances(judge, wave, place_sections(song, RATE), "a", "b")
    assert heard.within == heard.first_within == heard.furthest_within
    assert heard.nearest_across <= heard.across
    assert heard.within < 0.7 * heard.nearest_across


@given(st.integers(1, 2000))
def test_windows_cover_a_section_and_repeat_a_short_one(frames: int) -> None:
    numbers = [part[:, 0] for part in split_windows(np.arange(frames, dtype=np.float32)[:, None])]
    assert {len(part) for part in numbers} == {FRAMES}
    assert set(np.concatenate(numbers)) == set(range(frames))
    if frames < FRAMES:
        np.testing.assert_array_equal(numbers[0], np.arange(FRAMES) % frames)
    else:
        assert all(np.all(np.diff(part) == 1) for part in numbers)


def test_all_of_a_section_is_heard(judge: StyleJudge) -> None:
    wave = Waveform(np.concatenate([part([220.0], 0), part([4186.0], 1)])[None], RATE)
    half = wave.samples.shape[1] // 2
    first, whole = (embed_passage(judge, wave, 0, stop) for stop in (half, 2 * half))
    assert np.linalg.norm(first - whole) > 0.05 * np.linalg.norm(first)


def test_only_the_same_bytes_are_the_same(tiny_engine: Engine) -> None:
    sections = tuple(Section(name, 2, Prompt(name)) for name in ("a", "b"))
    song = Song(sections, ("a", "b", "a", "a"), bpm=180)
    places = place_sections(song, tiny_engine.params.sample_rate)
    assert repeats_exactly(tiny_engine, song, places)
    # A place that is called by another's name is not the same music.
    lied = replace(song, order=("a", "a", "a", "a"))
    assert not repeats_exactly(tiny_engine, song, place_sections(lied, places[0].grid.sample_rate))


def test_the_whole_command(
    tiny_model_folder: Path, tmp_path: Path, judge: StyleJudge, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command runs without a judge, then with one, and does not play the same song again."""
    file, out = tmp_path / "judge.safetensors", tmp_path / "songs"
    save_style_judge(judge, file)
    few = ["--songs", "1", "--bars", "1", "--minutes", "0.3"]
    command = ["evaluate-songs", str(tiny_model_folder), "--out", str(out), *few]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert re.search(r"same bytes +1 of 1\n", printed)
    assert "nearer to itself" not in printed
    (out / "song-00.png").unlink()
    sound = (out / "song-00.flac").stat().st_mtime_ns
    assert main([*command, "--judge", str(file)]) == 0
    assert re.search(r"variation 0.3: nearer to itself .* [01] of 1\n", capsys.readouterr().out)
    assert (out / "song-00.flac").stat().st_mtime_ns == sound
    (measures,) = json.loads((out / "songs.json").read_text())
    assert measures["same_bytes"] is True
    assert measures["distances"]["across"] > 0
    with Image.open(out / "song-00.png") as picture:
        assert picture.width > 500
    assert main([*command, "--variation", "0.5", "--exact", "0"]) == 0  # another song
    assert (out / "song-00.flac").stat().st_mtime_ns > sound


def test_the_command_times_a_song(
    tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "techno at 180 bpm, 15 seconds"
    assert main(["evaluate-songs", str(tiny_model_folder), "--line", line]) == 0
    assert "15.0 s of music in" in capsys.readouterr().out
