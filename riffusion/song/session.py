"""SongSession: a song as a stream of audio, from its first bar line to its last."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt

from riffusion.engines.base import Engine
from riffusion.mastering import Mastering
from riffusion.phase import Vocoder
from riffusion.rhythm import BarGrid
from riffusion.song.model import Place, Song
from riffusion.song.takes import UNPLAYED_S, Takes
from riffusion.stitcher import (
    CROSSFADE_S,
    FADE_IN_S,
    correlation,
    crossfade_gains,
    fade_in,
)

Samples = npt.NDArray[np.float32]

BLOCK_S = 0.25
# From the end of a crossfade to the bar line of the section that fades in.
HANDOVER_S = UNPLAYED_S + 0.01


@dataclass(frozen=True)
class SongBlock:
    """Float32 ``samples`` (channels, n) from absolute sample ``start`` on, all of one section."""

    start: int
    samples: Samples
    place: Place


class SongSession:
    """Iterator of ``SongBlock`` that ends with the song. Use it in a ``with`` block.

    Sections begin on the bar lines of ``places``, to the sample. One fades into the next in
    30 ms that end 0.12 s before the bar line. So where a name returns, at variation 0, it has the
    same bytes from its bar line to 0.15 s before its end. Only a walk to another section than the
    first time takes its own bars, and the song itself its fades: in for the first 5 ms, out over
    the last bar, whose last 0.12 s are silent.

    Sound comes while it is made: the first as soon as the first clips are there. Takes are kept in
    temporary files, so memory does not grow with the song.
    """

    def __init__(self, engine: Engine, song: Song, *, vocoder: Vocoder | None = None) -> None:
        """Raises InvalidInput where the engine cannot play a section's tempo."""
        self.sample_rate = engine.params.sample_rate
        self.channels = engine.channels
        self.places = song.places(self.sample_rate)
        self._beats_per_bar = song.beats_per_bar
        self._bpm = song.bpm_of(self.places[-1].section)
        self._takes = Takes(engine, song, vocoder)
        self._crossfade = round(CROSSFADE_S * self.sample_rate)
        self._handover = round(HANDOVER_S * self.sample_rate)
        self._blocks = self._split(self._pieces())

    @property
    def samples(self) -> int:
        """The length of the song."""
        return self.places[-1].stop

    def __iter__(self) -> Iterator[SongBlock]:
        return self

    def __next__(self) -> SongBlock:
        return next(self._blocks)

    def close(self) -> None:
        """Delete the takes."""
        self._blocks.close()
        self._takes.close()

    def __enter__(self) -> SongSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _split(self, pieces: Iterator[Samples]) -> Generator[SongBlock]:
        """The pieces one after the other, cut at the bar lines where sections begin."""
        start, waiting = 0, list(self.places[1:])
        place = self.places[0]
        for piece in pieces:
            while waiting and waiting[0].start <= start + piece.shape[1]:
                before, piece = np.split(piece, [waiting[0].start - start], axis=1)
                if before.size:
                    yield SongBlock(start, before, place)
                start, place = waiting[0].start, waiting.pop(0)
            if piece.size:
                yield SongBlock(start, piece, place)
                start += piece.shape[1]

    def _pieces(self) -> Iterator[Samples]:
        """The sound of the song, piece by piece."""
        begin = 0
        for place in self.places[:-1]:
            end = place.stop - self._handover - self._crossfade
            yield from self._body(place, begin, end)
            begin = end + self._crossfade
            yield self._join(place, self.places[place.index + 1], end, begin)
        yield from self._ending(begin)

    def _body(self, place: Place, begin: int, end: int) -> Iterator[Samples]:
        """The sound of one section, from absolute sample ``begin`` to ``end``."""
        take = self._takes.take(place)
        step = round(BLOCK_S * self.sample_rate)
        for start in range(begin, end, step):
            piece = take.read(start - place.start, min(start + step, end) - place.start)
            yield fade_in(piece, round(FADE_IN_S * self.sample_rate)) if start == 0 else piece

    def _join(self, place: Place, following: Place, begin: int, end: int) -> Samples:
        """The crossfade from one section to the next."""
        old = self._takes.take(place).read(begin - place.start, end - place.start)
        new = self._takes.take(following).read(begin - following.start, end - following.start)
        return join(old, new, Mastering().ceiling)

    def _ending(self, begin: int) -> Iterator[Samples]:
        """The last section from ``begin`` on; its last bar fades to silence."""
        place = self.places[-1]
        quiet = place.stop - self._handover
        grid = BarGrid(self.sample_rate, self._bpm, self._beats_per_bar)
        loud = max(begin, place.stop - grid.bar_sample(1))
        yield from self._body(place, begin, loud)
        start = loud
        for piece in self._body(place, loud, quiet):
            yield piece * fade_out(start - loud, piece.shape[1], quiet - loud)
            start += piece.shape[1]
        yield np.zeros((self.channels, self._handover), np.float32)


def join(old: Samples, new: Samples, ceiling: float) -> Samples:
    """A crossfade of two mastered sounds, both (channels, n), no louder than ``ceiling``.

    At the power they share; where peaks that meet would pass the ceiling, at constant amplitude,
    which cannot.
    """
    likeness = max(0.0, correlation(old, new))
    for shared in (likeness, 1.0):
        gain_old, gain_new = crossfade_gains(old.shape[1], shared)
        joined = gain_old * old + gain_new * new
        if np.abs(joined).max() <= ceiling:
            break
    return joined.astype(np.float32)


def fade_out(start: int, samples: int, length: int) -> Samples:
    """Gains (n,) of samples ``start`` and on of a fade of ``length``: a quarter cosine, squared."""
    angles = (start + np.arange(samples)) / length * (np.pi / 2)
    return (np.cos(angles) ** 2).astype(np.float32)
