"""Loudness of the whole track: one slow gain and a look-ahead limiter of true peaks.

State in, state out: ``master(state, block)`` returns the next state and the samples that are
ready. Work happens in chunks of 10 ms on a fixed grid, so how the input is cut into blocks
never changes a single bit of the output. States are small and frozen: keep one to go back to it.

Loudness and true peaks are those of ITU-R BS.1770-4 (loudness.py), heard as they come:
a track that plays on for ever has no loudness of the whole to look at first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from riffusion.audio.loudness import (
    FILTER_MEMORY,
    TRUE_PEAK_REACH,
    FloatArray,
    lufs,
    power_of,
    true_peaks,
    weighted,
)

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mastering:
    """What the master aims at. Loudness is in LUFS; peaks and gains are linear, full scale is 1.

    ``ceiling`` is the highest true peak, -1.3 dB: under the usual -1 dBTP, as meters that
    oversample in another way see a little more. ``start_lufs`` is a first guess of how loud the
    music comes in, which counts as much as ``start_s`` seconds of it. The gain follows the mean
    over ``gain_s``, and never faster than ``max_db_per_s``.
    """

    sample_rate: int = 44100
    target_lufs: float = -14.0
    start_lufs: float = -17.0
    start_s: float = 1.0
    ceiling: float = 0.86
    gain_s: float = 8.0
    max_db_per_s: float = 3.0
    release_s: float = 0.15
    min_lufs: float = -60.0
    min_gain: float = 0.25
    max_gain: float = 3.0

    @property
    def chunk(self) -> int:
        """Samples in a chunk of 10 ms."""
        return self.sample_rate // 100

    @property
    def delay(self) -> int:
        """Most samples that may wait inside a state before they come out."""
        return 2 * self.chunk + TRUE_PEAK_REACH


@dataclass(frozen=True)
class MasterState:
    """Where a master stands. ``waiting``: float32 (channels, n), taken in but not out yet.

    ``before`` are the samples right before them, as many as true peaks reach. ``position`` is the
    absolute sample of the first one waiting, a multiple of the chunk. ``weighting`` is what the
    K-weighting remembers, ``power`` the slow weighted mean square (summed over channels) and
    ``known_s`` the seconds it is the mean of; ``gain`` is the slow gain and ``limit`` the
    limiter's gain at ``position``.
    """

    settings: Mastering
    waiting: Samples
    before: Samples
    position: int
    weighting: FloatArray
    power: float
    known_s: float
    gain: float
    limit: float

    @property
    def loudness(self) -> float:
        """The slow loudness of what came in, in LUFS."""
        return lufs(self.power)


def start_master(channels: int, settings: Mastering | None = None) -> MasterState:
    """The state before the first sample of a track."""
    settings = settings or Mastering()
    power = power_of(settings.start_lufs)
    return MasterState(
        settings,
        np.zeros((channels, 0), np.float32),
        np.zeros((channels, TRUE_PEAK_REACH), np.float32),
        0,
        np.zeros((channels, FILTER_MEMORY)),
        power,
        settings.start_s,
        _gain_for(settings, power),
        1.0,
    )


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
    size = state.settings.chunk
    waiting = np.concatenate([state.waiting, block], axis=1)
    ready = (waiting.shape[1] - TRUE_PEAK_REACH) // size - 1
    if ready < 1:
        return replace(state, waiting=waiting), waiting[:, :0]
    done = ready * size
    heard = np.concatenate([state.before, waiting], axis=1)
    slow, gains = _slow_gains(state, waiting[:, :done])
    limits = _limits(state, heard[:, : done + size + 2 * TRUE_PEAK_REACH], gains)
    gain = (_ramps(gains[:-1], size) * _ramps(limits, size)).reshape(-1)
    after = replace(
        slow,
        waiting=waiting[:, done:].copy(),
        before=heard[:, done : done + TRUE_PEAK_REACH].copy(),
        position=state.position + done,
        gain=gains[ready],
        limit=limits[ready],
    )
    return after, (waiting[:, :done] * gain).astype(np.float32)


def _slow_gains(state: MasterState, samples: Samples) -> tuple[MasterState, list[float]]:
    """The state with all of ``samples`` heard, and the gain at each line between chunks: one more
    than there are chunks in them, and the one after.

    Power is the mean of the square since the start, over ``gain_s`` in the end an exponential
    one; silence does not count, lest the gain swell. Each gain comes from what sounded a chunk
    earlier.
    """
    settings = state.settings
    sound, weighting = weighted(samples, state.weighting, settings.sample_rate)
    chunks = sound.reshape(len(sound), -1, settings.chunk)
    heard = np.square(chunks).mean(axis=2).sum(axis=0)
    chunk_s = settings.chunk / settings.sample_rate
    quietest = power_of(settings.min_lufs)
    step = float(10 ** (settings.max_db_per_s * chunk_s / 20))
    power, known_s = state.power, state.known_s
    gains = [state.gain, _towards(_gain_for(settings, power), state.gain, step)]
    for loudness in heard.tolist():
        if loudness >= quietest:
            power += chunk_s / known_s * (loudness - power)
            known_s = min(known_s + chunk_s, settings.gain_s)
        gains.append(_towards(_gain_for(settings, power), gains[-1], step))
    return replace(state, weighting=weighting, power=power, known_s=known_s), gains


def _gain_for(settings: Mastering, power: float) -> float:
    gain = math.sqrt(power_of(settings.target_lufs) / power)
    return min(max(gain, settings.min_gain), settings.max_gain)


def _towards(wanted: float, gain: float, step: float) -> float:
    """``wanted``, or as near to it as one ``step`` (a ratio) up or down from ``gain`` leads."""
    return min(max(wanted, gain / step), gain * step)


def _limits(state: MasterState, heard: Samples, gains: list[float]) -> list[float]:
    """The limiter's gain at each line between the chunks of ``heard``, but the last line.

    ``gains`` are the slow gains at all lines; a chunk is at most as loud as the higher of its two
    makes it.
    """
    settings = state.settings
    peaks = true_peaks(heard, settings.chunk).astype(np.float64)
    lifted = peaks * np.maximum(gains[:-1], gains[1:])
    allowed = (settings.ceiling / np.maximum(lifted, settings.ceiling)).tolist()
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
