"""The key of a recording: pitch classes compared with patterns of major and minor keys."""

from __future__ import annotations

import numpy as np

from riffusion.analysis.patterns import Patterns
from riffusion.analysis.pitch import SEMITONES, FloatArray, find_peaks
from riffusion.audio.waveform import Waveform
from riffusion.music.harmony import Key, Mode

REGISTERS_HZ = ((150.0, 2500.0), (35.0, 200.0))
WINDOW, HOP = 8192, 1024
MODES: tuple[Mode, Mode] = ("major", "minor")
FAINT_PART = 0.02  # of the loudest frame: quieter ones count less
# Major keys with flats in their signature: F, Bb, Eb, Ab, Db. F sharp is written with sharps.
FLAT_MAJOR_KEYS = (5, 10, 3, 8, 1)
RELATIVE_MAJOR = 3  # semitones above a minor key
NEARLY_NONE = 1e-9


def measure_pitch_classes(sound: Waveform) -> FloatArray:
    """Return how much each pitch class (C first) sounds, (4, 12); 1 is the mean of a row.

    The rows are the middle register by energy and by time, and the bass by energy and by time. All
    are zero where no pitch sounds.
    """
    rows = []
    for low, high in REGISTERS_HZ:
        chroma = find_peaks(sound, low, high, WINDOW, HOP).chroma()
        loudest = chroma.max(axis=0)
        by_time = chroma / (loudest + FAINT_PART * chroma.max() + NEARLY_NONE)
        rows += [chroma.mean(axis=1), by_time.mean(axis=1)]
    heard = np.stack(rows)
    total = heard.sum(axis=1, keepdims=True)
    return np.asarray(SEMITONES * heard / np.where(total > 0, total, 1))


def score_keys(pitch_classes: FloatArray, patterns: Patterns) -> FloatArray:
    """Return the score of each key, (2, 12): major and minor, by tonic."""
    from_tonic = np.stack(
        [np.roll(pitch_classes, -tonic, axis=1).ravel() for tonic in range(SEMITONES)]
    )
    return np.asarray(patterns.key @ from_tonic.T + patterns.mode[:, None])


def find_key(pitch_classes: FloatArray, patterns: Patterns) -> tuple[Key, float]:
    """Return the key that fits best, and from 0 to 1 how surely it is that one."""
    scores = score_keys(pitch_classes, patterns)
    mode, tonic = np.unravel_index(int(scores.argmax()), scores.shape)
    certainty = 1 / np.exp(scores - scores.max()).sum()
    return spell_key(int(tonic), MODES[mode]), float(certainty)


def spell_key(tonic: int, mode: Mode) -> Key:
    """Return a key, written with flats where its signature has flats."""
    signature = (tonic + (RELATIVE_MAJOR if mode == "minor" else 0)) % SEMITONES
    return Key(tonic, mode, signature in FLAT_MAJOR_KEYS)
