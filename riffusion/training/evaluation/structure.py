"""What can be heard of a song's form: where it is like itself, and where something new begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import librosa
import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import fftconvolve

from riffusion.audio.waveform import Waveform
from riffusion.song.placement import PlacedSection
from riffusion.training.corpus.dataset import FloatArray

RATE = 22050
HOP = 512
STEP_S = 0.25
COEFFICIENTS = 20
# Texture: what a stretch sounds like. Means over about a bar: what changes within one is no form.
TEXTURE_MEAN_S = 2.0
TEXTURE_ACTIVITY = 0.5**0.5  # weight of the onset strength beside the timbre
KERNEL_S = 10.0
TEXTURE_WEIGHT = 0.25
# Repetition: which moments come back, each told by a second around it.
MOMENT_MEAN_S = 0.5
MOMENT_STEPS = 4
MOMENT_ACTIVITY = 0.5
SAME, SAME_SOFTNESS = 0.8, 0.1  # what similarity is half a return, and how far from it is more
NEAREST_S = 4.0  # what is like this moment sooner than that is texture
SIDE_S = 12.0
# Peaks of the novelty: how far apart at least, and how much over the usual.
APART_S = 2.0
USUAL_S = 10.0  # before and after
PROMINENCE = 0.1


@dataclass(frozen=True)
class Form:
    """How alike all pairs of moments are, (steps, steps) of 0.25 s: ``texture`` in what they sound
    like, ``moments`` in what happens there. Cosines."""

    texture: FloatArray
    moments: FloatArray


def form_of(wave: Waveform) -> Form:
    """Hear a song: its timbre (MFCC) and how much goes on (onset strength).

    Chords are left out: they change with every bar, which hides where sections do.
    """
    mono = wave.resample(RATE).samples.mean(0)
    levels = librosa.power_to_db(librosa.feature.melspectrogram(y=mono, sr=RATE, hop_length=HOP))
    timbre = librosa.feature.mfcc(S=levels, n_mfcc=COEFFICIENTS)[1:]
    activity = librosa.onset.onset_strength(S=levels, sr=RATE)[None]
    steps = np.arange(0, timbre.shape[1], STEP_S * RATE / HOP).astype(int).tolist()
    parts = [librosa.util.sync(part, steps) for part in (timbre, activity)]
    texture = _features(parts, TEXTURE_MEAN_S, TEXTURE_ACTIVITY)
    moments = _with_context(_features(parts, MOMENT_MEAN_S, MOMENT_ACTIVITY), MOMENT_STEPS)
    return Form(self_similarity(texture), self_similarity(moments))


def self_similarity(heard: FloatArray) -> FloatArray:
    """Cosine similarity of each step to each, (steps, steps), from (features, steps)."""
    unit = heard / np.maximum(np.linalg.norm(heard, axis=0), 1e-9)
    return np.asarray(unit.T @ unit, np.float32)


def novelty_of_texture(similarity: FloatArray) -> FloatArray:
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


def novelty_of_repetition(similarity: FloatArray) -> FloatArray:
    """How much where else the music is the same changes: what comes back begins or ends here.

    As in J. Serra, M. Mueller, P. Grosche and J. L. Arcos, "Unsupervised music structure
    annotation by time series structure features and segment similarity", 2014.
    """
    steps, half = len(similarity), round(SIDE_S / STEP_S)
    same = 1 / (1 + np.exp((SAME - similarity) / SAME_SOFTNESS))
    step = np.arange(steps)
    same[np.abs(step[:, None] - step) < NEAREST_S / STEP_S] = 0.0
    lagged = np.zeros((2 * steps - 1, steps))
    for now in step:  # row: how much later, or sooner, the same is heard
        lagged[steps - 1 - now : 2 * steps - 1 - now, now] = same[:, now]
    taper = np.exp(-2 * ((np.arange(half) + 0.5) / half) ** 2)
    kernel = np.concatenate([taper[::-1], -taper]) / taper.sum()
    padded = np.pad(lagged, ((0, 0), (half, half)), mode="edge")
    change = fftconvolve(padded, kernel[None], mode="valid", axes=1)[:, :steps]
    return np.asarray((change**2).sum(0), np.float32)


def boundaries_s(form: Form) -> list[float]:
    """Where something new begins, in seconds: the peaks of both kinds of novelty together."""
    texture, repetition = (
        curve / max(1e-9, float(curve.max()))
        for curve in (novelty_of_texture(form.texture), novelty_of_repetition(form.moments))
    )
    curve = TEXTURE_WEIGHT * texture + repetition
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


def true_boundaries_s(places: Sequence[PlacedSection], sample_rate: int) -> list[float]:
    """Where a section of another name begins. Nobody need hear one that follows itself."""
    return [b.start / sample_rate for a, b in pairwise(places) if a.name != b.name]


def repeats_s(places: Sequence[PlacedSection], sample_rate: int) -> list[float]:
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


def _features(parts: Sequence[FloatArray], mean_s: float, activity: float) -> FloatArray:
    """Timbre and activity, smoothed, each row without its mean and all timbre as much as one."""
    timbre, onsets = (
        _standardised(uniform_filter1d(part, round(mean_s / STEP_S), axis=1)) for part in parts
    )
    return np.concatenate([timbre, activity * onsets]).astype(np.float32)


def _with_context(rows: FloatArray, steps: int) -> FloatArray:
    """Each step with those around it, (features * steps, n)."""
    before = steps // 2
    padded = np.pad(rows, ((0, 0), (before, steps - before - 1)), mode="edge")
    return np.concatenate([padded[:, at : at + rows.shape[1]] for at in range(steps)])


def _standardised(rows: FloatArray) -> FloatArray:
    centred = rows - rows.mean(1, keepdims=True)
    scaled = centred / np.maximum(rows.std(1, keepdims=True), 1e-6)
    return np.asarray(scaled / np.sqrt(len(rows)))
