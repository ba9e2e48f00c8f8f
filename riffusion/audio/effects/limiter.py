"""A look-ahead limiter that keeps true peaks (ITU-R BS.1770-4, annex 2) under a ceiling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np

from riffusion.audio.effects.effect import CHUNKS_PER_S, FloatArray, Samples, Signal, gain_ramps
from riffusion.audio.loudness import TRUE_PEAK_REACH, true_peaks


@dataclass(frozen=True)
class Limiter:
    """The last link of a chain: it multiplies the samples by their gains and by its own.

    ``ceiling`` is the highest true peak, linear. ``heard`` (channels, n) are the samples that wait,
    after as many samples before them as true peaks reach; ``gains`` and ``powers`` (lines,) are
    those of the samples that wait. ``limit`` is the limiter's own gain at their first line.
    """

    sample_rate: int
    ceiling: float
    release_s: float
    heard: Samples
    gains: FloatArray
    powers: FloatArray
    limit: float = 1.0

    @classmethod
    def start(cls, channels: int, sample_rate: int, ceiling: float, release_s: float) -> Limiter:
        """Return the limiter before the first sample."""
        signal = Signal.at_unity(np.zeros((channels, TRUE_PEAK_REACH), np.float32), 2)
        return cls(sample_rate, ceiling, release_s, signal.samples, signal.gains, signal.powers)

    @property
    def chunk(self) -> int:
        """Samples in a chunk of 10 ms."""
        return self.sample_rate // CHUNKS_PER_S

    @property
    def latency(self) -> int:
        """The most samples that may wait before they come out."""
        return 2 * self.chunk + TRUE_PEAK_REACH

    def change(self, values: Mapping[str, float], position: int) -> Self:
        """Return the effect as it is: none of its settings change while it plays."""
        return self

    def process(self, signal: Signal) -> tuple[Limiter, Signal]:
        """Return the limiter after ``signal``, and the chunks that are ready, at unity gain.

        A chunk is ready once the chunk after it is known: the limiter's gain at the line between
        two chunks is small enough for both, and runs straight from line to line, so no sample
        inside can pass the ceiling. It falls within one chunk, before the peak, and rises slowly.
        """
        size = self.chunk
        heard = np.concatenate([self.heard, signal.samples], axis=1)
        gains = np.concatenate([self.gains[:-2], signal.gains])
        powers = np.concatenate([self.powers[:-2], signal.powers])
        ready = max(0, (heard.shape[1] - 2 * TRUE_PEAK_REACH) // size - 1)
        done = ready * size
        samples, limit = heard[:, TRUE_PEAK_REACH : TRUE_PEAK_REACH + done], self.limit
        if ready:
            seen = heard[:, : done + size + 2 * TRUE_PEAK_REACH]
            limits = self._limits(seen, gains[: ready + 2])
            ramps = gain_ramps(np.stack([gains[: ready + 1], limits]), size).reshape(2, -1)
            samples = (samples * (ramps[0] * ramps[1])).astype(np.float32)
            limit = float(limits[-1])
        after = replace(
            self,
            heard=heard[:, done:].copy(),
            gains=gains[ready:].copy(),
            powers=powers[ready:].copy(),
            limit=limit,
        )
        return after, Signal(samples, np.ones(ready + 2), powers[: ready + 2])

    def _limits(self, heard: Samples, gains: FloatArray) -> FloatArray:
        """Return the limiter's gain at each line between the chunks of ``heard``, but the last.

        ``gains`` are those of the signal at all lines; a chunk is at most as loud as the higher of
        its two makes it.
        """
        highest = np.maximum(gains[:-1], gains[1:])
        peaks = true_peaks(heard, self.chunk, self.ceiling / highest).astype(np.float64)
        amplified = peaks * highest
        allowed = (self.ceiling / np.maximum(amplified, self.ceiling)).tolist()
        kept = math.exp(-self.chunk / (self.release_s * self.sample_rate))
        # Only the first chunk of a track has no line before it that was made for its peak.
        limits = [min(self.limit, allowed[0])]
        for now, following in pairwise(allowed):
            limits.append(min(1.0 - (1.0 - limits[-1]) * kept, now, following))
        return np.array(limits)
