"""The corpus: composition, captions, rendering and windows, with the real tools."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.network import LEAD_SHEET_DIM
from riffusion.errors import InvalidInput
from riffusion.music.instruments import NAMES, everyday_names
from riffusion.music.styles import STYLES
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus import score as notation
from riffusion.training.corpus.build import (
    JAM_BPM,
    choose_split,
    compose,
    make_shard,
    make_song,
    make_song_rng,
    render_corpus,
)
from riffusion.training.corpus.captions import Description, load_scenes, write_captions
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.corpus.features import measure_brightness
from riffusion.training.corpus.renderer import installed_soundfonts, render
from riffusion.training.corpus.shards import read_songs
from riffusion.training.corpus.windows import PATCH, draw_batch, draw_window, splice_songs


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render two songs for each of three shards, all in the training split."""
    folder = tmp_path_factory.mktemp("corpus")
    numbers = [
        n for n in range(200) if choose_split(n) == "train" and STYLES[n % len(STYLES)].grooves
    ]
    for shard in range(3):
        make_shard(folder, shard, 0, numbers[2 * shard : 2 * shard + 2])
    return folder


def test_there_are_enough_styles_and_their_names_differ() -> None:
    assert len(STYLES) >= 20
    assert len({style.name for style in STYLES}) == len(STYLES)
    assert len(NAMES) == 128


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_every_groove_plays_every_form(style: notation.Style) -> None:
    score, key, _, _, _ = compose(random.Random(f"test {style.name}"), style)
    slowest, fastest = min(style.bpm[0], JAM_BPM[0]), max(style.bpm[1], JAM_BPM[1])
    assert slowest <= score.bpm <= fastest
    assert 2 <= score.beats_per_bar <= 6
    assert score.notes(drums=True) or score.notes(drums=False)
    assert key.split()[1] in ("major", "minor")
    assert all(notation.list_pitch_classes(chord) for chord in score.chords)


@given(tonic=st.integers(0, 11), degree=st.sampled_from(["1", "b3", "57", "2m7b5", "b6", "6m"]))
def test_degrees_move_with_the_tonic(tonic: int, degree: str) -> None:
    at_c = notation.list_pitch_classes(notation.transpose(degree, 0))
    moved = notation.list_pitch_classes(notation.transpose(degree, tonic))
    assert sorted((pitch + tonic) % 12 for pitch in at_c) == sorted(moved)


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), lead=st.sampled_from([None, 0, 14, 66]))
def test_captions_name_the_style_the_lead_or_a_scene(seed: int, lead: int | None) -> None:
    words = ("funk", "funky groove")
    about = Description(
        words, ("a smoky back room",), ("tight",), "band", lead, (0, 33), True, 100, "C minor", 0.9
    )
    names = (*words, *(everyday_names(lead) if lead is not None else ()))
    for caption in write_captions(random.Random(seed), about, 10):
        assert any(name in caption for name in names) or caption in about.scenes
        assert caption == caption.strip(", ")


def test_every_style_has_scenes_and_no_two_share_one() -> None:
    scenes = [scene for style in STYLES for scene in load_scenes(style.name)]
    assert len(scenes) == len(set(scenes))
    assert min(len(load_scenes(style.name)) for style in STYLES) >= 10
    assert load_scenes("a style of a listener's own") == ()


def test_a_third_of_the_songs_leave_the_tempi_of_their_style() -> None:
    bells = next(style for style in STYLES if style.name == "church bells")
    tempi = [compose(make_song_rng(number, 0), bells)[0].bpm for number in range(300)]
    outside = sum(not bells.bpm[0] <= bpm <= bells.bpm[1] for bpm in tempi)
    # Of those that leave (0.35 of all), a bit over half are faster than any bells of the style.
    assert 0.12 < outside / len(tempi) < 0.28
    assert min(tempi) >= 60
    assert max(tempi) <= JAM_BPM[1]


