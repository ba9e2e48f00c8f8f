"""A corpus that is damaged, odd or too big for the disk: each error says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from riffusion.audio.waveform import Waveform, write_audio
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import InvalidAudio, InvalidInput, StorageError
from riffusion.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.corpus.shards import Song, get_listing_path, read_songs, write_shard
from riffusion.training.corpus.windows import draw_batch, draw_window
from riffusion.training.evaluation.engine import evaluate_audio
from riffusion.training.evaluation.style_judge import StyleJudge
from tests.full_disk import files_of_at_most

RATE = COMPACT_PARAMS.sample_rate
SONG = Song(
    "house", "band", "train", 120, 4, "C minor", ("Cm", "Ab"), None, (0,), 4.0, 2.0,
    ("house",), "a soundfont", 0, 700,
)  # fmt: skip


def write_corpus(folder: Path, frames: int = 700, level: float = -2.0, **changes: Any) -> Path:
    """Write a shard with one song of steady noise."""
    rng = np.random.default_rng(0)
    image = level + 0.5 * rng.standard_normal((frames, 2, COMPACT_PARAMS.mel_bands))
    song = Song(**{**SONG.__dict__, "frames": frames, **changes})
    write_shard(folder, 0, [song], image.astype(np.float16))
    return folder


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda entry: entry.pop("captions"), "without captions"),
        (lambda entry: entry.update(captions=[]), "without captions"),
        (lambda entry: entry.update(captions=["house", " "]), "empty one"),
        (lambda entry: entry.update(captions=[7]), "without captions"),
        (lambda entry: entry.update(chords=["H7"]), "H7"),
        (lambda entry: entry.update(chords=[]), "without chords"),
        (lambda entry: entry.update(split="trian"), "trian"),
        (lambda entry: entry.update(bpm=0), "tempo"),
        (lambda entry: entry.update(bpm="fast"), "rendered again"),
        (lambda entry: entry.update(colour="red"), "colour"),
    ],
)
def test_a_song_that_cannot_be_is_named(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object], said: str
) -> None:
    listing = get_listing_path(write_corpus(tmp_path), 0)
    entries = json.loads(listing.read_text())
    damage(entries[0])
    listing.write_text(json.dumps(entries))
    with pytest.raises(InvalidInput, match="rendered again") as caught:
        read_songs(tmp_path)
    assert said in str(caught.value)


def test_a_list_that_is_cut_off_is_named(tmp_path: Path) -> None:
    listing = get_listing_path(write_corpus(tmp_path), 0)
    listing.write_text(listing.read_text()[:100])
    with pytest.raises(InvalidInput, match="rendered again"):
        read_songs(tmp_path)


def test_frames_that_are_missing_cut_off_or_others_are_named(tmp_path: Path) -> None:
    array = write_corpus(tmp_path) / "mels-00000.npy"
    whole = array.read_bytes()
    array.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match=r"delete songs-00000.json too"):
        Corpus(tmp_path, "train")
    array.write_bytes(b"")
    with pytest.raises(InvalidInput, match="cannot be read"):
        Corpus(tmp_path, "train")
    for other in (np.zeros((700, 2, 64), np.float16), np.zeros((500, 2, 128), np.float16)):
        np.save(array, other)
        with pytest.raises(InvalidInput, match="needs float16"):
            Corpus(tmp_path, "train")
    array.unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        Corpus(tmp_path, "train")


@pytest.mark.parametrize(
    "captions", [("хаус",), ("ハウス", "музыка"), ("موسيقى",), ("not house at all",), ("🎹" * 200,)]
)
def test_captions_in_any_script_and_wrong_ones_train(
    tmp_path: Path, captions: tuple[str, ...]
) -> None:
    corpus = Corpus(write_corpus(tmp_path, captions=captions), "train")
    conditioning = draw_batch(corpus, np.random.default_rng(0), 4).conditioning
    assert torch.isfinite(conditioning.text).all()


@pytest.mark.parametrize(("frames", "level"), [(700, -5.0), (700, 3.0), (40, -2.0), (1, -2.0)])
def test_silent_clipped_and_short_songs_give_whole_windows(
    tmp_path: Path, frames: int, level: float
) -> None:
    corpus = Corpus(write_corpus(tmp_path, frames, level), "train")
    rng = np.random.default_rng(0)
    for _ in range(20):
        window = draw_window(corpus, rng)
        assert window.frames.shape == (FRAMES, 2, COMPACT_PARAMS.mel_bands)
        assert torch.isfinite(window.controls).all()


def test_frames_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    with np.errstate(invalid="ignore"):
        write_corpus(tmp_path, level=np.nan)
        corpus = Corpus(tmp_path, "train")
    with pytest.raises(InvalidInput, match="no numbers"):
        draw_window(corpus, np.random.default_rng(0))


def test_a_full_disk_leaves_no_half_shard(tmp_path: Path) -> None:
    with files_of_at_most(10_000), pytest.raises(StorageError, match="free some space"):
        write_corpus(tmp_path)
    assert list(tmp_path.iterdir()) == []
    write_corpus(tmp_path)
    with files_of_at_most(100), pytest.raises(StorageError, match="captions"):
        Corpus(tmp_path, "train")


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    network = torch.nn.Linear(64, 64)
    save_checkpoint(tmp_path, network, network, [], Progress(1, 10, 1.0, {}))
    with files_of_at_most(2_000), pytest.raises(StorageError, match="last checkpoint"):
        save_checkpoint(tmp_path, network, network, [], Progress(2, 20, 2.0, {}))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    progress = load_checkpoint(tmp_path, network, network, [], {})
    assert progress is not None
    assert progress.step == 1


def test_a_checkpoint_of_another_network_is_named(tmp_path: Path) -> None:
    small, large = torch.nn.Linear(4, 4), torch.nn.Linear(8, 8)
    save_checkpoint(tmp_path, small, small, [], Progress(1, 10, 1.0, {}))
    with pytest.raises(InvalidInput, match="another version"):
        load_checkpoint(tmp_path, large, large, [], {})


def test_odd_audio_is_judged_and_what_is_none_is_named(tmp_path: Path) -> None:
    judge = StyleJudge(["church bells", "house"]).eval()
    folder = tmp_path / "house"
    folder.mkdir()
    tone = 3 * np.sin(np.arange(40_000) / 20).astype(np.float32)[None]
    write_audio(Waveform(np.zeros((1, RATE), np.float32), RATE), folder / "silent.wav")
    write_audio(Waveform(tone.clip(-1, 1), RATE), folder / "clipped.wav")
    write_audio(Waveform(tone[:, :300] / 4, RATE), folder / "short.wav")
    write_audio(Waveform(np.repeat(tone / 4, 2, 0), 11_127), folder / "odd.wav")
    rows = evaluate_audio(tmp_path, judge)
    assert rows[0].clips == 4
    assert all(np.isfinite(row.value) for row in rows)
    (folder / "text.wav").write_text("no audio")
    with pytest.raises(InvalidAudio, match=r"text\.wav"):
        evaluate_audio(tmp_path, judge)
