"""Training of the vocoder: what it is taught, that it learns, that it goes on after a stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.cli import main
from riffusion.errors import InvalidInput
from riffusion.training.lessons import (
    Lesson,
    Recordings,
    make_lesson,
    random_curves,
    random_tones,
    samples_under,
)
from riffusion.training.train_vocoder import (
    VocoderOptions,
    VocoderTrainer,
    vocoder_losses,
)
from riffusion.vocoder import LearnedVocoder
from riffusion.vocoder.network import Drawing, VocoderNetwork
from riffusion.waveform import Waveform, write_audio

RATE = 44100
PARAMS = VocoderNetwork(width=8, hidden=8, depth=1).params
FINE = 372


def a_lesson(seed: int = 0, frames: int = 12) -> Lesson:
    rng = np.random.default_rng(seed)
    samples = samples_under(frames, PARAMS)
    sound = np.stack([random_tones(rng, samples, RATE) + 0.01 * rng.normal(size=(2, samples))])
    curves = random_curves(rng, 1, PARAMS.mel_bands)
    return make_lesson(torch.from_numpy(sound.astype(np.float32)), curves, PARAMS)


def perfect(lesson: Lesson) -> Drawing:
    """What a network that knows everything would draw, worked out with complex numbers."""
    middle = lesson.middle
    bins = torch.arange(middle.shape[1])[:, None]
    own = torch.polar(torch.ones(len(bins), 1), 2 * torch.pi * bins * 441 / 2048)
    unit = middle / middle.abs()
    advance = torch.zeros_like(middle)
    advance[..., 1:] = unit[..., 1:] * unit[..., :-1].conj() * own.conj()
    slope = torch.zeros_like(middle)
    slope[:, :-1] = unit[:, 1:] * unit[:, :-1].conj()
    levels = middle.abs().clamp(min=1e-4).log10()
    parts = (torch.stack([z.real, z.imag], 1) for z in (advance[:, :FINE], slope))
    return Drawing(levels, lesson.sides, *parts)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_perfect_drawing_costs_nothing(seed: int) -> None:
    lesson = a_lesson(seed)
    losses = vocoder_losses(perfect(lesson), lesson, PARAMS, FINE)
    # Steps of bins near silence carry rounding errors, and next to no weight.
    assert losses.max() < 1e-3
    silent = Drawing(*(torch.zeros_like(part) for part in vars(perfect(lesson)).values()))
    assert (vocoder_losses(silent, lesson, PARAMS, FINE) > 0.1).all()


def test_tones_are_those_asked_of_the_generator() -> None:
    first, again = (random_tones(np.random.default_rng(3), 5000, RATE) for _ in range(2))
    assert first.shape == (2, 5000)
    assert np.array_equal(first, again)
    assert 0.001 < np.abs(first).max() < 4


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for split in ("train", "validation"):
        (tmp_path / "sound" / split).mkdir(parents=True)
        music = np.clip(random_tones(rng, RATE, RATE), -1, 1)
        write_audio(Waveform(music, RATE), tmp_path / "sound" / split / "song.flac")
    return tmp_path / "sound"


def test_a_run_learns_writes_a_vocoder_and_goes_on(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "vocoder"
    options = VocoderOptions(minutes=0.03, batch=2, frames=8, compiled=False)
    VocoderTrainer(sound, out, options).run()
    assert isinstance(LearnedVocoder.load(out), LearnedVocoder)
    assert (out / "run" / "curve.png").exists()
    resumed = VocoderTrainer(sound, out, options)
    assert resumed.progress.step > 0
    rng = np.random.default_rng(0)
    losses = [float(resumed._step(rng)[0]) for _ in range(12)]
    assert np.mean(losses[-4:]) < np.mean(losses[:4])


def test_a_run_can_begin_with_another_s_weights(sound: Path, tmp_path: Path) -> None:
    network = VocoderNetwork(width=8, hidden=8, depth=1)
    network.save_pretrained(tmp_path / "before")
    options = VocoderOptions(minutes=0.0, start_from=tmp_path / "before", compiled=False)
    begun = VocoderTrainer(sound, tmp_path / "after", options).network
    assert torch.equal(begun.embed.weight, network.embed.weight)


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
        recordings.batch(np.random.default_rng(0), 40, 3000)


def test_a_folder_without_sound_says_how_to_make_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-vocoder", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "corpus-sound" in capsys.readouterr().err
