"""Excerpts of songs as examples: candidates of bars and keys, of which one is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffusion.analysis.key import MODES, measure_pitch_classes
from riffusion.analysis.metre import METRES, TEMPI, BeatSpectrum, describe_tempi
from riffusion.analysis.onsets import FRAME_S, RATE, REGISTERS, level_curves, measure_curves
from riffusion.analysis.patterns import STEPS
from riffusion.analysis.pitch import SEMITONES, FloatArray
from riffusion.audio.waveform import Waveform
from riffusion.music.harmony import parse_key
from riffusion.music.rhythm import MAX_BPM, MIN_BPM
from riffusion.training.analysis.songs import KnownSong

# The parts of a song that are examples: their end as a part of the song, and their seconds.
EXCERPTS = ((1.0, 24.0), (0.85, 24.0), (0.6, 12.0), (0.95, 8.0))
# Wrong bars: at simple multiples of the tempo and at other tempi with a strong pulse, and begun at
# these twelfths of a beat.
MULTIPLES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3, 4)
SHIFTS = (0, 3, 4, 6, 8, 9)
OTHER_TEMPI = 8
SAME_TEMPO = 0.004
KEY_EXCERPTS_S = (28.0, 10.0)


@dataclass(frozen=True)
class BarExample:
    """Candidate bars of an excerpt; the right one comes first among its tempo and metre.

    ``bars`` has for each metre (tempi, shifts, curves * steps); ``general`` (tempi, numbers) is
    what is scored beside the bars. ``metre`` and ``tempo`` are the right ones' indices.
    """

    bars: tuple[npt.NDArray[np.float32], ...]
    general: npt.NDArray[np.float32]
    metre: int
    tempo: int


@dataclass(frozen=True)
class KeyExample:
    """Pitch classes from each tonic, (12, 48), and the right key: tonic, and 12 more for minor."""

    pitch_classes: npt.NDArray[np.float32]
    key: int


def make_bar_examples(song: KnownSong) -> list[BarExample]:
    """Return the excerpts of a song in three or four, other songs have none."""
    if song.beats_per_bar not in METRES:
        return []
    curves = measure_curves(song.sound.resample(RATE))
    examples = []
    for part, length_s in EXCERPTS:
        stop = round(curves.shape[1] * part)
        start = max(0, stop - round(length_s / FRAME_S))
        examples.append(make_bar_example(song, curves[:, start:stop], start * FRAME_S))
    return examples


def make_bar_example(song: KnownSong, curves: FloatArray, start_s: float) -> BarExample:
    """Return the candidates of an excerpt that starts at ``start_s``."""
    spectrum = BeatSpectrum(level_curves(curves))
    tempi = choose_tempi(spectrum, song.bpm)
    back_s = -start_s - spectrum.middle_s  # from the middle to the song's first bar line
    bars = []
    for beats in METRES:
        turns = np.exp(
            2j * np.pi * np.arange(STEPS * beats // 2 + 1) * back_s * tempi[:, None] / 60 / beats
        )
        harmonics = spectrum.bars(tempi, beats) * turns[:, None]
        folded = np.fft.irfft(harmonics, n=STEPS * beats, axis=2) * STEPS * beats
        starts = [s for s in range(STEPS * beats) if s % STEPS in SHIFTS]
        shifted = np.stack([np.roll(folded, -start, axis=2) for start in starts], axis=1)
        bars.append(shifted.reshape(len(tempi), len(starts), -1).astype(np.float32))
    general = describe_tempi(spectrum, tempi).astype(np.float32)
    right = int(np.argmin(np.abs(tempi - song.bpm)))
    return BarExample(tuple(bars), general, METRES.index(song.beats_per_bar), right)


def choose_tempi(spectrum: BeatSpectrum, bpm: float) -> FloatArray:
    """Return the multiples of ``bpm`` in the range of jams, and others with a strong pulse."""
    tempi = [bpm * multiple for multiple in MULTIPLES if MIN_BPM <= bpm * multiple <= MAX_BPM]
    strength = spectrum.pulses(TEMPI)[:, : len(REGISTERS)].sum(axis=(1, 2))
    inner = strength[1:-1]
    peaks = np.nonzero((inner > strength[:-2]) & (inner > strength[2:]))[0] + 1
    for peak in peaks[np.argsort(-strength[peaks])][:OTHER_TEMPI]:
        if min(abs(TEMPI[peak] / tempo - 1) for tempo in tempi) > SAME_TEMPO:
            tempi.append(float(TEMPI[peak]))
    return np.array(tempi)


def make_key_examples(song: KnownSong) -> list[KeyExample]:
    """Return the ends of a song with pitched instruments."""
    if not song.key:
        return []
    key = parse_key(song.key)
    label = key.tonic + SEMITONES * MODES.index(key.mode)
    sound, examples = song.sound.resample(RATE), []
    for length_s in KEY_EXCERPTS_S:
        end = Waveform(sound.samples[:, -round(length_s * RATE) :], RATE)
        heard = measure_pitch_classes(end)
        rows = [np.roll(heard, -tonic, axis=1).ravel() for tonic in range(SEMITONES)]
        examples.append(KeyExample(np.stack(rows).astype(np.float32), label))
    return examples
