"""Plans and images that the first version (commit f8caa2c) wrote still open as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import riffusion
from riffusion.song.plan import plan_text
from riffusion.spectral.tags import read_info

FIXTURES = Path(__file__).parents[1] / "fixtures"
SAMPLE_RATE = 44100
SAMPLES = 441 * 63


def chirp_and_tone() -> riffusion.Waveform:
    """The sound that the images show: a rising chirp on the left, 440 Hz on the right."""
    t = np.arange(SAMPLES) / SAMPLE_RATE
    chirp = np.sin(2 * np.pi * (200 + 3000 * t) * t)
    tone = 0.5 * np.sin(2 * np.pi * 440 * t)
    return riffusion.Waveform(np.stack([chirp, tone]).astype(np.float32), SAMPLE_RATE)


def test_a_plan_is_the_same_song_and_is_written_the_same() -> None:
    path = FIXTURES / "plans" / "song.yaml"
    song = riffusion.load_plan(path)
    assert (song.title, song.bpm, song.key) == ("melancholy bossa nova", 112.0, "Fm")
    assert song.section("intro").controls.density == 0.2
    assert plan_text(song) == path.read_text("utf-8")


@pytest.mark.parametrize("name", ["mono.png", "stereo.png", "stereo.jpg"])
def test_an_image_has_its_tags_and_its_sound(name: str) -> None:
    path = FIXTURES / "images" / name
    image = riffusion.read_image(path)
    info = read_info(image)
    assert info is not None
    assert (info.prompt_a, info.prompt_b) == ("church bells", "electronic beats")
    assert (info.seed_a, info.seed_b, info.alpha, info.bpm) == (1, 2, 0.25, 94.0)
    assert info.harmony == "Cm Ab"
    sound = riffusion.image_to_audio(image)
    assert sound.samples.shape == (1 if name == "mono.png" else 2, SAMPLES)


def test_the_same_sound_gives_the_same_pixels() -> None:
    made = np.asarray(riffusion.audio_to_image(chirp_and_tone())).astype(int)
    before = np.asarray(riffusion.read_image(FIXTURES / "images" / "stereo.png")).astype(int)
    assert np.abs(made - before).max() <= 1  # another processor may round differently
