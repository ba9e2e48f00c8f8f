"""Section boundaries that can be heard in a song, by self-similarity and novelty."""

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
from riffusion.training.corpus.features import FloatArray

RATE = 22050
HOP = 512
STEP_S = 0.25
COEFFICIENTS = 20
# Texture is the timbre of a stretch, in means over about a bar, since changes within a bar are not
# section boundaries.
TEXTURE_MEAN_S = 2.0
TEXTURE_ACTIVITY = 0.5**0.5  # the weight of the onset strength beside the timbre
KERNEL_S = 10.0
TEXTURE_WEIGHT = 0.25
# Repetition compares moments, each described by the second around it.
MOMENT_MEAN_S = 0.5
MOMENT_STEPS = 4
MOMENT_ACTIVITY = 0.5
# Two moments are the same by half at this similarity, and by more or less in this range around it.
SAME, SAME_SOFTNESS = 0.8, 0.1
NEAREST_S = 4.0  # moments nearer than this are similar by texture, not by repetition
SIDE_S = 12.0
# Peaks of the novelty are at least this far apart, and exceed the mean around them by this much.
APART_S = 2.0
MEAN_S = 10.0  # before and after a peak
PROMINENCE = 0.1


@dataclass(frozen=True)
class SelfSimilarity:
    """Cosine similarities of all pairs of moments of a song, (steps, steps) in steps of 0.25 s.

    ``texture`` compares how moments sound, ``moments`` what happens in them.
    """

    texture: FloatArray
    moments: FloatArray


def measure_self_similarity(wave: Waveform) -> SelfSimilarity:
    """Return the self-similarity of a song by its timbre (MFCC) and its activity (onset strength).

    Chords are left out: they change with every bar, which hides where sections change.
    """
    mono = wave.resample(RATE).samples.mean(0)
    levels = librosa.power_to_db(librosa.feature.melspectrogram(y=mono, sr=RATE, hop_length=HOP))
    timbre = librosa.feature.mfcc(S=levels, n_mfcc=COEFFICIENTS)[1:]
    activity = librosa.onset.onset_strength(S=levels, sr=RATE)[None]
    steps = np.arange(0, timbre.shape[1], STEP_S * RATE / HOP).astype(int).tolist()
    parts = [librosa.util.sync(part, steps) for part in (timbre, activity)]
    texture = _stack_features(parts, TEXTURE_MEAN_S, TEXTURE_ACTIVITY)
    moments = _add_context(_stack_features(parts, MOMENT_MEAN_S, MOMENT_ACTIVITY), MOMENT_STEPS)
    return SelfSimilarity(compute_self_similarity(texture), compute_self_similarity(moments))


def compute_self_similarity(features: FloatArray) -> FloatArray:
    """Return the cosine similarity of each step to each, (steps, steps), from (features, steps)."""
    unit = features / np.maximum(np.linalg.norm(features, axis=0), 1e-9)
    return np.asarray(unit.T @ unit, np.float32)