def test_a_song_is_as_long_as_its_bars_and_repeats() -> None:
    number = next(n for n in range(60) if STYLES[n % len(STYLES)].name == "funk")
    song, frames = make_song(number, 0)
    bar_frames = song.beats_per_bar * 60 / song.bpm / COMPACT_PARAMS.frame_s
    assert abs(len(frames) - len(song.chords) * bar_frames) <= 1.5
    again, same_frames = make_song(number, 0)
    assert again == song
    # The synthesizer keeps the phase of its chorus from song to song, so not bit for bit.
    assert np.median(np.abs(frames - same_frames)) < 0.1
    other, _ = make_song(number, 1)
    assert other != song


def test_onsets_fall_on_the_grid_that_the_lead_sheet_promises() -> None:
    chords = ("C",) * 4
    beats = [(float(beat), 0.2, 60, 110) for beat in range(16)]
    score = notation.make_empty_score(100.0, 4, chords).add_events(
        notation.write_part(0, 115, 120, beats)
    )
    wave = Waveform(render(score, installed_soundfonts()[-1], random.Random(0)), 44100)
    frames = log_mel(mel_spectrogram(wave, COMPACT_PARAMS).magnitudes).mean((0, 1)).numpy()
    rises = np.diff(frames)
    for beat in range(1, 15):
        around = rises[60 * beat - 20 : 60 * beat + 20]
        # The STFT window reaches 23 ms ahead, so a rise begins up to three frames early.
        assert abs(int(np.argmax(around)) - 20) <= 3


def test_a_corpus_is_resumed_and_its_splits_do_not_mix(tmp_path: Path) -> None:
    make_shard(tmp_path, 0, 0, [0])
    before = (tmp_path / "mels-00000.npy").read_bytes()
    assert list(render_corpus(tmp_path, 0.01, 0, 1)) == []
    assert (tmp_path / "mels-00000.npy").read_bytes() == before
    splits = [choose_split(number) for number in range(2000)]
    assert splits.count("test") in range(60, 140)
    assert splits.count("validation") in range(60, 140)


def test_a_folder_without_a_corpus_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="riffusion corpus"):
        read_songs(tmp_path)


def test_windows_come_with_everything_that_is_known(small_corpus: Path) -> None:
    corpus = Corpus(small_corpus, "train")
    rng = np.random.default_rng(0)
    windows = [draw_window(corpus, rng) for _ in range(60)]
    for window in windows:
        assert window.frames.shape == (FRAMES, 2, COMPACT_PARAMS.mel_bands)
        assert window.lead_sheet.shape == (FRAMES, LEAD_SHEET_DIM)
        assert window.context % PATCH == 0
        assert window.context < FRAMES
        assert np.isfinite(window.frames).all()
    shown = [window.context > 0 for window in windows]
    assert 0.2 < np.mean(shown) < 0.8
    assert any(not window.prompt_known for window in windows)
    batch = draw_batch(corpus, rng, 16)
    conditioning = batch.conditioning
    assert batch.images.shape == (16, 2, COMPACT_PARAMS.mel_bands, FRAMES)
    unknown = conditioning.text_known[:, 0] == 0
    assert (conditioning.text[unknown] == 0).all()
    assert torch.isfinite(conditioning.text).all()


def test_the_other_past_ends_where_the_new_song_has_a_bar_line(small_corpus: Path) -> None:
    corpus = Corpus(small_corpus, "train")
    rng = np.random.default_rng(1)
    for _ in range(20):
        _, frames, sheet = splice_songs(corpus, rng, 0, 104)
        assert frames.shape == (FRAMES, 2, COMPACT_PARAMS.mel_bands)
        assert sheet.frames == FRAMES
        phase = sheet.beats[104] / sheet.beats_per_bar % 1
        assert min(phase, 1 - phase) < 1e-6


def test_brightness_is_where_the_energy_lies() -> None:
    low, high = (np.full((10, 2, 128), -4.0, np.float32) for _ in range(2))
    low[..., 10] = high[..., 90] = 1.0
    assert measure_brightness(low) == pytest.approx(10, abs=0.1)
    assert measure_brightness(high) == pytest.approx(90, abs=0.1)


def test_a_song_description_survives_the_file(small_corpus: Path) -> None:
    _, song = read_songs(small_corpus)[0]
    assert song == replace(song)
    assert isinstance(song.captions, tuple)
    assert song.frames > FRAMES
