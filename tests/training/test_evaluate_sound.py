"""The measures of vocoders on sounds with known answers, and the command on real files."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from riffusion.audio.waveform import Waveform, read_audio, write_audio
from riffusion.cli.main import main
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.music.styles import STYLES
from riffusion.networks.weights import write_network
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus.build import choose_split, make_song
from riffusion.training.corpus.sound import get_sound_path, make_sound_file, song_numbers
from riffusion.training.evaluation import sound_measures as measures
from riffusion.training.evaluation.vocoders import BASELINE
from riffusion.vocoder.network import VocoderNetwork

RATE = 44100
Samples = measures.Samples


def hits(attack_s: float, seconds: float = 2.0) -> Samples:
    """Return stereo bursts of noise every 0.4 s that rise evenly in ``attack_s`` and decay."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * RATE)) / RATE % 0.4 - 0.2
    shape = np.clip(t / attack_s, 0, 1) * np.exp(-np.maximum(t, 0) * 25)
    return np.asarray(0.3 * shape * rng.standard_normal((2, len(t))), np.float32)


def test_a_sound_is_no_distance_from_itself() -> None:
    sound = hits(0.002)
    wave = Waveform(sound, RATE)
    assert measures.multi_resolution_stft(sound, sound) == 0
    assert measures.log_spectral_distance(sound, sound, RATE) == 0
    assert measures.mel_distance(wave, wave, COMPACT_PARAMS) == 0
    assert measures.width_ratio(sound, sound) == pytest.approx(1)
    assert measures.mono_sum_db(sound, sound) == pytest.approx(0)
    assert measures.high_band_db(sound, sound, RATE) == pytest.approx(0)


def test_half_as_loud_is_six_decibels_away() -> None:
    noise = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32) * 0.3
    half = noise * np.float32(0.5)
    assert measures.log_spectral_distance(noise, half, RATE) == pytest.approx(6.02, abs=0.05)
    mel = measures.mel_distance(Waveform(noise, RATE), Waveform(half, RATE), COMPACT_PARAMS)
    assert mel == pytest.approx(6.02, abs=0.05)
    # Half is missing, and the natural logarithm of two.
    assert measures.multi_resolution_stft(noise, half) == pytest.approx(0.5 + 0.693, abs=0.02)
    assert measures.high_band_db(noise, half, RATE) == pytest.approx(-6.02, abs=0.01)


def test_width_and_mono_are_told_apart() -> None:
    middle, side = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32) * 0.1
    wide = np.stack([middle + side, middle - side])
    narrow = np.stack([middle + side * 0.5, middle - side * 0.5])
    assert measures.width_ratio(wide, narrow) == pytest.approx(0.25, rel=0.01)
    assert measures.mono_sum_db(wide, narrow) == pytest.approx(0, abs=0.01)
    cancelling = np.stack([side, -side])
    cancelled = measures.mono_sum_db(wide, cancelling)
    assert cancelled is not None
    assert cancelled < -40
    assert measures.width_ratio(np.stack([middle, middle]), wide) is None
    assert measures.width_ratio(middle[None], middle[None]) is None


@pytest.mark.parametrize("attack_s", [0.003, 0.008])
def test_attack_times_are_those_of_the_hits(attack_s: float) -> None:
    pairs = measures.attack_times(hits(0.002), hits(attack_s), RATE)
    assert len(pairs) >= 4
    known, made = np.median(pairs, axis=0)
    assert known < 0.003
    # From a tenth to nine tenths of an even rise.
    assert made == pytest.approx(0.8 * attack_s, abs=0.0015)


def test_silence_has_nothing_to_measure() -> None:
    silence = np.zeros((2, RATE), np.float32)
    assert measures.attack_times(silence, silence, RATE) == []
    assert measures.width_ratio(silence, silence) is None
    assert measures.mono_sum_db(silence, silence) is None
    assert measures.high_band_db(silence, silence, RATE) is None
    assert measures.multi_resolution_stft(silence, silence) == 0


