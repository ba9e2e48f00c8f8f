"""What can be heard of a song's form: where it is like itself, and where something new begins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import librosa
import numpy as np
from scipy.ndimage import uniform_filter1d

from riffusion.song.places import Place
from riffusion.training.dataset import FloatArray
from riffusion.waveform import Waveform

RATE = 22050
HOP = 512
STEP_S = 0.25
COEFFICIENTS = 20
SMOOTHING_S = 2.0
ACTIVITY_WEIGHT = 0.5**0.5
KERNEL_S = 10.0
# Peaks of the novelty: how far apart at least, and how much over the usual.
APART_S = 2.0
USUAL_S = 10.0  # before and after
PROMINENCE = 0.15


def features(wave: Waveform) -> FloatArray:
    """Timbre (MFCC) and how much goes on (onset strength), (coefficients, steps of 0.25 s).

    Means over two seconds, about a bar: what changes within one is no form. Timbre weighs double.
    Chords are left out: they change with every bar, which hides where sections do.
    """
    mono = wave.resample(RATE).samples.mean(0)
    levels = librosa.power_to_db(librosa.feature.melspectrogram(y=mono, sr=RATE, hop_length=HOP))
    timbre = librosa.feature.mfcc(S=levels, n_mfcc=COEFFICIENTS)[1:]
    activity = librosa.onset.onset_strength(S=levels, sr=RATE)[None]
    steps = np.arange(0, timbre.shape[1], STEP_S * RATE / HOP).astype(int).tolist()
    rows = [
        weight * _standardised(_smoothed(librosa.util.sync(part, steps)))
        for part, weight in ((timbre, 1.0), (activity, ACTIVITY_WEIGHT))
    ]
    return np.concatenate(rows).astype(np.float32)


def self_similarity(heard: FloatArray) -> FloatArray:
    """Cosine similarity of each step to each, (steps, steps), from the features."""
    unit = heard / np.maximum(np.linalg.norm(heard, axis=0), 1e-9)
    return np.asarray(unit.T @ unit, np.float32)


def novelty(similarity: FloatArray) -> FloatArray:
    """How much what follows differs from what was: a checkerboard moved along the diagonal.

    J. Foote, "Automatic audio segmentation using a measure of audio novelty", 2000.
    """
    half = round(KERNEL_S / STEP_S)
    offsets = (np.arange(2 * half) - half + 0.5) / half
    taper = np.exp(-2 * offsets**2)
    kernel = np.outer(taper * np.sign(offsets), taper * np.sign(offsets))
    padded = np.pad(similarity, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    curve = np.einsum("iijk,jk->i", windows, kernel)[: len(similarity)] / kernel.size
    return np.asarray(np.maximum(0.0, curve), np.float32)


def boundaries_s(similarity: FloatArray) -> list[float]:
    """Where something new begins, in seconds: the peaks of the novelty."""
    curve = novelty(similarity)
    curve = curve / max(1e-9, float(curve.max()))
    apart, usual = round(APART_S / STEP_S), round(USUAL_S / STEP_S)
    peaks = librosa.util.peak_pick(
        curve,
        pre_max=apart,
        post_max=apart,
        pre_avg=usual,
        post_avg=usual,
        delta=PROMINENCE,
        wait=apart,
    )
    inside = [peak for peak in peaks if apart <= peak < len(curve) - apart]
    return [float(peak) * STEP_S for peak in inside]


def true_boundaries_s(places: Sequence[Place], sample_rate: int) -> list[float]:
    """Where a section of another name begins. Nobody need hear one that follows itself."""
    return [b.start / sample_rate for a, b in pairwise(places) if a.name != b.name]


def repeats_s(places: Sequence[Place], sample_rate: int) -> list[float]:
    """Where a section follows itself."""
    return [b.start / sample_rate for a, b in pairwise(places) if a.name == b.name]


def f_measure(found: Sequence[float], true: Sequence[float], tolerance: float) -> float:
    """Harmonic mean of precision and recall; each boundary is matched once, the nearest first."""
    pairs = sorted((abs(f - t), f, t) for f in found for t in true if abs(f - t) <= tolerance)
    used_found: set[float] = set()
    used_true: set[float] = set()
    for _, f, t in pairs:
        if f not in used_found and t not in used_true:
            used_found.add(f)
            used_true.add(t)
    return 2 * len(used_true) / max(1, len(found) + len(true))


def without(
    found: Sequence[float], excused: Sequence[float], true: Sequence[float], tolerance: float
) -> list[float]:
    """What was ``found``, but for what is near an ``excused`` boundary and near no ``true`` one."""

    def near(time: float, boundaries: Sequence[float]) -> bool:
        return any(abs(time - other) <= tolerance for other in boundaries)

    return [time for time in found if near(time, true) or not near(time, excused)]


def _smoothed(rows: FloatArray) -> FloatArray:
    return np.asarray(uniform_filter1d(rows, round(SMOOTHING_S / STEP_S), axis=1))


def _standardised(rows: FloatArray) -> FloatArray:
    centred = rows - rows.mean(1, keepdims=True)
    scaled = centred / np.maximum(rows.std(1, keepdims=True), 1e-6)
    return np.asarray(scaled / np.sqrt(len(rows)))
