"""The reverb of a small room: a feedback delay network of sixteen delay lines.

M. R. Schroeder, "Natural Sounding Artificial Reverberation", JAES 10(3), 1962; J.-M. Jot and
A. Chaigne, "Digital Delay Networks for Designing Artificial Reverberators", AES 90, 1991;
J. O. Smith, "Physical Audio Signal Processing", 2010, chapter "Artificial Reverberation".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from riffusion.audio.effects.effect import FloatArray, Signal
from riffusion.errors import InvalidInput

# The lengths of the delay lines in samples at 44.1 kHz, 8 to 40 ms: what sound takes between the
# walls of a room of a few metres. They are primes, so that no two lines repeat together.
LENGTHS = (353, 421, 487, 563, 631, 709, 797, 877, 967, 1051, 1151, 1259, 1373, 1499, 1637, 1783)
LENGTHS_RATE = 44100
LINES = len(LENGTHS)
MIXINGS = 4  # sums and differences of halves that make a Hadamard matrix of 16 rows
# The seconds in which the reverb falls by 60 dB, at low frequencies and at half the sample rate.
DECAY_S, HIGH_DECAY_S = 0.9, 0.3
WET_GAIN = 0.6
GLIDE_S = 0.05  # a change of the amount takes this long, so that it does not click
TAIL_S = 3.0  # this long after its last input, what is left in the room lies under -180 dB
# Neighbouring lines of one channel get the input with opposite signs.
SIGNS = np.where(np.arange(LINES) // 2 % 2, -WET_GAIN, WET_GAIN)[:, np.newaxis]


@dataclass(frozen=True)
class Reverb:
    """A reverb that is added to the mix; amount 0 leaves every bit of the mix as it is.

    The amount says how much of the mix is sent into the room, so the reverb of what was played
    before rings out after the amount falls to 0. ``sends`` are points (absolute sample, amount)
    that the amount runs straight between. ``position`` is the next sample, ``rings_until`` the
    sample at which the room counts as silent. ``lines`` (16, longest line) are the latest samples
    that entered each delay line, newest last, and ``damping`` (16, 1) is the state of the low-pass
    filters behind them; both are None while the room is silent.
    """

    sample_rate: int
    sends: tuple[tuple[int, float], ...]
    position: int = 0
    rings_until: int = 0
    lines: FloatArray | None = None
    damping: FloatArray | None = None

    latency = 0

    @classmethod
    def start(cls, sample_rate: int, amount: float) -> Reverb:
        """Return the reverb of a silent room. Raises InvalidInput unless ``amount`` is 0 to 1."""
        return cls(sample_rate, ((0, _checked(amount)),))

    def change(self, values: Mapping[str, float], position: int) -> Reverb:
        """Return the reverb whose amount glides to ``values["reverb"]`` from ``position`` on.

        Nothing changes where that is not given, or is the amount already. A position that has
        passed counts as the next sample. Raises InvalidInput unless the amount is 0 to 1.
        """
        amount = values.get("reverb")
        if amount is None or amount == self.sends[-1][1]:
            return self
        start = max(position, self.position)
        reached = float(self._amounts(start, start + 1)[0])
        end = (start + round(GLIDE_S * self.sample_rate), _checked(amount))
        before = tuple(point for point in self.sends if point[0] < start)
        return replace(self, sends=(*before, (start, reached), end))

    def process(self, signal: Signal) -> tuple[Reverb, Signal]:
        """Add the reverb to the samples; the gains pass through unchanged."""
        samples = signal.samples
        stop = self.position + samples.shape[1]
        if self.lines is None and not any(amount for _, amount in self.sends):
            return replace(self, position=stop), signal
        sent = samples * self._amounts(self.position, stop)
        reverb, parts = self, [np.zeros((len(samples), 0))]
        # Steps end on a grid of absolute samples, whatever the blocks are.
        while reverb.position < stop:
            size = min(stop, reverb._next_step()) - reverb.position
            done = reverb.position - self.position
            reverb, wet = reverb._step(sent[:, done : done + size])
            parts.append(wet)
        last = max((n for n, (at, _) in enumerate(self.sends) if at <= stop), default=0)
        mixed = (samples + np.concatenate(parts, axis=1)).astype(np.float32)
        return replace(reverb, sends=self.sends[last:]), replace(signal, samples=mixed)

    def _amounts(self, start: int, stop: int) -> FloatArray:
        """Return the amount at each sample from ``start`` to ``stop``."""
        places, amounts = zip(*self.sends, strict=True)
        return np.asarray(np.interp(np.arange(start, stop), places, amounts))

    def _next_step(self) -> int:
        """Return the absolute sample at which the step of the next sample ends."""
        size = int(_room(self.sample_rate).lengths[0])
        return (self.position // size + 1) * size

    def _step(self, sent: FloatArray) -> tuple[Reverb, FloatArray]:
        """Return the reverb after a step and what it adds to the mix, (channels, n).

        ``sent`` (channels, n) enters the room; a step is no longer than the shortest line, so
        all that comes out of the lines is known before it.
        """
        channels, size = sent.shape
        after = replace(self, position=self.position + size)
        heard = np.flatnonzero(sent.any(axis=0))
        if len(heard):
            tail = round(TAIL_S * self.sample_rate)
            after = replace(after, rings_until=self.position + int(heard[-1]) + 1 + tail)
        room = _room(self.sample_rate)
        lines, damping = self.lines, self.damping
        on_the_grid = self.position % room.lengths[0] == 0
        if lines is not None and on_the_grid and self.position >= self.rings_until:
            lines = None
        if lines is None or damping is None:
            if not len(heard):
                return replace(after, lines=None, damping=None), np.zeros_like(sent)
            lines, damping = np.zeros((LINES, int(room.lengths[-1]))), np.zeros((LINES, 1))
        longest = lines.shape[1]
        places = (longest - room.lengths)[:, np.newaxis] + np.arange(size)
        out = np.take_along_axis(lines, places, axis=1) * room.gains
        damped, damping = lfilter([1 - room.pole], [1, -room.pole], out, axis=1, zi=damping)
        mixed = _mixed(damped)
        entering = mixed + SIGNS * sent[np.arange(LINES) % channels]
        lines = np.concatenate([lines[:, size:], entering], axis=1)
        # Each channel hears another mixture of all lines, so that the room is wide.
        return replace(after, lines=lines, damping=damping), mixed[:channels]


class Room(NamedTuple):
    """The delay lines at a sample rate: lengths in samples (16,), shortest first, their gains
    (16, 1), and the pole of the low-pass filters that damp high frequencies."""

    lengths: npt.NDArray[np.int64]
    gains: FloatArray
    pole: float


@lru_cache(maxsize=8)
def _room(sample_rate: int) -> Room:
    """Return the room at ``sample_rate`` Hz, with decays as Jot and Chaigne set them."""
    lengths = np.round(np.array(LENGTHS) * (sample_rate / LENGTHS_RATE)).astype(np.int64)
    seconds = lengths / sample_rate
    gains = np.asarray(10 ** (-3 * seconds / DECAY_S), np.float64)
    high = float(10 ** (-3 * seconds.mean() * (1 / HIGH_DECAY_S - 1 / DECAY_S)))
    return Room(lengths, gains[:, np.newaxis], (1 - high) / (1 + high))


def _mixed(lines: FloatArray) -> FloatArray:
    """Return ``lines`` (16, n) times the orthogonal Hadamard matrix.

    Sums of halves give the same bits for any n, which a matrix product does not.
    """
    mixed = lines
    for _ in range(MIXINGS):
        even, odd = mixed[0::2], mixed[1::2]
        mixed = np.concatenate([even + odd, even - odd])
    return np.asarray(mixed * LINES**-0.5)


def _checked(amount: float) -> float:
    """Return ``amount`` as a float. Raises InvalidInput unless it is 0 to 1."""
    if not 0 <= amount <= 1:
        raise InvalidInput("reverb", amount, "use a number from 0 (off) to 1")
    return float(amount)
