"""The measures behind the table of benchmarks: each distinguishes a good case from a bad one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchmarks import analysis, cohesion, handmade
from benchmarks.__main__ import read_given
from benchmarks.arithmetic import Counter, count_clip_gflop, summarise_limit
from benchmarks.browser import count_differences
from benchmarks.hour import BPM, BarLine, Played, measure_off_grid, measure_silence
from benchmarks.options import Options
from benchmarks.profile import STAGES, Clock, profile_jam
from benchmarks.report import Row, describe_machine, format_json, format_table
from benchmarks.seams import CROSSFADE_AT_S, DOWNBEAT_AT_S, Excerpt, flux_ratio, step_ratio
from benchmarks.setup import sum_downloads_mb
from benchmarks.song import measure_off_grid as measure_sections_off_grid
from benchmarks.speed import TEMPI, measure_factor, summarise_tempi
from riffusion.engines.loading import load_engine
from riffusion.errors import InvalidInput
from riffusion.song.placement import place_sections
from riffusion.song.planner import plan_song
from riffusion.spectral.spectrogram import SpectrogramParams

RATE = 44100
PARAMS = SpectrogramParams(win_length=2048, n_fft=2048, mel_bands=64)
BOUNDARIES = (2 * RATE, 4 * RATE, 6 * RATE)


def music() -> npt.NDArray[np.float32]:
    """Return eight seconds of steady noise."""
    return np.random.default_rng(0).normal(0, 0.1, (1, 8 * RATE)).astype(np.float32)


def excerpt(samples: npt.NDArray[np.float32]) -> Excerpt:
    """Return an excerpt with a bar of a second and three boundaries."""
    bars = tuple(range(0, 8 * RATE, RATE))
    return Excerpt(samples, RATE, BOUNDARIES, bars)


@pytest.mark.parametrize("bar_lines_only", [False, True])
def test_flux_ratio_measures_a_hard_cut_and_nothing_else(bar_lines_only: bool) -> None:
    smooth = music()
    for span_s in (CROSSFADE_AT_S, DOWNBEAT_AT_S):
        ratio = flux_ratio(excerpt(smooth), PARAMS, span_s, bar_lines_only=bar_lines_only)
        assert 0.8 < ratio < 1.2
        cut = music()
        end = round(span_s[1] * RATE)
        for sample in BOUNDARIES:
            cut[:, sample + end - 2205 : sample + end] *= 0.01
        assert flux_ratio(excerpt(cut), PARAMS, span_s, bar_lines_only=bar_lines_only) > 2


def test_step_ratio_sees_a_click() -> None:
    assert step_ratio(excerpt(music()), CROSSFADE_AT_S) <= 1.0
    clicked = music()
    clicked[:, BOUNDARIES[1]] += 2
    assert step_ratio(excerpt(clicked), CROSSFADE_AT_S) > 2


@given(st.integers(0, 1500), st.integers(-3, 3))
def test_off_grid_counts_samples(bar: int, error: int) -> None:
    exact = round(bar * 4 * 60 * RATE / BPM)
    played = Played(0, RATE, (BarLine(4 * bar, exact + error),), 0)
    assert measure_off_grid(played) == abs(error)


@given(st.integers(0, 1000), st.integers(-3, 3))
def test_sections_off_the_grid_are_counted_in_samples(seed: int, error: int) -> None:
    song = plan_song("two minutes", seed=seed)
    starts = [place.start for place in place_sections(song, RATE)][1:]
    moved = Excerpt(music(), RATE, (*starts[:-1], starts[-1] + error), ())
    assert measure_sections_off_grid(song, moved) == abs(error)


def test_longest_silence_across_blocks(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        sound = generator.integers(1, 9, 1000).astype(np.int16)
        start = int(generator.integers(0, 1000))
        length = int(generator.integers(0, 1000 - start + 1))
        sound[start : start + length] = 0
        path = tmp_path / "sound.wav"
        soundfile.write(path, sound, RATE)
        assert measure_silence(path, block_samples=100) == length


def test_difference_aligns_on_the_first_sound_and_counts() -> None:
    master = np.array([[0], [5], [6], [7], [8]], np.int16)
    played = np.concatenate([np.zeros((9, 1)), master[1:4]]).astype(np.float32)
    assert count_differences(played, master) == (3, 0)
    played[-1] += 0.25
    assert count_differences(played, master) == (3, 1)


def test_downloads_are_added_up(tmp_path: Path) -> None:
    wheel = tmp_path / "local-1.whl"
    wheel.write_bytes(bytes(250_000))
    lines = [
        "Collecting numpy",
        "  Downloading numpy-2-cp311.whl (16.5 MB)",
        "  Downloading small-1.whl (500 kB)",
        f"Processing {wheel}",
    ]
    assert sum_downloads_mb(lines) == pytest.approx(17.25)


def test_the_worst_tempo_the_median_and_the_ratio_are_told() -> None:
    live = {bpm: 30.0 - (bpm == 180) * 8 + (bpm < 100) for bpm in TEMPI}
    fine = {60.0: 8.0, 180.0: 5.0}
    factors = {("live", bpm): [factor] for bpm, factor in live.items()}
    factors |= {("fine", bpm): [factor, factor + 1, factor - 1] for bpm, factor in fine.items()}
    rows = {row.what: row for row in summarise_tempi(factors)}
    worst = rows["live, worst tempo"]
    assert (worst.value, worst.note) == (22.0, "180 bpm")
    assert rows["live, median of tempi"].value == 30.0
    assert rows["live over fine at 60 bpm"].value == pytest.approx(31 / 8)
    assert rows["live over fine, least"].value == pytest.approx(31 / 8)
    assert rows["fine jam at 180 bpm, times faster than real time"].value == 5.0


def test_stages_are_summed_over_threads() -> None:
    clock = Clock()

    def work() -> None:
        with clock.stage("denoise"):
            time.sleep(0.05)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.spent["denoise"] >= 0.15
    assert len(clock.worked) <= 3


def test_layers_are_counted_with_their_attention() -> None:
    counter = Counter()
    queries, draw = nn.Linear(4, 12), nn.Linear(4, 5)
    for layer in (queries, draw):
        layer.register_forward_hook(counter.add)
        layer(torch.zeros(2, 7, 4))
    products = 2 * 2 * 7 * 4 * (12 + 5)
    assert counter.flop == products + 2 * 2 * (2 * 7 * 7 * 4)


def test_the_share_of_the_limit_is_of_the_product_that_is_used() -> None:
    products = {("float32", 1): 50.0, ("float32", 2): 100.0, ("8 bits", 1): 200.0}
    rows = {
        row.what: row.value
        for row in summarise_limit(products, {"live": 5.0, "fine": 40.0}, {"live": 0.1, "fine": 1})
    }
    assert rows["share of the limit, live"] == pytest.approx(25)
    assert rows["share of the limit, fine"] == pytest.approx(40)


def test_a_jam_is_timed_over_whole_rounds_and_by_stage(tiny_model_folder: Path) -> None:
    engine = load_engine(str(tiny_model_folder), "cpu")
    assert measure_factor(engine, 180.0) > 0
    seconds = profile_jam(engine, 4.0, 120.0, "C")
    assert all(seconds[stage] >= 0 for stage in STAGES)
    assert seconds["denoise"] > 0
    assert count_clip_gflop(engine, "live") > 0


def test_table_and_json_hold_the_machine_and_every_row() -> None:
    rows = [Row("speed", 4.25, "x", ">= 3", "median"), Row("gaps", 0)]
    facts = describe_machine()
    text = format_table(rows, facts)
    assert "| speed | 4.25 x | >= 3 | median |" in text
    assert f"torch: {facts['torch']}" in text
    assert json.loads(format_json(rows, facts))["rows"][1]["what"] == "gaps"


def test_cohesion_is_measured_with_the_settings_given(tiny_model_folder: Path) -> None:
    given = read_given(["walk_bars=5", "chords=Am F", "bpm=180"])
    assert given == {"walk_bars": 5, "chords": "Am F", "bpm": 180.0}
    options = Options(model=str(tiny_model_folder), held_minutes=0.12, seeds=1, settings=given)
    rows = {row.what: row for row in cohesion.measure(options)}
    assert rows["held: correlation one loop apart"].note.startswith("12 jams")
    walk = rows["walk: correlation one loop apart"]
    assert walk.note.startswith("6 jams")
    assert walk.value == rows["walk: correlation 2 bars apart"].value
    # Five bars are played, and three of them measured: none of these are four apart.
    assert "walk: correlation 4 bars apart" not in rows
    for piece in (*cohesion.HELD, *cohesion.WALKS):
        assert f"{piece.name}: correlation one loop apart" in rows


def test_each_seed_of_a_piece_is_another_jam() -> None:
    settings = [cohesion.WALKS[0].make_settings(seed, {"path": "hold"}) for seed in range(3)]
    assert len({(one.prompt_a.seed, one.prompt_b.seed) for one in settings}) == 3
    assert {one.path for one in settings} == {"hold"}
    assert len({piece.bpm for piece in cohesion.HELD}) == len(cohesion.HELD) == 12


@pytest.mark.parametrize("text", ["walk_bars", "no_such=1", "walk_bars=many", "=4", "path=away"])
def test_settings_that_do_not_exist_are_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_given([text])


@pytest.mark.parametrize("make", handmade.MAKERS, ids=lambda make: make.__name__)
def test_a_jam_would_come_in_on_the_beat_of_recordings_made_by_hand(
    make: Callable[[], handmade.KnownRecording],
) -> None:
    known = make()
    verdict = analysis.judge(known)
    assert verdict.is_on_beat
    assert verdict.is_metre
    # The eighths of the slow ballad may be counted as beats.
    assert min(abs(verdict.tempo_ratio / times - 1) for times in (1, 2)) < 1e-3
    assert verdict.key == ("right" if known.key else "none")
    wrong = replace(known, downbeat_s=known.downbeat_s + 0.1, bpm=known.bpm, key="F#")
    other = analysis.judge(wrong)
    assert not other.is_on_beat
    assert other.late_s == pytest.approx(verdict.late_s - 0.1, abs=1e-6)
    assert other.key == "wrong"
