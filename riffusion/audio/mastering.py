"""The master: a chain of effects that every mix goes through.

``master(state, block)`` takes a state and samples and returns the next state and the samples that
are ready. States are small and frozen: keep one to go back to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from riffusion.audio.effects.effect import CHUNKS_PER_S, Effect, Samples, Signal
from riffusion.audio.effects.limiter import Limiter
from riffusion.audio.effects.reverb import Reverb
from riffusion.audio.effects.slow_gain import GainSettings, SlowGain
from riffusion.audio.loudness import lufs, lufs_to_power


@dataclass(frozen=True)
class Mastering:
    """The settings of the master. Loudness is in LUFS; peaks and gains are linear, full scale 1.

    ``ceiling`` is the highest true peak, -1.3 dB: under the usual -1 dBTP, as meters that
    oversample in another way see a little more. ``start_lufs`` is a first guess of how loud the
    music comes in, which counts as much as ``start_s`` seconds of it. The gain follows the mean
    over ``gain_s``, and never faster than ``max_db_per_s``; sound under ``min_lufs`` does not
    count. The limiter's gain rises again with the time constant ``release_s``. The settings that
    players change while it plays are not here (see ``change_effects``).
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
        return self.sample_rate // CHUNKS_PER_S

    @property
    def delay(self) -> int:
        """The most samples that may wait inside a state before they come out."""
        return sum(effect.latency for effect in _chain(1, self))


@dataclass(frozen=True)
class MasterState:
    """A master after some samples: the ``effects`` of its chain in the order of the signal.

    ``received`` samples have come in and ``position`` samples have come out since the start of the
    track. ``power`` is the slow mean of the K-weighted square of what has come out, before any
    gain.
    """

    settings: Mastering
    effects: tuple[Effect, ...]
    received: int
    position: int
    power: float

    @property
    def loudness(self) -> float:
        """The slow loudness of what has come out, in LUFS, before any gain."""
        return lufs(self.power)


def _chain(channels: int, settings: Mastering) -> tuple[Effect, ...]:
    """Return the effects in the order of the signal; the limiter is last and applies all gains."""
    gain = GainSettings(
        sample_rate=settings.sample_rate,
        target_lufs=settings.target_lufs,
        start_lufs=settings.start_lufs,
        start_s=settings.start_s,
        gain_s=settings.gain_s,
        max_db_per_s=settings.max_db_per_s,
        min_lufs=settings.min_lufs,
        min_gain=settings.min_gain,
        max_gain=settings.max_gain,
    )
    return (
        Reverb.start(settings.sample_rate, 0.0),
        SlowGain.start(channels, gain),
        Limiter.start(channels, settings.sample_rate, settings.ceiling, settings.release_s),
    )


def start_master(channels: int, settings: Mastering | None = None) -> MasterState:
    """Return the state before the first sample of a track."""
    settings = settings or Mastering()
    power = lufs_to_power(settings.start_lufs)
    return MasterState(settings, _chain(channels, settings), 0, 0, power)


def change_effects(state: MasterState, values: Mapping[str, float], position: int) -> MasterState:
    """Return the state whose effects have other settings from absolute sample ``position`` on.

    ``values`` are settings by name; each effect takes those that it knows. Raises InvalidInput for
    a value that is out of range.
    """
    effects = tuple(effect.change(values, position) for effect in state.effects)
    return replace(state, effects=effects)


def master(state: MasterState, block: Samples) -> tuple[MasterState, Samples]:
    """Take in ``block`` (channels, n) and return the samples that are ready.

    They are float32 (channels, n) and follow ``state.position``.
    """
    size = state.settings.chunk
    received = state.received + block.shape[1]
    signal = Signal.at_unity(block, received // size - state.received // size + 2)
    effects = []
    for effect in state.effects:
        after, signal = effect.process(signal)
        effects.append(after)
    ready = signal.samples.shape[1]
    state = replace(
        state,
        effects=tuple(effects),
        received=received,
        position=state.position + ready,
        power=float(signal.powers[-1]) if ready else state.power,
    )
    return state, signal.samples


def master_whole(samples: Samples, sample_rate: int) -> Samples:
    """Return all of ``samples`` (channels, n), mastered: as loud as a jam, as long as they were."""
    settings = Mastering(sample_rate=sample_rate)
    tail = np.zeros((len(samples), settings.delay), np.float32)
    _, loud = master(start_master(len(samples), settings), np.concatenate([samples, tail], axis=1))
    return loud[:, : samples.shape[1]]
