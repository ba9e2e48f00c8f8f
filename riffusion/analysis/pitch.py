"""Spectral peaks as pitch classes (chroma), with the tuning of the recording taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from riffusion.audio.waveform import Waveform

FloatArray = npt.NDArray[np.float64]
CONCERT_HZ, CONCERT_PITCH, SEMITONES = 440.0, 69, 12
FAINT = 1e-9


@dataclass(frozen=True)
class Peaks:
    """Peaks of spectra: frame, pitch (MIDI, with its fraction) and magnitude of each, (peaks,).

    ``frames`` is the number of spectra.
    """

    frame: npt.NDArray[np.int64]
    pitch: FloatArray
    magnitude: FloatArray
    frames: int

    def chroma(self) -> FloatArray:
        """Return the magnitude of each pitch class (C first) in each frame, (12, frames).

        All pitches are shifted by the tuning, the mean distance from the nearest semitones.
        """
        chroma = np.zeros((SEMITONES, self.frames))
        if not len(self.pitch):
            return chroma
        turns = self.magnitude @ np.exp(2j * np.pi * self.pitch)
        in_tune = self.pitch - np.angle(turns) / (2 * np.pi)
        nearest = np.round(in_tune)
        weight = self.magnitude * np.cos(np.pi * (in_tune - nearest)) ** 2
        np.add.at(chroma, (nearest.astype(int) % SEMITONES, self.frame), weight)
        return chroma


def find_peaks(sound: Waveform, low_hz: float, high_hz: float, window: int, hop: int) -> Peaks:
    """Return the spectral peaks of ``sound`` between two frequencies.

    ``window`` and ``hop`` are in samples. Frequencies are interpolated by a parabola through the
    logarithms of three bins, as in J. O. Smith, "Spectral audio signal processing", 2011.
    """
    samples = torch.from_numpy(sound.samples)
    padded = torch.nn.functional.pad(samples, (window // 2, window // 2))
    spectra = torch.stft(
        padded, window, hop, window=torch.hann_window(window), center=False, return_complex=True
    )
    bin_hz = sound.sample_rate / window
    first, last = max(1, int(low_hz / bin_hz)), min(window // 2 - 1, int(high_hz / bin_hz) + 1)
    levels = spectra[:, first - 1 : last + 2].abs().square().mean(dim=0).sqrt().double().numpy()
    below, here, above = levels[:-2], levels[1:-1], levels[2:]
    place, frame = np.nonzero((here >= below) & (here > above) & (here > FAINT))
    left, middle, right = (np.log(part[place, frame] + FAINT) for part in (below, here, above))
    offset = np.clip(0.5 * (left - right) / (left - 2 * middle + right - FAINT), -0.5, 0.5)
    hz = (first + place + offset) * bin_hz
    pitch = CONCERT_PITCH + SEMITONES * np.log2(hz / CONCERT_HZ)
    return Peaks(frame, pitch, here[place, frame], levels.shape[1])