def test_the_command_compares_decoders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    write_audio(Waveform(hits(0.002), RATE), folder / "stereo.flac")
    write_audio(Waveform(hits(0.002)[:1], RATE).resample(22050), folder / "mono.wav")
    write_audio(Waveform(np.zeros((2, 2 * RATE), np.float32), RATE), folder / "silence.wav")
    write_audio(Waveform(hits(0.002, 0.1), RATE), folder / "short.wav")
    (folder / "broken.wav").write_bytes(b"no sound")
    report, image, listen = tmp_path / "report.json", tmp_path / "page.png", tmp_path / "listen"
    arguments = ["evaluate-sound", str(folder), "--seconds", "1.2", "--out", str(report)]
    assert main([*arguments, "--image", str(image), "--listen", str(listen)]) == 0
    said = capsys.readouterr().out
    assert "Left out short.wav" in said
    assert "Left out broken.wav" in said
    assert "multi_resolution_stft" in said
    numbers = json.loads(report.read_text())
    assert list(numbers["medians"]) == [BASELINE, "learned"]
    trips = {trip["file"]: trip for trip in numbers["recordings"][BASELINE]}
    assert set(trips) == {"stereo.flac", "mono.wav", "silence.wav"}
    assert trips["mono.wav"]["width"] is None
    assert 0 < trips["stereo.flac"]["multi_resolution_stft"] < 2
    assert trips["stereo.flac"]["speed"] > 0
    assert trips["silence.wav"]["log_spectral_db"] == 0
    with Image.open(image) as page:
        assert page.width > 500
    made = read_audio(listen / f"stereo-{BASELINE}.wav")
    assert made.samples.shape == (2, COMPACT_PARAMS.samples(121))


def test_recordings_of_any_kind_are_measured(tmp_path: Path) -> None:
    """Mono MP3, Ogg at half the rate, four channels and 96 kHz are all measured."""
    folder, report = tmp_path / "recordings", tmp_path / "report.json"
    folder.mkdir()
    sound = Waveform(hits(0.002, 1.5), RATE)
    write_audio(sound.mono(), folder / "mono.mp3")
    write_audio(sound.resample(22050), folder / "half.ogg")
    soundfile.write(folder / "four.wav", np.concatenate([sound.samples] * 2).T, RATE)
    soundfile.write(folder / "fine.flac", sound.resample(96000).samples.T, 96000)
    arguments = ["--decoders", BASELINE, "--out", str(report), "--image", str(tmp_path / "p.png")]
    assert main(["evaluate-sound", str(folder), *arguments]) == 0
    trips = json.loads(report.read_text())["recordings"][BASELINE]
    assert {trip["file"] for trip in trips} == {"mono.mp3", "half.ogg", "four.wav", "fine.flac"}
    for trip in trips:
        assert 1.4 < trip["seconds"] < 1.6
        assert 0 < trip["log_spectral_db"] < 20


def test_what_a_model_draws_of_recordings_is_measured_against_them(
    tmp_path: Path, tiny_stereo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, report = tmp_path / "recordings", tmp_path / "report.json"
    folder.mkdir()
    write_audio(Waveform(hits(0.002, 6.0), RATE), folder / "long.flac")
    write_audio(Waveform(hits(0.002, 6.0)[:1], RATE), folder / "mono.flac")
    write_audio(Waveform(hits(0.002, 3.0), RATE), folder / "short.flac")
    write_network(VocoderNetwork(width=8, hidden=8, depth=1), tmp_path / "other", exact=True)
    arguments = ["evaluate-sound", str(folder), "--out", str(report), "--decoders", "learned"]
    far = []
    for more in ([], ["--generated", str(tiny_stereo_folder), "--strength", "0.5"]):
        assert main([*arguments, "--vocoder", str(tmp_path / "other"), *more]) == 0
        recordings = json.loads(report.read_text())["recordings"]
        assert list(recordings) == ["learned", str(tmp_path / "other")]
        far.append(recordings["learned"][0]["log_spectral_db"])
    assert [trip["file"] for trip in recordings["learned"]] == ["long.flac", "mono.flac"]
    assert recordings["learned"][0]["seconds"] == pytest.approx(5.11)
    assert "Left out short.flac" in capsys.readouterr().out
    # What a network of random weights draws is other music.
    assert far[1] > 1.5 * far[0]


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    assert main(["evaluate-sound", str(tmp_path)]) == 2
    assert main(["evaluate-sound", str(tmp_path / "missing")]) == 2
    assert main(["evaluate-sound", str(tmp_path), "--decoders", "magic"]) == 2


def test_songs_of_a_split_come_style_by_style() -> None:
    numbers = list(islice(song_numbers("test"), 2 * len(STYLES)))
    assert len(set(numbers)) == len(numbers)
    assert {choose_split(number) for number in numbers} == {"test"}
    first = {number % len(STYLES) for number in numbers[: len(STYLES)]}
    assert len(first) == len(STYLES)


def test_the_sound_of_a_song_is_the_corpus_own(tmp_path: Path) -> None:
    number = next(song_numbers("train"))
    seconds, problem = make_sound_file(tmp_path, number, 0)
    assert problem is None
    sound = read_audio(get_sound_path(tmp_path, number))
    assert sound.channels == 2
    assert sound.duration_s == pytest.approx(seconds)
    _, frames = make_song(number, 0)
    made = mel_spectrogram(sound, COMPACT_PARAMS).magnitudes.clamp(min=1e-4).log10()
    # The synthesizer keeps the phase of its chorus from song to song, so not bit for bit.
    assert np.median(np.abs(made.permute(2, 0, 1).numpy() - frames)) < 0.1
