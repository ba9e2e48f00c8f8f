"""A slow gain that brings the track to a stated loudness.

Loudness is that of ITU-R BS.1770-4 (loudness.py), measured as the samples come in: a track that
plays on for ever has no loudness of the whole to look at first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from riffusion.audio.effects.effect import CHUNKS_PER_S, FloatArray, Samples, Signal
from riffusion.audio.loudness import FILTER_MEMORY, lufs_to_power, weighted


@dataclass(frozen=True)
class GainSettings:
    """The settings of a slow gain; ``riffusion.audio.mastering.Mastering`` explains each value."""

    sample_rate: int
    target_lufs: float
    start_lufs: float
    start_s: float
    gain_s: float
    max_db_per_s: float
    min_lufs: float
    min_gain: float
    max_gain: float

    @property
    def chunk(self) -> int:
        """Samples in a chunk of 10 ms."""
        return self.sample_rate // CHUNKS_PER_S

    def gain_for(self, power: float) -> float:
        """Return the gain, within its limits, that brings ``power`` to the target."""
        gain = math.sqrt(lufs_to_power(self.target_lufs) / power)
        return min(max(gain, self.min_gain), self.max_gain)


@dataclass(frozen=True)
class SlowGain:
    """The gain of a chain, which follows the mean loudness of the last seconds.

    ``started`` (channels, n) are the samples of the chunk that is not complete yet, ``weighting``
    (channels, 4) is the state of the K-weighting filter. ``power`` is the mean of the weighted
    squares, summed over channels, and ``known_s`` the seconds that it is the mean of. ``lines``
    (2, 2) has the gain and its power at the line before and the line after the next sample.
    """

    settings: GainSettings
    started: Samples
    weighting: FloatArray
    power: float
    known_s: float
    lines: FloatArray

    latency = 0

    @classmethod
    def start(cls, channels: int, settings: GainSettings) -> SlowGain:
        """Return the gain before the first sample, with a first guess of the loudness."""
        power = lufs_to_power(settings.start_lufs)
        line = (settings.gain_for(power), power)
        return cls(
            settings,
            np.zeros((channels, 0), np.float32),
            np.zeros((channels, FILTER_MEMORY)),
            power,
            settings.start_s,
            np.array([line, line]),
        )

    def change(self, values: Mapping[str, float], position: int) -> Self:
        """Return the effect as it is: none of its settings change while it plays."""
        return self

    def process(self, signal: Signal) -> tuple[SlowGain, Signal]:
        """Measure each complete chunk and add the gains; the samples pass through unchanged.

        Each gain comes from the chunks that ended at least one chunk earlier, so it is known
        before the samples that it applies to.
        """
        size = self.settings.chunk
        samples = np.concatenate([self.started, signal.samples], axis=1)
        done = samples.shape[1] // size * size
        if not done:
            after = replace(self, started=samples)
            return after, Signal(signal.samples, signal.gains * self.lines[:, 0], self.lines[:, 1])
        sound, weighting = weighted(samples[:, :done], self.weighting, self.settings.sample_rate)
        chunks = sound.reshape(len(sound), -1, size)
        power, known_s, lines = self._follow(np.square(chunks).mean(axis=2).sum(axis=0).tolist())
        after = replace(
            self,
            started=samples[:, done:].copy(),
            weighting=weighting,
            power=power,
            known_s=known_s,
            lines=lines[-2:].copy(),
        )
        return after, Signal(signal.samples, signal.gains * lines[:, 0], lines[:, 1])

    def _follow(self, powers: list[float]) -> tuple[float, float, FloatArray]:
        """Return the mean power, the seconds it covers, and the lines after chunks of ``powers``.

        The power is the mean since the start, and an exponential mean over ``gain_s`` in the end.
        Silence does not count, because the gain would swell in it.
        """
        settings = self.settings
        chunk_s = settings.chunk / settings.sample_rate
        quietest = lufs_to_power(settings.min_lufs)
        step = float(10 ** (settings.max_db_per_s * chunk_s / 20))
        power, known_s = self.power, self.known_s
        gain, lines = float(self.lines[-1, 0]), []
        for heard in powers:
            if heard >= quietest:
                power += chunk_s / known_s * (heard - power)
                known_s = min(known_s + chunk_s, settings.gain_s)
            gain = min(max(settings.gain_for(power), gain / step), gain * step)
            lines.append((gain, power))
        return power, known_s, np.concatenate([self.lines, np.reshape(lines, (-1, 2))])
