"""The noise that a clip starts from: of a whole window, or of the places of a loop.

In a loop each bar has noise of its own, which comes back when the bar comes back, turned a little.
So the groove comes round, and changes as far as the noise turned. All clips of a loop also have a
part of their noise in common, so that neighbours have one arrangement.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from riffusion.errors import InvalidInput

MAX_SEED = 2**63 - 1
# The part of the noise's power that the clips of a loop have in common (docs/benchmarks.md). It
# begins with each clip and not with each bar: noise that repeats within a window is no longer like
# the noise that networks are trained on.
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
    >>> riffusion.NoisePlace(first_frame=-40, place=3, turn=0.25).place
    3
    """

    first_frame: int
    place: int
    turn: float = 0.0


@dataclass(frozen=True)
class LoopNoise:
    """The noise of a window in a loop.

    Parameters
    ----------
    places : tuple of NoisePlace
        The bars in the window, in order. The first begins at or before frame 0.
    first_frame : int
        The frame from which on the clip shares a part of its noise with all clips of the loop.
    turn : float
        How far that part has turned, in quarter turns.

    Raises
    ------
    InvalidInput
        When no place covers the first frame.

    Examples
    --------
    >>> import riffusion
    >>> bars = (riffusion.NoisePlace(0, place=2), riffusion.NoisePlace(200, place=3))
    >>> bells = riffusion.Prompt("church bells")
    >>> request = riffusion.ClipRequest(bells, bells, noise=riffusion.LoopNoise(bars))
    """

    places: tuple[NoisePlace, ...]
    first_frame: int = 0
    turn: float = 0.0

    def __post_init__(self) -> None:
        if not self.places or self.places[0].first_frame > 0:
            hint = "let the first place begin at frame 0 or before"
            raise InvalidInput("noise of a loop", self.places[:1], hint)


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
    loop: LoopNoise | None = None,
    frames_per_column: int = 1,
    number: int = 0,
) -> torch.Tensor:
    """Return Gaussian noise of a window, float32 of ``shape``, whose last axis is time.

    It is drawn on the CPU, so that a seed means the same on every device. Without a ``loop`` it is
    drawn from ``seed`` alone. A column of noise covers ``frames_per_column`` frames, and ``number``
    counts the draws for the same window.
    """
    if loop is None:
        return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))
    noise = torch.empty(tuple(shape))
    # A place begins with its first whole column.
    begins = [-(-place.first_frame // frames_per_column) for place in loop.places]
    for place, begin, stop in zip(loop.places, begins, [*begins[1:], shape[-1]], strict=True):
        _fill(noise, begin, stop, partial(_turn_noise, seed, place.place, place.turn, number))
    common = torch.zeros(tuple(shape))
    begin = -(-loop.first_frame // frames_per_column)
    _fill(common, begin, shape[-1], partial(_turn_noise, seed, WHOLE, loop.turn, number))
    first = max(begin, 0)
    noise[..., first:] *= math.sqrt(1 - SHARED)
    noise[..., first:] += math.sqrt(SHARED) * common[..., first:]
    return noise


def _fill(
    noise: torch.Tensor, begin: int, stop: int, draw: Callable[[tuple[int, ...]], torch.Tensor]
) -> None:
    """Fill columns ``begin`` to ``stop`` of ``noise``, as far as they are there, with a drawing."""
    *rows, columns = noise.shape
    first, last = max(begin, 0), min(stop, columns)
    if first < last:
        noise[..., first:last] = draw((last - begin, *rows)).movedim(0, -1)[..., first - begin :]


def _turn_noise(
    seed: int, place: int, turn: float, number: int, shape: tuple[int, ...]
) -> torch.Tensor:
    """Return the noise of a place after ``turn`` quarter turns, whose first axis is time.

    It goes on the sphere from one random waypoint to the next, one quarter turn apart, since
    independent Gaussian vectors of many dimensions are orthogonal.
    """
    waypoint = math.floor(turn)
    angle = (turn - waypoint) * math.pi / 2
    seeds = (derive_seed(seed, place, waypoint + step, number) for step in (0, 1))
    # A longer waypoint begins like a shorter one.
    here, there = (
        torch.randn(shape, generator=torch.Generator().manual_seed(own)) for own in seeds
    )
    return math.cos(angle) * here + math.sin(angle) * there
