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


def onset_strength(log_mel: FloatArray) -> FloatArray:
    """Rise of the log-mel bands from frame to frame, mean over bands. (frames, bands) in."""
    rise = np.maximum(0.0, np.diff(log_mel, axis=0, prepend=log_mel[:1])).mean(1)
    return np.asarray(rise - rise.mean(), np.float32)


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
    rise = np.maximum(0.0, np.diff(log_mel, axis=0, prepend=log_mel[:1])).mean(1)
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
