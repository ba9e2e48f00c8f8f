"""The split command runs the real demucs on a tiny network saved in the format of the hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from demucs.hdemucs import HDemucs
from safetensors.torch import save_file

from riffusion.audio.waveform import Waveform
from riffusion.cli.main import main
from riffusion.compat.stems import load_model, separate_stems

STEMS = ["drums", "bass", "other", "vocals"]
RATE = 44100
ARGUMENTS = {"sources": STEMS, "channels": 4, "samplerate": RATE}


def save_network(folder: Path, name: str, klass: str = "demucs.hdemucs.HDemucs") -> None:
    torch.manual_seed(len(name))
    network = HDemucs(**ARGUMENTS)
    metadata = {"klass": klass, "args": "[]", "kwargs": json.dumps(ARGUMENTS)}
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, folder / f"{name}.safetensors", metadata)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with two networks, of which the YAML file lists one."""
    folder = tmp_path_factory.mktemp("demucs")
    save_network(folder, "listed")
    save_network(folder, "other")
    (folder / "tiny.yaml").write_text("models: [listed]\nsegment: 4\n")
    return folder


@pytest.fixture
def song(tmp_path: Path) -> Path:
    time = np.arange(RATE) / RATE
    sides = [0.3 * np.sin(2 * np.pi * hz * time) for hz in (220, 330)]
    soundfile.write(tmp_path / "song.wav", np.stack(sides, axis=1), RATE)
    return tmp_path / "song.wav"


def refused(capsys: pytest.CaptureFixture[str], song: Path, *options: object) -> str:
    files = ("--audio", song, "--output-dir", song.parent / "stems")
    assert main([str(part) for part in ("split", *files, *options)]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_file_for_each_stem(folder: Path, song: Path) -> None:
    out = song.parent / "stems"
    options = ("--stem-model", str(folder), "--extension", "flac", "--device", "cpu")
    assert main(["split", "--audio", str(song), "--output-dir", str(out), *options]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(f"song_{stem}.flac" for stem in STEMS)
    sound, rate = soundfile.read(out / "song_bass.flac")
    assert sound.shape == (RATE, 2)
    assert rate == RATE
    assert np.abs(sound).max() > 0.001


def test_stems_are_the_output_of_the_network_at_any_level(folder: Path, song: Path) -> None:
    """Stems equal the network's output for the scaled sound, and the same sound the same stems."""
    sound = Waveform(soundfile.read(song, dtype="float32")[0].T, RATE)
    model = load_model(str(folder))
    stems = separate_stems(sound, model)
    again = separate_stems(sound, model)
    assert all(np.array_equal(stems[name].samples, again[name].samples) for name in STEMS)

    mix = torch.from_numpy(sound.samples)
    scaled = (mix - mix.mean(0).mean()) / mix.mean(0).std()
    with torch.inference_mode():
        (direct,) = model.models[0](scaled[None])
    for name, expected in zip(STEMS, direct, strict=True):
        wanted = expected * mix.mean(0).std() + mix.mean(0).mean()
        # The ends are left out, and an error of a hundredth is allowed, because demucs pads them.
        middle = slice(RATE // 4, -RATE // 4)
        error = (torch.from_numpy(stems[name].samples) - wanted)[:, middle].abs().max()
        assert error < 0.01 * wanted.abs().max()


def test_mono_and_other_rates_are_brought_to_the_networks(folder: Path) -> None:
    time = np.arange(11025) / 22050
    low = Waveform(np.sin(2 * np.pi * 220 * time)[None].astype(np.float32), 22050)
    stems = separate_stems(low, load_model(str(folder)))
    assert {stem.samples.shape for stem in stems.values()} == {(2, RATE // 2)}
    assert {stem.sample_rate for stem in stems.values()} == {RATE}


def test_the_list_says_which_networks_count(folder: Path) -> None:
    assert len(load_model(str(folder)).models) == 1


def test_without_demucs_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "demucs", None)
    assert "requirements-stems.txt" in refused(capsys, song)


def test_a_name_is_no_path(capsys: pytest.CaptureFixture[str], song: Path) -> None:
    assert "use a name like htdemucs" in refused(capsys, song, "--stem-model", "../htdemucs")


def test_weights_that_cannot_be_fetched_are_told(
    capsys: pytest.CaptureFixture[str], song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = refused(capsys, song, "--stem-model", "htdemucs")
    assert "could not fetch" in message
    assert "--stem-model" in message


@pytest.mark.parametrize(
    ("klass", "says"),
    [("subprocess.Popen", "'subprocess.Popen'"), ("demucs.states.load_model", "no network")],
)
def test_files_that_name_other_code_are_refused(
    capsys: pytest.CaptureFixture[str], song: Path, tmp_path: Path, klass: str, says: str
) -> None:
    save_network(tmp_path, "evil", klass)
    assert says in refused(capsys, song, "--stem-model", tmp_path)


def test_folders_without_safetensors_are_refused(
    capsys: pytest.CaptureFixture[str], song: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "needs safetensors" in refused(capsys, song, "--stem-model", empty)
    (empty / "model.th").write_bytes(b"\x80\x02 a pickle")
    assert "needs safetensors" in refused(capsys, song, "--stem-model", empty)
    (empty / "model.safetensors").write_bytes(b"\x80\x02 a pickle")
    assert "cannot be read as safetensors" in refused(capsys, song, "--stem-model", empty)
