"""Training of the vocoder: its batches and losses, that it learns, and that it resumes."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform, write_audio
from riffusion.cli.main import main
from riffusion.engines.compact.engine import CompactEngine
from riffusion.engines.compact.network import SpectrogramTransformer
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput, ModelError
from riffusion.networks.weights import write_network
from riffusion.spectral.spectrogram import Spectrogram
from riffusion.training.vocoder.data import (
    Recordings,
    VocoderBatch,
    count_samples,
    draw_equalizers,
    draw_tones,
    make_batch,
)
from riffusion.training.vocoder.generated import GeneratedWindows
from riffusion.training.vocoder.losses import vocoder_losses
from riffusion.training.vocoder.stereo_width import match_stereo_width
from riffusion.training.vocoder.train import (
    VocoderOptions,
    VocoderTrainer,
)
from riffusion.vocoder.learned import LearnedVocoder
from riffusion.vocoder.network import VocoderNetwork, VocoderOutput

RATE = 44100
PARAMS = VocoderNetwork(width=8, hidden=8, depth=1).params
FINE, BASS = 372, 56


def a_batch(seed: int = 0, frames: int = 12) -> VocoderBatch:
    rng = np.random.default_rng(seed)
    samples = count_samples(frames, PARAMS)
    sound = np.stack([draw_tones(rng, samples, RATE) + 0.01 * rng.normal(size=(2, samples))])
    curves = draw_equalizers(rng, 1, PARAMS.mel_bands)
    return make_batch(torch.from_numpy(sound.astype(np.float32)), curves, PARAMS)


def perfect(batch: VocoderBatch) -> VocoderOutput:
    """Return the output of a network that knows everything, computed with complex numbers."""
    middle = batch.middle
    bins = torch.arange(middle.shape[1])[:, None]
    own = torch.polar(torch.ones(len(bins), 1), 2 * torch.pi * bins * 441 / 2048)
    unit = middle / middle.abs()
    advance = torch.zeros_like(middle)
    advance[..., 1:] = unit[..., 1:] * unit[..., :-1].conj() * own.conj()
    slope = torch.zeros_like(middle)
    slope[:, :-1] = unit[:, 1:] * unit[:, :-1].conj()
    levels = middle.abs().clamp(min=1e-4).log10()
    parts = (torch.stack([z.real, z.imag], 1) for z in (advance[:, :FINE], slope))
    return VocoderOutput(levels, batch.sides, *parts)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_perfect_output_costs_nothing(seed: int) -> None:
    batch = a_batch(seed)
    losses = vocoder_losses(perfect(batch), batch, PARAMS, BASS)
    # Steps of bins near silence carry rounding errors, and next to no weight.
    assert losses.max() < 1e-3
    silent = VocoderOutput(*(torch.zeros_like(part) for part in perfect(batch)))
    assert (vocoder_losses(silent, batch, PARAMS, BASS) > 0.1).all()


def test_the_bass_counts_by_itself() -> None:
    batch = a_batch()
    for part in ("middle", "advance", "slope"):
        drawing = perfect(batch)
        drawn = getattr(drawing, part)
        drawn.narrow(drawn.ndim - 2, BASS, FINE - BASS).add_(1.0)
        assert vocoder_losses(drawing, batch, PARAMS, BASS)[-1] < 1e-3
        drawn.narrow(drawn.ndim - 2, 0, BASS).add_(1.0)
        assert vocoder_losses(drawing, batch, PARAMS, BASS)[-1] > 0.5


def test_tones_are_those_asked_of_the_generator() -> None:
    first, again = (draw_tones(np.random.default_rng(3), 5000, RATE) for _ in range(2))
    assert first.shape == (2, 5000)
    assert np.array_equal(first, again)
    assert 0.001 < np.abs(first).max() < 4


def write_sound(folder: Path, rng: np.random.Generator, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    music = np.clip(draw_tones(rng, round(seconds * RATE), RATE), -1, 1)
    write_audio(Waveform(music, RATE), folder / "song.flac")


def write_splits(folder: Path, seed: int, seconds: float) -> Path:
    rng = np.random.default_rng(seed)
    for split in ("train", "validation"):
        write_sound(folder / split, rng, seconds)
    return folder


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "sound", seed=1, seconds=1.0)


@pytest.fixture
def long_sound(tmp_path: Path) -> Path:
    """Write recordings that are longer than a window of an engine."""
    return write_splits(tmp_path / "long", seed=2, seconds=6.0)


def test_a_run_learns_writes_a_vocoder_and_goes_on(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "vocoder"
    options = VocoderOptions(minutes=0.03, batch=2, frames=8, compiled=False)
    VocoderTrainer(sound, out, options).run()
    assert isinstance(LearnedVocoder.load(out), LearnedVocoder)
    assert (out / "run" / "curve.png").exists()
    resumed = VocoderTrainer(sound, out, options)
    assert resumed.progress.step > 0
    rng = np.random.default_rng(0)
    losses = [float(resumed.train_step(rng)[0]) for _ in range(12)]
    assert np.mean(losses[-4:]) < np.mean(losses[:4])


def test_a_run_can_begin_with_another_s_weights(sound: Path, tmp_path: Path) -> None:
    network = VocoderNetwork(width=8, hidden=8, depth=1)
    write_network(network, tmp_path / "before", exact=True)
    options = VocoderOptions(minutes=0.0, start_from=tmp_path / "before", compiled=False)
    begun = VocoderTrainer(sound, tmp_path / "after", options).network
    assert torch.equal(begun.trunk.embed.weight, network.trunk.embed.weight)


def test_a_generated_window_is_the_music_under_its_sound(
    long_sound: Path, tiny_stereo_engine: Engine
) -> None:
    rng = np.random.default_rng(0)
    windows = GeneratedWindows(Recordings(long_sound / "train", RATE), tiny_stereo_engine, 2, rng)
    sound, drawn = windows.draw_crops(rng, 3, 40)
    assert sound.shape == (3, 2, count_samples(40, PARAMS))
    assert drawn.shape == (3, 2, PARAMS.mel_bands, 40)
    assert not torch.equal(drawn[0], drawn[1])


@settings(max_examples=5, deadline=None)
@given(place=st.integers(0, 300))
def test_generated_crops_lie_where_their_sound_is(place: int) -> None:
    """An engine that returns its anchor shows it: the levels are those of the sound."""

    class Mirror(CompactEngine):
        def generate(self, requests: Any, **_: Any) -> list[Spectrogram]:
            return [request.anchor for request in requests]

    mirror = Mirror(SpectrogramTransformer(channels=2, width=32, depth=1, heads=2), "mirror")
    rng = np.random.default_rng(place)
    with TemporaryDirectory() as folder:
        write_sound(Path(folder), rng, 6.0)
        windows = GeneratedWindows(Recordings(Path(folder), RATE), mirror, 1, rng)
        sound, drawn = windows.draw_crops(rng, 1, 30)
    heard = make_batch(sound, torch.zeros(1, PARAMS.mel_bands), PARAMS).levels
    assert torch.allclose(drawn, heard, atol=0.01)


def test_a_batch_reads_what_was_drawn_through_the_same_equalizer() -> None:
    sound = torch.randn(1, 2, count_samples(4, PARAMS))
    drawn = torch.full((1, 2, PARAMS.mel_bands, 4), -1.0)
    curves = torch.linspace(-0.5, 0.5, PARAMS.mel_bands)[None]
    batch = make_batch(sound, curves, PARAMS, drawn)
    assert torch.allclose(batch.levels, drawn + curves[:, None, :, None])
    own = make_batch(sound, curves, PARAMS)
    assert torch.equal(batch.middle, own.middle)
    assert not torch.allclose(own.levels, batch.levels, atol=0.1)


def test_a_run_learns_from_what_an_engine_draws_too(
    long_sound: Path, tiny_stereo_folder: Path, tmp_path: Path
) -> None:
    arguments = ["--minutes", "0.03", "--batch", "4", "--frames", "8", "--no-compile"]
    run = ["train-vocoder", str(long_sound), str(tmp_path / "out"), *arguments]
    windows = ["--generated-windows", "2", "--validation-windows", "1"]
    assert main([*run, "--generated", str(tiny_stereo_folder), *windows]) == 0
    curve = (tmp_path / "out" / "run" / "curve.jsonl").read_text().splitlines()
    point = json.loads(curve[-1])
    assert 0 < point["generated"] != point["validation"]


def test_an_engine_that_draws_something_else_is_refused(
    sound: Path, tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["train-vocoder", str(sound), str(tmp_path / "out"), "--generated"]
    assert main([*run, str(tiny_model_folder)]) == 2
    assert "two channels" in capsys.readouterr().err


def test_sides_are_levelled_to_those_of_the_median_crop() -> None:
    batches = [a_batch(seed) for seed in range(5)]
    network = VocoderNetwork(width=8, hidden=8, depth=1)
    match_stereo_width(network, batches)
    before = network.draw.bias.clone()
    match_stereo_width(network, batches)
    assert torch.allclose(network.draw.bias, before, atol=1e-4)
    with torch.no_grad():
        network.sides_bias.sub_(0.3)
        network.draw.bias[0] += 1.0  # of the middle, which is left alone
    match_stereo_width(network, batches)
    before[0] += 1.0
    assert torch.allclose(network.draw.bias, before, atol=1e-4)


def test_losses_that_are_no_numbers_stop_a_run(sound: Path, tmp_path: Path) -> None:
    network = VocoderNetwork(width=8, hidden=8, depth=1)
    torch.nn.init.constant_(network.draw.bias, torch.nan)
    write_network(network, tmp_path / "before", exact=True)
    options = VocoderOptions(0.05, 2, 8, start_from=tmp_path / "before", compiled=False)
    with pytest.raises(ModelError, match="no numbers"):
        VocoderTrainer(sound, tmp_path / "out", options).run()


@pytest.mark.parametrize(
    ("channels", "rate", "seconds"), [(1, RATE, 1.0), (2, 22050, 1.0), (2, RATE, 0.01)]
)
def test_recordings_that_do_not_fit_are_named(
    tmp_path: Path, channels: int, rate: int, seconds: float
) -> None:
    odd = np.zeros((channels, round(seconds * rate)), np.float32)
    write_audio(Waveform(odd, rate), tmp_path / "odd.flac")
    recordings = Recordings(tmp_path, RATE)
    with pytest.raises(InvalidInput, match=r"odd\.flac.*needs stereo at 44100 Hz"):
        recordings.draw_crops(np.random.default_rng(0), 40, 3000)


def test_a_folder_without_sound_says_how_to_make_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-vocoder", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "corpus-sound" in capsys.readouterr().err
