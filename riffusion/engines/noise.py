"""The noise that a clip starts from: of a whole window, or of the places of a loop.

In a loop each bar has noise of its own, which comes back when the bar comes back, turned a little.
So the groove comes round, and changes as far as the noise turned. The bars of one loop also share a
part of their noise, so that neighbours have one arrangement.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

MAX_SEED = 2**63 - 1
# The part of the noise's power that the places of a loop share. With none, neighbouring bars differ
# by 4.3 dB; with this, by 3.4 dB, nearer to the 2.9 dB of arranged music (docs/benchmarks.md).
SHARED = 0.8
# Stands for the loop as a whole where places have numbers.
WHOLE = -1


@dataclass(frozen=True)
class NoisePlace:
    """A place of a loop, such as a bar, in the window of a clip: which noise sounds there.

    Parameters
    ----------
    first_frame : int
        The frame of the window on which the place begins. It is negative where the window begins
        in the middle of it. The place lasts until the next one.
    place : int
        The number of the place in its loop, from 0. It has the same noise each time round, turned.
    turn : float
        How far its noise has turned since the beginning, in quarter turns: a whole one makes it
        another noise.

    Examples
    --------
    >>> import riffusion
    >>> bar = riffusion.NoisePlace(first_frame=-40, place=3, turn=0.25)
    >>> bells = riffusion.Prompt("church bells")
    >>> request = riffusion.ClipRequest(bells, bells, noise=(bar,))
    """

    first_frame: int
    place: int
    turn: float = 0.0


def derive_seed(seed: int, *numbers: int) -> int:
    """Return the seed that belongs to ``numbers`` under a prompt's ``seed``.

    It is the first eight bytes of the SHA-256 of "seed:number:...", brought into the range of
    seeds, so that it is the same on every machine.
    """
    text = ":".join(str(number) for number in (seed, *numbers))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & MAX_SEED


def draw_noise(
    seed: int,
    shape: Sequence[int],
    places: Sequence[NoisePlace] = (),
    frames_per_column: int = 1,
    number: int = 0,
) -> torch.Tensor:
    """Return Gaussian noise of a window, float32 of ``shape``, whose last axis is time.

    It is drawn on the CPU, so that a seed means the same on every device. Without ``places`` it is
    drawn from ``seed`` alone. A column of noise covers ``frames_per_column`` frames, and ``number``
    counts the draws for the same window.
    """
    if not places:
        return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))
    *rows, columns = shape
    noise = torch.empty(tuple(shape))
    # A place begins with its first whole column.
    begins = [-(-place.first_frame // frames_per_column) for place in places]
    for place, begin, stop in zip(places, begins, [*begins[1:], columns], strict=True):
        first, last = max(begin, 0), min(stop, columns)
        if first < last:
            turned = _turn_noise(seed, place, (last - begin, *rows), number)
            noise[..., first:last] = turned.movedim(0, -1)[..., first - begin :]
    return noise


def _turn_noise(seed: int, place: NoisePlace, shape: tuple[int, ...], number: int) -> torch.Tensor:
    """Return the noise of a place, whose first axis is time."""
    own, shared = (
        _turned_waypoints(seed, which, place.turn, number, shape) for which in (place.place, WHOLE)
    )
    return math.sqrt(1 - SHARED) * own + math.sqrt(SHARED) * shared


def _turned_waypoints(
    seed: int, place: int, turn: float, number: int, shape: tuple[int, ...]
) -> torch.Tensor:
    """Return noise that has turned on the sphere by ``turn`` quarter turns.

    It goes from one random waypoint to the next, one quarter turn apart, since independent Gaussian
    vectors of many dimensions are orthogonal.
    """
    waypoint = math.floor(turn)
    angle = (turn - waypoint) * math.pi / 2
    seeds = (derive_seed(seed, place, waypoint + step, number) for step in (0, 1))
    # A longer waypoint begins like a shorter one.
    here, there = (
        torch.randn(shape, generator=torch.Generator().manual_seed(own)) for own in seeds
    )
    return math.cos(angle) * here + math.sin(angle) * there
