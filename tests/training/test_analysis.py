"""The fit of the patterns by which recordings are analysed, on songs of the corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from riffusion.analysis.patterns import load_patterns, save_patterns
from riffusion.cli.main import main
from riffusion.training.analysis.examples import make_bar_examples, make_key_examples
from riffusion.training.analysis.songs import KnownSong, read_known_songs
from riffusion.training.analysis.train import fit_bars, fit_keys
from riffusion.training.corpus.sound import render_sound


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[KnownSong]:
    """Return three songs that were rendered to files and read again."""
    folder = tmp_path_factory.mktemp("songs")
    assert not [problem for _, problem in render_sound(folder, "train", 3, 0, 1) if problem]
    return list(read_known_songs(folder, 0))


def test_the_right_bar_and_key_of_songs_are_learnt(songs: list[KnownSong]) -> None:
    examples = [example for song in songs for example in make_bar_examples(song)]
    weights = {name: row.detach().numpy() for name, row in fit_bars(examples).items()}
    for example in examples:
        beside = example.general @ np.concatenate([weights["pulse"].ravel(), weights["tempo"]])
        scores = [
            bars @ weights[name].ravel() + beside[:, None]
            for name, bars in zip(("three", "four"), example.bars, strict=True)
        ]
        scores[0] += weights["waltz"]
        best = max(float(score.max()) for score in scores)
        assert scores[example.metre][example.tempo, 0] == pytest.approx(best)
    keys = [example for song in songs for example in make_key_examples(song)]
    fitted = {name: row.detach().numpy() for name, row in fit_keys(keys).items()}
    for heard in keys:
        scored = fitted["key"] @ heard.pitch_classes.T + fitted["mode"][:, None]
        assert scored.argmax() == heard.key


def test_patterns_are_written_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "patterns.safetensors"
    save_patterns(load_patterns(), path)
    assert load_patterns(path).four == pytest.approx(load_patterns().four)


def test_a_folder_without_songs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-analysis", str(tmp_path), "--out", str(tmp_path / "none")]) == 2
    assert "corpus-sound" in capsys.readouterr().err
