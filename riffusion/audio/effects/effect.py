"""The effect protocol, and the signal that passes through a chain of effects.

Gains change on a grid of chunks of 10 ms: they have values at the lines between chunks and are
straight from line to line. Chunks are counted from the first sample of the track, so how the
input is cut into blocks never changes a single bit of the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

CHUNKS_PER_S = 100


@dataclass(frozen=True)
class Signal:
    """A stretch of the mix and the gains that it is still to be multiplied by.

    ``samples`` is float32 (channels, n). ``gains`` (lines,) are the gains at the lines between
    chunks: from the last line at or before the first sample to the first line after the last
    sample. ``powers`` (lines,) are the slow means of the K-weighted square that these gains were
    made for, 0 where nothing has been measured. Signals that follow each other share two lines.
    """

    samples: Samples
    gains: FloatArray
    powers: FloatArray

    @classmethod
    def at_unity(cls, samples: Samples, lines: int) -> Signal:
        """Return ``samples`` with gains of 1 at ``lines`` lines."""
        return cls(samples, np.ones(lines), np.zeros(lines))


class Effect(Protocol):
    """A link of the chain: frozen settings and a frozen state, with absolute time in samples."""

    @property
    def latency(self) -> int:
        """The most samples that the effect may hold back."""
        ...

    def change(self, values: Mapping[str, float], position: int) -> Self:
        """Return the effect with the settings that it has among ``values``, by name.

        They apply from absolute sample ``position`` on, or from the next sample where that has
        passed. Raises InvalidInput for a value that is out of range.
        """
        ...

    def process(self, signal: Signal) -> tuple[Self, Signal]:
        """Return the effect after ``signal``, and the part of its output that is ready."""
        ...


def gain_ramps(gains: FloatArray, chunk: int) -> FloatArray:
    """Return gains (..., chunks, ``chunk``), straight from each of (..., lines) to the next one."""
    steps = np.arange(chunk) / chunk
    return gains[..., :-1, np.newaxis] + np.diff(gains)[..., np.newaxis] * steps
