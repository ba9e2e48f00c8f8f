"""A band that is made by code, with its tempo, metre, bar lines and key known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from riffusion.audio.waveform import Waveform
from riffusion.music.harmony import default_chords, parse_key

RATE = 22050
Samples = npt.NDArray[np.float64]


def sound_of(samples: Samples, rate: int = RATE) -> Waveform:
    """Return samples (channels, samples) as a waveform."""
    return Waveform(samples.astype(np.float32), rate)


def tone(hz: float, length_s: float) -> Samples:
    """Return a tone of four partials that decays."""
    time_s = np.arange(round(length_s * RATE)) / RATE
    waves = [np.sin(2 * np.pi * hz * n * time_s) / n for n in range(1, 5)]
    return np.asarray(sum(waves) * np.exp(-time_s / 0.4) * np.minimum(1, time_s / 0.003))


def hit(length_s: float, low: bool) -> Samples:
    """Return a drum: a low thump or a burst of noise."""
    time_s = np.arange(round(length_s * RATE)) / RATE
    noise = np.random.default_rng(0).normal(size=len(time_s))
    wave = np.sin(2 * np.pi * 60 * time_s) if low else noise
    return np.asarray(wave * np.exp(-time_s / (0.1 if low else 0.03)))


def add(samples: Samples, at_s: float, sound: Samples, gain: float) -> None:
    """Add a sound at a time; what lies outside is left out."""
    start = round(at_s * RATE)
    skipped = max(0, -start)
    part = sound[skipped : max(skipped, len(samples) - start)]
    samples[start + skipped : start + skipped + len(part)] += gain * part


def band(
    key: str = "Cm",
    bpm: float = 100.0,
    beats: int = 4,
    downbeat_s: float = 0.0,
    length_s: float = 20.0,
) -> Waveform:
    """Return drums, a bass on the first beat and chords that change on the bar line."""
    samples = np.zeros(round(length_s * RATE))
    chords = default_chords(parse_key(key))
    first = -int(downbeat_s * bpm / 60 / beats) - 1
    for bar in range(first, int(length_s * bpm / 60 / beats) + 1):
        chord = chords[bar % len(chords)]
        for beat in range(beats):
            at_s = downbeat_s + (bar * beats + beat) * 60 / bpm
            add(samples, at_s, hit(0.4, low=beat % 2 == 0), 0.5 if beat % 2 == 0 else 0.25)
            add(samples, at_s + 30 / bpm, hit(0.05, low=False), 0.08)
            for pitch_class in chord.pitch_classes:
                add(samples, at_s, tone(261.6 * 2 ** (pitch_class / 12), 0.5), 0.08)
        root_hz = 65.4 * 2 ** (chord.root / 12)
        add(samples, downbeat_s + bar * beats * 60 / bpm, tone(root_hz, 1.0), 0.4)
    return sound_of(samples[None] / np.abs(samples).max())