def compute_texture_novelty(similarity: FloatArray) -> FloatArray:
    """Return how much the following steps differ from those before, (steps,).

    A checkerboard kernel moves along the diagonal, as in J. Foote, "Automatic audio segmentation
    using a measure of audio novelty", 2000.
    """
    half = round(KERNEL_S / STEP_S)
    offsets = (np.arange(2 * half) - half + 0.5) / half
    taper = np.exp(-2 * offsets**2)
    kernel = np.outer(taper * np.sign(offsets), taper * np.sign(offsets))
    padded = np.pad(similarity, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    curve = np.einsum("iijk,jk->i", windows, kernel)[: len(similarity)] / kernel.size
    return np.asarray(np.maximum(0.0, curve), np.float32)


def compute_repetition_novelty(similarity: FloatArray) -> FloatArray:
    """Return how much the repetitions of the music change at each step, (steps,).

    Where they change, something that returns begins or ends. As in J. Serra, M. Mueller, P. Grosche
    and J. L. Arcos, "Unsupervised music structure annotation by time series structure features and
    segment similarity", 2014.
    """
    steps, half = len(similarity), round(SIDE_S / STEP_S)
    same = 1 / (1 + np.exp((SAME - similarity) / SAME_SOFTNESS))
    step = np.arange(steps)
    same[np.abs(step[:, None] - step) < NEAREST_S / STEP_S] = 0.0
    lagged = np.zeros((2 * steps - 1, steps))
    for now in step:  # the row is the lag, and negative lags come first
        lagged[steps - 1 - now : 2 * steps - 1 - now, now] = same[:, now]
    taper = np.exp(-2 * ((np.arange(half) + 0.5) / half) ** 2)
    kernel = np.concatenate([taper[::-1], -taper]) / taper.sum()
    padded = np.pad(lagged, ((0, 0), (half, half)), mode="edge")
    change = fftconvolve(padded, kernel[None], mode="valid", axes=1)[:, :steps]
    return np.asarray((change**2).sum(0), np.float32)


def find_boundaries_s(song: SelfSimilarity) -> list[float]:
    """Return the boundaries in seconds: the peaks of both kinds of novelty together."""
    texture, repetition = (
        curve / max(1e-9, float(curve.max()))
        for curve in (
            compute_texture_novelty(song.texture),
            compute_repetition_novelty(song.moments),
        )
    )
    curve = TEXTURE_WEIGHT * texture + repetition
    curve = curve / max(1e-9, float(curve.max()))
    apart, around = round(APART_S / STEP_S), round(MEAN_S / STEP_S)
    peaks = librosa.util.peak_pick(
        curve,
        pre_max=apart,
        post_max=apart,
        pre_avg=around,
        post_avg=around,
        delta=PROMINENCE,
        wait=apart,
    )
    inside = [peak for peak in peaks if apart <= peak < len(curve) - apart]
    return [float(peak) * STEP_S for peak in inside]


def list_true_boundaries_s(places: Sequence[PlacedSection], sample_rate: int) -> list[float]:
    """Return where a section of another name begins, in seconds.

    A section that follows itself need not have an audible boundary.
    """
    return [b.start / sample_rate for a, b in pairwise(places) if a.name != b.name]


def list_repeats_s(places: Sequence[PlacedSection], sample_rate: int) -> list[float]:
    """Return where a section follows itself, in seconds."""
    return [b.start / sample_rate for a, b in pairwise(places) if a.name == b.name]


def compute_f_measure(found: Sequence[float], true: Sequence[float], tolerance: float) -> float:
    """Return the harmonic mean of precision and recall.

    A boundary matches one at most ``tolerance`` seconds away; each is matched once, the nearest
    first.
    """
    pairs = sorted((abs(f - t), f, t) for f in found for t in true if abs(f - t) <= tolerance)
    used_found: set[float] = set()
    used_true: set[float] = set()
    for _, f, t in pairs:
        if f not in used_found and t not in used_true:
            used_found.add(f)
            used_true.add(t)
    return 2 * len(used_true) / max(1, len(found) + len(true))


def exclude_excused(
    found: Sequence[float], excused: Sequence[float], true: Sequence[float], tolerance: float
) -> list[float]:
    """Return ``found`` without what is near an ``excused`` boundary but near no ``true`` one."""

    def near(time: float, boundaries: Sequence[float]) -> bool:
        return any(abs(time - other) <= tolerance for other in boundaries)

    return [time for time in found if near(time, true) or not near(time, excused)]


def _stack_features(parts: Sequence[FloatArray], mean_s: float, activity: float) -> FloatArray:
    """Return smoothed timbre and activity, standardised.

    All timbre together weighs as much as one row.
    """
    timbre, onsets = (
        _standardise(uniform_filter1d(part, round(mean_s / STEP_S), axis=1)) for part in parts
    )
    return np.concatenate([timbre, activity * onsets]).astype(np.float32)


def _add_context(rows: FloatArray, steps: int) -> FloatArray:
    """Return each step together with those around it, (features * steps, n)."""
    before = steps // 2
    padded = np.pad(rows, ((0, 0), (before, steps - before - 1)), mode="edge")
    return np.concatenate([padded[:, at : at + rows.shape[1]] for at in range(steps)])


def _standardise(rows: FloatArray) -> FloatArray:
    """Return rows without their mean, over their deviation and the root of their number."""
    centred = rows - rows.mean(1, keepdims=True)
    scaled = centred / np.maximum(rows.std(1, keepdims=True), 1e-6)
    return np.asarray(scaled / np.sqrt(len(rows)))
