"""Curves over time in which beats and bars show: notes that begin, and harmony that changes."""

from __future__ import annotations

import numpy as np

from riffusion.analysis.pitch import FloatArray, find_peaks
from riffusion.audio.waveform import Waveform
from riffusion.spectral.spectrogram import SpectrogramParams, mel_spectrogram

RATE, HOP = 22050, 128
FRAME_S = HOP / RATE
PARAMS = SpectrogramParams(RATE, HOP, 1024, 1024, mel_bands=48, min_hz=30.0)
REGISTERS = (slice(0, 8), slice(8, 24), slice(24, 48))  # mel bands: bass, middle, treble
COMPRESSION = 10.0
# Where harmony is heard: frequencies in Hz and the window in samples.
HARMONY = ((150.0, 2500.0, 4096), (35.0, 200.0, 8192))
HARMONY_HOP = 512
BEFORE_AND_AFTER = (8, 20)  # frames of harmony that are compared: a fifth and half a second
CHANGE_SCALE = 0.12  # the usual size of changes, so that all curves are about as large
TREND_S = 2.0
CURVES = len(REGISTERS) + len(HARMONY) * len(BEFORE_AND_AFTER)
NEARLY_NONE = 1e-9


def measure_curves(sound: Waveform) -> FloatArray:
    """Return the curves of a sound at ``RATE`` Hz, (``CURVES``, frames of ``FRAME_S``).

    First come the onsets in three registers, then the changes of harmony and of bass, each over a
    short and a long time.
    """
    onsets = measure_onsets(sound)
    frames = np.arange(onsets.shape[1])
    curves = [*onsets]
    for low, high, window in HARMONY:
        chroma = find_peaks(sound, low, high, window, HARMONY_HOP).chroma()
        coarse = np.arange(chroma.shape[1]) * (HARMONY_HOP // HOP)
        curves += [np.interp(frames, coarse, measure_change(chroma, n)) for n in BEFORE_AND_AFTER]
    return np.stack(curves)


def measure_onsets(sound: Waveform) -> FloatArray:
    """Return the square root of the spectral flux of each register, (3, frames).

    It is the rise of compressed mel bands over two frames: S. Dixon, "Onset detection revisited",
    DAFx 2006.
    """
    power = mel_spectrogram(sound, PARAMS).magnitudes.square().mean(dim=0).double().numpy()
    loudness = float(power.mean())
    level = np.log10(1 + COMPRESSION * np.sqrt(power / max(loudness, NEARLY_NONE)))
    rise = np.pad(np.maximum(level[:, 2:] - level[:, :-2], 0), ((0, 0), (1, 1)))
    return np.asarray(np.sqrt([rise[bands].mean(axis=0) for bands in REGISTERS]))


def measure_change(chroma: FloatArray, width: int) -> FloatArray:
    """Return one less the cosine between pitch classes before and after each frame, (frames,).

    ``width`` is the number of frames on either side; silence counts as no change.
    """
    frames = chroma.shape[1]
    total = np.concatenate([np.zeros((len(chroma), 1)), np.cumsum(chroma, axis=1)], axis=1)
    here = np.arange(frames)
    before = total[:, here] - total[:, np.maximum(0, here - width)]
    after = total[:, np.minimum(frames, here + width)] - total[:, here]
    quiet = (0.05 * width * np.sqrt((chroma**2).sum(axis=0)).mean() + NEARLY_NONE) ** 2
    likeness = (before * after).sum(axis=0) + quiet
    lengths = [(part**2).sum(axis=0) + quiet for part in (before, after)]
    return np.asarray(1 - likeness / np.sqrt(lengths[0] * lengths[1]))


def level_curves(curves: FloatArray) -> FloatArray:
    """Return curves without their trend over two seconds, all about equally large."""
    frames = curves.shape[1]
    width = min(round(TREND_S / FRAME_S), frames // 2) | 1
    kernel = np.ones(width) / width
    padded = np.pad(curves, ((0, 0), (width // 2, width // 2)), mode="reflect")
    levelled = curves - np.stack([np.convolve(row, kernel, "valid") for row in padded])
    onsets = levelled[: len(REGISTERS)]
    levelled[: len(REGISTERS)] /= max(float(onsets.std()), NEARLY_NONE)
    levelled[len(REGISTERS) :] /= CHANGE_SCALE
    return np.asarray(levelled)
