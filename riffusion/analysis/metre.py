"""Tempo, metre and bar lines: a matched filter over curves of onsets and changes of harmony.

For a tempo and a metre, the curves are folded to one bar by their Fourier coefficients at multiples
of the bar's frequency, and compared with a pattern at every phase. The pattern, the strength of the
pulse and the usual tempo add up to a score; its maximum is the bar that is heard. So a tempo is one
number for the whole excerpt, as in a jam, and its accuracy grows with the length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffusion.analysis.onsets import FRAME_S, NEARLY_NONE, REGISTERS, level_curves
from riffusion.analysis.patterns import STEPS, Patterns
from riffusion.analysis.pitch import FloatArray
from riffusion.music.rhythm import MAX_BPM, MIN_BPM

USUAL_BPM = 110.0
METRES = (3, 4)
TEMPO_STEP = 0.0007  # neighbouring tempi differ by this part
TEMPI: FloatArray = np.exp(np.arange(np.log(MIN_BPM), np.log(MAX_BPM), TEMPO_STEP))
HARMONICS: FloatArray = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0])  # of the beat
FINE_WEIGHTS: FloatArray = np.array([1.0, 1.0, 0.5, 1.0, 0.5, 0.7])
FINER = 4  # phases between steps
TRANSFORM = 1 << 18  # points: frequencies 0.7 mHz apart
FINE_TEMPI: FloatArray = 1 + np.linspace(-0.004, 0.004, 161)
FINE_SHIFTS_S: FloatArray = np.linspace(-0.03, 0.03, 121)


@dataclass(frozen=True)
class BarLines:
    """Bars of a steady tempo: a bar line is at ``downbeat_s``, in seconds from the first frame.

    ``pulse`` is how strong the beat is beside other tempi (about 1 in noise), ``certainty`` from 0
    to 1 how surely that beat is the first of the bar.
    """

    bpm: float
    beats_per_bar: int
    downbeat_s: float
    pulse: float
    certainty: float


class BeatSpectrum:
    """Fourier coefficients of levelled curves at any frequency, their phase from the middle."""

    def __init__(self, curves: FloatArray) -> None:
        frames = curves.shape[1]
        self.half = frames // 2
        self.middle_s = self.half * FRAME_S
        around = np.zeros((len(curves), TRANSFORM))
        around[:, : frames - self.half] = curves[:, self.half :]
        if self.half:
            around[:, -self.half :] = curves[:, : self.half]
        self._coefficients = np.fft.rfft(around, axis=1) / frames

    def at(self, hz: FloatArray) -> npt.NDArray[np.complex128]:
        """Return the coefficients at frequencies, (curves, *hz)."""
        place = hz * FRAME_S * TRANSFORM
        below = np.minimum(place.astype(int), self._coefficients.shape[1] - 2)
        part = place - below
        return np.asarray(
            self._coefficients[:, below] * (1 - part) + self._coefficients[:, below + 1] * part
        )

    def bars(self, tempi: FloatArray, beats: int) -> npt.NDArray[np.complex128]:
        """Return the harmonics of bars at ``tempi`` from the middle, (tempi, curves, harmonics)."""
        harmonics = np.arange(STEPS * beats // 2 + 1)
        coefficients = self.at(tempi[:, None] / 60 / beats * harmonics)
        coefficients[..., 0] = coefficients[..., -1] = 0
        return coefficients.transpose(1, 0, 2)

    def pulses(self, tempi: FloatArray) -> FloatArray:
        """Return the strength of harmonics of beats at ``tempi``, (tempi, curves, harmonics)."""
        return np.abs(self.at(tempi[:, None] / 60 * HARMONICS)).transpose(1, 0, 2)


def describe_tempi(spectrum: BeatSpectrum, tempi: FloatArray) -> FloatArray:
    """Return what is scored for each tempo beside its bars: pulse and tempo, (tempi, numbers)."""
    octaves = np.log(tempi / USUAL_BPM)
    pulses = spectrum.pulses(tempi).reshape(len(tempi), -1)
    return np.concatenate([pulses, np.stack([octaves, octaves**2], axis=1)], axis=1)


def find_bar_lines(
    curves: FloatArray,
    patterns: Patterns,
    tempi: FloatArray = TEMPI,
    metres: Sequence[int] = METRES,
) -> BarLines:
    """Return the bar lines that fit ``curves`` (curves, frames) best, with a tempo near ``tempi``.

    Times are in seconds from the first frame.
    """
    spectrum = BeatSpectrum(level_curves(curves))
    weights = np.concatenate([patterns.pulse.ravel(), patterns.tempo])
    general = describe_tempi(spectrum, tempi) @ weights
    scores = {}
    for beats in metres:
        scores[beats] = score_phases(spectrum.bars(tempi, beats), patterns.bar(beats))
        scores[beats] += general[:, None] + (patterns.waltz[0] if beats == 3 else 0.0)
    beats = max(scores, key=lambda metre: float(scores[metre].max()))
    row, phase = np.unravel_index(int(scores[beats].argmax()), scores[beats].shape)
    bpm = float(tempi[row])
    downbeat_s = spectrum.middle_s + phase / (STEPS * FINER) * 60 / bpm
    bpm, downbeat_s = refine(spectrum, bpm, downbeat_s)
    by_beat = np.concatenate(
        [scores[metre][row, phase % (STEPS * FINER) :: STEPS * FINER] for metre in metres]
    )
    certainty = 1 / np.exp(by_beat - by_beat.max()).sum()
    return BarLines(bpm, beats, downbeat_s, measure_pulse(spectrum, bpm), float(certainty))


def score_phases(bars: npt.NDArray[np.complex128], pattern: FloatArray) -> FloatArray:
    """Return how well bars fit a pattern that begins at each phase, (tempi, phases).

    Phases are fractions ``1 / (STEPS * FINER)`` of a beat after the middle of the curves.
    """
    steps = pattern.shape[1]
    product = (bars * np.conj(np.fft.rfft(pattern, axis=1))).sum(axis=1)
    return np.asarray(np.fft.irfft(product, n=steps * FINER, axis=1) * steps * FINER)


def refine(spectrum: BeatSpectrum, bpm: float, downbeat_s: float) -> tuple[float, float]:
    """Return tempo and bar line moved to where onsets are sharpest, by at most 0.4 % and 30 ms."""
    tempi = np.clip(bpm * FINE_TEMPI, MIN_BPM, MAX_BPM)
    hz = tempi[:, None] / 60 * HARMONICS
    onsets = spectrum.at(hz)[: len(REGISTERS)].sum(axis=0) * FINE_WEIGHTS
    times = downbeat_s - spectrum.middle_s + FINE_SHIFTS_S
    turned = onsets[..., None] * np.exp(2j * np.pi * hz[..., None] * times)
    sharpness = turned.real.sum(axis=1)
    row, shift = np.unravel_index(int(sharpness.argmax()), sharpness.shape)
    return float(tempi[row]), float(downbeat_s + FINE_SHIFTS_S[shift])


def measure_pulse(spectrum: BeatSpectrum, bpm: float) -> float:
    """Return how much stronger the harmonics of a beat are than those of the median tempo."""

    def strength(tempi: FloatArray) -> FloatArray:
        onsets = spectrum.pulses(tempi)[:, : len(REGISTERS)]
        return np.asarray(np.sqrt((onsets**2).mean(axis=(1, 2))))

    usual = float(np.median(strength(TEMPI)))
    return float(strength(np.array([bpm]))[0]) / max(usual, NEARLY_NONE)
