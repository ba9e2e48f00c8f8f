"""What can be measured in a clip without a trained model: its beat and its harmony."""

from __future__ import annotations

import numpy as np
import torch

from riffusion.training.dataset import FloatArray
from riffusion.waveform import Waveform

FRAME_S = 0.01
TEMPI = np.arange(55.0, 185.0, 0.5)
TOLERANCE = 0.04
MULTIPLES = (1.0, 2.0, 0.5, 3.0, 1 / 3, 1.5, 2 / 3)
CHROMA_FFT = 8192
CHROMA_HOP = 2205
CHROMA_HZ = (65.0, 2000.0)
A4_HZ = 440.0
# How well each pitch class fits a major and a minor key on C: C. Krumhansl, "Cognitive Foundations
# of Musical Pitch", 1990.
KEY_PROFILES = np.array(
    [
        [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
        [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
    ]
)
ONSET_THRESHOLD = 1.5  # deviations above the mean
TREBLE = 0.6  # from this share of the bands on, cymbals and snares dominate


def onset_strength(log_mel: FloatArray) -> FloatArray:
    """Rise of the log-mel bands from frame to frame, mean over bands. (frames, bands) in."""
    rise = _rise(log_mel)
    return np.asarray(rise - rise.mean(), np.float32)


def _rise(log_mel: FloatArray) -> FloatArray:
    rises = np.maximum(0.0, np.diff(log_mel, axis=0, prepend=log_mel[:1]))
    return np.asarray(rises.mean(1), np.float32)


def onsets_per_s(log_mel: FloatArray) -> float:
    """Peaks of the onset strength that stand out, a second."""
    rise = _rise(log_mel)
    peaks = (rise[1:-1] > rise[:-2]) & (rise[1:-1] >= rise[2:])
    strong = rise[1:-1] > rise.mean() + ONSET_THRESHOLD * rise.std()
    return float((peaks & strong).sum() / (len(rise) * FRAME_S))


def treble_rise(log_mel: FloatArray) -> float:
    """How much attacks there are in the treble, where drums are."""
    return float(_rise(log_mel[:, round(TREBLE * log_mel.shape[1]) :]).mean())


def beat_offset_s(log_mel: FloatArray, bpm: float, start_beat: float = 0.0) -> float:
    """By how many seconds the pulse is late (early: negative), at most half a beat.

    From the phase of the onset strength's Fourier component at the beat. ``start_beat``: where in
    the beat the first frame lies.
    """
    rise = _rise(log_mel)
    turns = start_beat + np.arange(len(rise)) * FRAME_S * bpm / 60
    phase = np.angle((rise * np.exp(2j * np.pi * turns)).sum())
    return float(phase / (2 * np.pi) * 60 / bpm)


def measured_tempo(log_mel: FloatArray) -> float:
    """Beats per minute whose first four multiples of the period correlate best."""
    onsets = onset_strength(log_mel)
    correlation = np.correlate(onsets, onsets, "full")[len(onsets) - 1 :]
    lags = 60.0 / TEMPI / FRAME_S
    places = np.arange(len(correlation))
    scores = sum(np.interp(k * lags, places, correlation) for k in (1, 2, 3, 4))
    return float(TEMPI[int(np.argmax(scores))])


def tempo_matches(asked: float, measured: float) -> tuple[bool, bool]:
    """Whether tempi agree within 4 %: (exactly, up to a simple multiple)."""
    exact = abs(measured - asked) / asked < TOLERANCE
    loose = any(abs(measured * m - asked) / asked < TOLERANCE for m in MULTIPLES)
    return exact, loose


def beat_contrast(log_mel: FloatArray, bpm: float) -> float:
    """Onset strength on the asked beats over the mean of all frames; 1 is chance."""
    rise = _rise(log_mel)
    beats = np.arange(0, len(rise) * FRAME_S, 60.0 / bpm)[1:]
    frames = np.round(beats / FRAME_S).astype(int)
    near = [rise[max(0, f - 2) : f + 3].max() for f in frames if f < len(rise)]
    return float(np.mean(near) / max(1e-9, rise.mean()))


def chroma(wave: Waveform) -> FloatArray:
    """Energy a pitch class, (12, blocks of 50 ms), from a long STFT."""
    mono = torch.from_numpy(wave.samples.mean(0))
    spectrum = torch.stft(
        mono, CHROMA_FFT, CHROMA_HOP, window=torch.hann_window(CHROMA_FFT), return_complex=True
    ).abs()
    hz = torch.arange(spectrum.shape[0]) * wave.sample_rate / CHROMA_FFT
    usable = (hz > CHROMA_HZ[0]) & (hz < CHROMA_HZ[1])
    pitch = (torch.round(12 * torch.log2(hz[usable] / A4_HZ)) + 9).long() % 12
    folded = torch.zeros(12, spectrum.shape[1]).index_add_(0, pitch, spectrum[usable])
    return np.asarray(folded / folded.sum(0).clamp(min=1e-9), np.float32)


def transposition(sounding: FloatArray, asked: FloatArray) -> int:
    """By how many semitones ``asked`` must be moved to fit best; 0 is what was asked for.

    Both are (12, blocks).
    """
    centred = asked - asked.mean(0)
    fits = [float((np.roll(centred, shift, axis=0) * sounding).sum()) for shift in range(12)]
    return int(np.argmax(fits))


def sounding_key(sounding: FloatArray) -> tuple[int, str]:
    """Tonic (C is 0) and mode whose profile correlates best with a chromagram (12, blocks)."""
    weight = sounding.mean(1)
    fits = [
        (float(np.corrcoef(np.roll(profile, tonic), weight)[0, 1]), tonic, mode)
        for profile, mode in zip(KEY_PROFILES, ("major", "minor"), strict=True)
        for tonic in range(12)
    ]
    _, tonic, mode = max(fits)
    return tonic, mode


def grid_flux(log_mel: FloatArray, patch: int) -> float:
    """Frame-to-frame change at multiples of ``patch`` frames over that elsewhere, medians."""
    change = np.abs(np.diff(log_mel, axis=0)).mean(1)
    at_boundary = (np.arange(1, len(log_mel)) % patch) == 0
    return float(np.median(change[at_boundary]) / max(1e-9, np.median(change[~at_boundary])))
