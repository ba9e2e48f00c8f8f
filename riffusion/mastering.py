"""Loudness of the whole track: one slow gain and a look-ahead peak limiter.

State in, state out: ``master(state, block)`` returns the next state and the samples that are
ready. Work happens in chunks of 10 ms on a fixed grid, so how the input is cut into blocks
never changes a single bit of the output. States are small and frozen: keep one to go back to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mastering:
    """What the master aims at. Levels are linear, full scale is 1.

    ``ceiling`` is the highest peak, under 1 so that 16-bit rounding and players that resample
    have room.
    """

    sample_rate: int = 44100
    target_rms: float = 0.14
    start_rms: float = 0.1
    ceiling: float = 0.95
    gain_s: float = 8.0
    release_s: float = 0.15
    quietest_rms: float = 0.003
    least_gain: float = 0.25
    largest_gain: float = 3.0

    @property
    def chunk(self) -> int:
        """Samples in a chunk of 10 ms."""
        return self.sample_rate // 100

    @property
    def delay(self) -> int:
        """Most samples that may wait inside a state before they come out."""
        return 2 * self.chunk


@dataclass(frozen=True)
class MasterState:
    """Where a master stands. ``waiting``: float32 (channels, n), taken in but not out yet.

    ``position`` is the absolute sample of the first one waiting, a multiple of the chunk.
    ``power`` is the slow mean square, ``gain`` the slow gain and ``limit`` the limiter's gain at
    ``position``.
    """

    settings: Mastering
    waiting: Samples
    position: int
    power: float
    gain: float
    limit: float


def start_master(channels: int, settings: Mastering | None = None) -> MasterState:
    """The state before the first sample of a track."""
    settings = settings or Mastering()
    nothing = np.zeros((channels, 0), np.float32)
    power = settings.start_rms**2
    return MasterState(settings, nothing, 0, power, _gain_for(settings, power), 1.0)


def master_whole(samples: Samples, sample_rate: int) -> Samples:
    """All of ``samples`` (channels, n), mastered: as loud as a jam, as long as they were."""
    settings = Mastering(sample_rate=sample_rate)
    tail = np.zeros((len(samples), settings.delay), np.float32)
    _, loud = master(start_master(len(samples), settings), np.concatenate([samples, tail], axis=1))
    return loud[:, : samples.shape[1]]


def master(state: MasterState, block: Samples) -> tuple[MasterState, Samples]:
    """Take in ``block`` (channels, n); give out the samples that are ready, from
    ``state.position`` on.

    A chunk is ready once the chunk after it is known: the limiter's gain at the line between two
    chunks is small enough for both, and runs straight from line to line, so no sample inside can
    pass the ceiling. It falls within one chunk, before the peak, and rises back slowly.
    """
    settings = state.settings
    waiting = np.concatenate([state.waiting, block], axis=1)
    ready = waiting.shape[1] // settings.chunk - 1
    if ready < 1:
        return replace(state, waiting=waiting), waiting[:, :0]
    chunks = _chunks(waiting, ready + 1, settings.chunk)
    powers, gains = _slow_gains(state, chunks)
    lifted = chunks * _ramps(gains, settings.chunk)[:, np.newaxis]
    limits = _limits(state, lifted)
    limited = lifted[:ready] * _ramps(limits, settings.chunk)[:, np.newaxis]
    done = ready * settings.chunk
    after = replace(
        state,
        waiting=waiting[:, done:].copy(),
        position=state.position + done,
        power=powers[ready - 1],
        gain=gains[ready],
        limit=limits[ready],
    )
    return after, limited.transpose(1, 0, 2).reshape(-1, done).astype(np.float32)


def _chunks(samples: Samples, count: int, size: int) -> npt.NDArray[np.float64]:
    """The first ``count`` chunks, float64 (count, channels, size)."""
    whole = samples[:, : count * size].reshape(-1, count, size)
    return np.ascontiguousarray(whole.transpose(1, 0, 2), dtype=np.float64)


def _slow_gains(
    state: MasterState, chunks: npt.NDArray[np.float64]
) -> tuple[list[float], list[float]]:
    """The slow power after each chunk, and the gain at each line between chunks.

    Power is the exponential mean of the square over ``gain_s``; silence does not count, lest the
    gain swell.
    """
    settings = state.settings
    heard = np.square(chunks).reshape(len(chunks), -1).mean(axis=1)
    share = settings.chunk / (settings.gain_s * settings.sample_rate)
    power, powers = state.power, []
    for loudness in heard.tolist():
        if loudness >= settings.quietest_rms**2:
            power += share * (loudness - power)
        powers.append(power)
    return powers, [state.gain, *(_gain_for(settings, power) for power in powers)]


def _gain_for(settings: Mastering, power: float) -> float:
    gain = settings.target_rms / math.sqrt(power)
    return min(max(gain, settings.least_gain), settings.largest_gain)


def _limits(state: MasterState, lifted: npt.NDArray[np.float64]) -> list[float]:
    """The limiter's gain at each line between chunks but the last."""
    settings = state.settings
    peaks = np.abs(lifted).reshape(len(lifted), -1).max(axis=1)
    allowed = (settings.ceiling / np.maximum(peaks, settings.ceiling)).tolist()
    kept = math.exp(-settings.chunk / (settings.release_s * settings.sample_rate))
    # Only the first chunk of a track has no line before it that was made for its peak.
    limits = [min(state.limit, allowed[0])]
    for now, following in pairwise(allowed):
        limits.append(min(1.0 - (1.0 - limits[-1]) * kept, now, following))
    return limits


def _ramps(lines: list[float], size: int) -> npt.NDArray[np.float64]:
    """(chunks, size): straight from each line (exactly) towards the next one."""
    values = np.array(lines)
    steps = np.arange(size) / size
    return values[:-1, np.newaxis] + np.diff(values)[:, np.newaxis] * steps
