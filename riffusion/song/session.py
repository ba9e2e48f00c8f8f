"""SongSession: a song as a stream of audio, from its first bar line to its last."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from types import TracebackType

import numpy as np
import numpy.typing as npt

from riffusion.audio.mastering import Mastering
from riffusion.engines.protocol import Engine, never
from riffusion.errors import InvalidInput
from riffusion.jam.block import ClipMark, JamBlock
from riffusion.jam.stitcher import FADE_IN_S, correlation, crossfade_gains, fade_in
from riffusion.song.model import Song
from riffusion.song.placement import PlacedSection, continued, cut_at, place_in, places_of
from riffusion.song.plan import plan_fields
from riffusion.song.takes import UNPLAYED_S, Takes
from riffusion.vocoder.protocol import Vocoder

Samples = npt.NDArray[np.float32]

BLOCK_S = 0.25
# Sections are music of their own, which 30 ms, enough for clips that go on from each other, would
# not join: the flux there was 3.8 times that of elsewhere, in 0.2 s 1.0, in 0.1 s 1.7.
CROSSFADE_S = 0.2
# From the end of a crossfade to the bar line of the section that fades in.
HANDOVER_S = UNPLAYED_S + 0.01


@dataclass(frozen=True)
class SectionMark(ClipMark):
    """A clip of a section: the ``place``-th of the song, named ``section``, on from ``place_start``
    for ``place_bars`` bars."""

    place: int
    section: str
    place_start: int
    place_bars: int


@dataclass(frozen=True)
class SongBlock(JamBlock):
    """Float32 ``samples`` (channels, n) from absolute sample ``start`` on, all of one section."""

    place: PlacedSection


@dataclass(frozen=True)
class SongChange:
    """Another ``song`` to go on with, and where to: ``jump`` is the number of a section."""

    song: Song
    jump: int | None = None


class SongSession:
    """Iterator of ``SongBlock`` that ends with the song. Use it in a ``with`` block.

    Sections begin on the bar lines of ``places``, to the sample. One fades into the next in
    0.2 s that end 0.12 s before the bar line. So where a name returns, at variation 0, it has the
    same bytes from its bar line to 0.32 s before its end. Only a walk to another section than the
    first time takes its own bars, and the song itself its fades: in for the first 5 ms, out over
    the last bar, whose last 0.12 s are silent.

    Sound comes while it is made: the first as soon as the first clips are there. Takes are kept in
    temporary files, so memory does not grow with the song.
    """

    def __init__(self, engine: Engine, song: Song, *, vocoder: Vocoder | None = None) -> None:
        """Raises InvalidInput where the engine cannot play a section's tempo."""
        self.engine_name = engine.name
        self.sample_rate = engine.params.sample_rate
        self.channels = engine.channels
        self._song = song
        self._takes = Takes(engine, vocoder)
        self._takes.check(song)
        self._places = places_of(song, self.sample_rate)
        self._position = 0
        self._crossfade = round(CROSSFADE_S * self.sample_rate)
        self._handover = round(HANDOVER_S * self.sample_rate)
        self._step = round(BLOCK_S * self.sample_rate)

    @property
    def song(self) -> Song:
        """The song, with all changes."""
        return self._song

    @property
    def places(self) -> tuple[PlacedSection, ...]:
        """What was played and what will be, as far as is known now."""
        return self._places

    @property
    def samples(self) -> int:
        """The length of all that."""
        return self._places[-1].stop

    @property
    def position(self) -> int:
        """The absolute sample that the next block starts with."""
        return self._position

    @property
    def finished(self) -> bool:
        """Whether there is no next block."""
        return self._position >= self.samples

    @property
    def ready(self) -> bool:
        """Whether the next block is there without any computing."""
        stop = self._position + self._step
        return not self.finished and all(
            self._takes.take(place).has(stop - place.start) for place in self._needed()
        )

    @property
    def has_pending_audio(self) -> bool:
        """Whether a part of the last clip has not become sound yet."""
        takes = (self._takes.take(place) for place in self._needed())
        return not self.finished and any(take.has_pending_audio for take in takes)

    def __iter__(self) -> Iterator[SongBlock]:
        return self

    def __next__(self) -> SongBlock:
        if self.finished:
            raise StopIteration
        return self.block()

    def block(self, *, interrupted: Callable[[], bool] = never) -> SongBlock:
        """The next block: a quarter of a second, or less.

        Where a clip must be generated for it and ``interrupted`` turns true meanwhile, raises
        ``riffusion.engines.protocol.Interrupted``; the song is then as it was.
        """
        start = self._position
        place = self._places[self._number_at(start)]
        sounding, *following = self._needed()
        end = self._end(sounding)
        if start < end:
            lines = (place.stop, sounding.start, sounding.fade_start)
            stops = (start + self._step, end, *(line for line in lines if line > start))
            samples = self._body(sounding, start, min(stops), interrupted)
        elif start == end:
            samples = self._join(sounding, following, interrupted)
        else:
            samples = np.zeros((self.channels, self.samples - start), np.float32)
        self._position = start + samples.shape[1]
        return SongBlock(start, samples, self._mark(place, start), place)

    def change(self, change: SongChange, not_before: int | None = None) -> int | None:
        """Go on with another song, or elsewhere in it.

        Without a jump what sounds at sample ``not_before`` (default: what was given out last) is
        played to its end as it was, and what follows as the new song has it. With a jump the
        section of that number begins at the next bar line that leaves room for a crossfade.
        Blocks may start again from an earlier sample, never before ``not_before``.

        Returns the bar line, as a sample, or None where nothing changes. Raises InvalidInput for
        what cannot be played; the song then goes on as it was.
        """
        self._takes.check(change.song)
        not_before = self._position if not_before is None else not_before
        places = self._changed(change, not_before + self._reach)
        line = _first_difference(self._places, places)
        self._song = change.song
        if line is not None:
            self._places = places
            self._position = min(self._position, line - self._reach)
            self._takes.keep_only(change.song, places[self._number_at(not_before) :])
        return line

    def export(self) -> dict[str, object]:
        """The plan of the song, ready for JSON."""
        return plan_fields(self._song)

    def close(self) -> None:
        """Delete the takes."""
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

    @property
    def _reach(self) -> int:
        """Samples from the beginning of a crossfade to the bar line behind it."""
        return self._handover + self._crossfade

    def _number_at(self, sample: int) -> int:
        """Which place has the last bar line at or before ``sample``."""
        return max(0, bisect_right(self._places, sample, key=lambda place: place.start) - 1)

    def _needed(self) -> tuple[PlacedSection, ...]:
        """The place whose sound comes next, and the one that it fades into just now."""
        number = self._number_at(self._position + self._handover)
        fades = self._position == self._end(self._places[number])
        return self._places[number : number + 1 + fades]

    def _end(self, place: PlacedSection) -> int:
        """Where its sound begins to fade into the next one's."""
        return place.stop - self._reach

    def _changed(self, change: SongChange, earliest: int) -> tuple[PlacedSection, ...]:
        """What is played after a change; no bar line before ``earliest`` is another one."""
        number = max(0, bisect_left(self._places, earliest, key=lambda place: place.start) - 1)
        playing, order = self._places[number], change.song.order
        if change.jump is not None and not 0 <= change.jump < len(order):
            legal = f"the song has sections 0 to {len(order) - 1}"
            raise InvalidInput("section to jump to", change.jump, legal)
        if earliest > playing.stop:
            if change.jump is not None:
                raise InvalidInput("jump", order[change.jump], "comes too late: the song is over")
            return self._places
        if change.jump is None:
            *kept, current = self._places[: number + 1]
            index = place_in(change.song, current) + 1
        else:
            *kept, current = cut_at(self._places, playing.grid.next_bar(earliest))
            index = change.jump
        if earliest <= current.fade_start:
            current = replace(current, last=index >= len(order))
        return continued((*kept, current), change.song, index)

    def _body(
        self, place: PlacedSection, start: int, stop: int, interrupted: Callable[[], bool]
    ) -> Samples:
        """The sound of one place, from absolute sample ``start`` to ``stop``."""
        take = self._takes.take(place)
        samples = take.read(start - place.start, stop - place.start, interrupted)
        if start == 0:
            samples = fade_in(samples, round(FADE_IN_S * self.sample_rate))
        if place.last and start >= place.fade_start:
            length = place.stop - self._handover - place.fade_start
            samples = samples * fade_out(start - place.fade_start, stop - start, length)
        return samples

    def _join(
        self,
        place: PlacedSection,
        following: Sequence[PlacedSection],
        interrupted: Callable[[], bool],
    ) -> Samples:
        """The crossfade from one place to the one following, or to silence."""
        begin = self._end(place)
        stop = begin + self._crossfade
        old = self._body(place, begin, stop, interrupted)
        new = np.zeros_like(old)
        for after in following:
            new = self._body(after, begin, stop, interrupted)
        return join(old, new, Mastering().ceiling)

    def _mark(self, place: PlacedSection, sample: int) -> SectionMark:
        """The clip that sounds at ``sample`` of a place, as it lies in the song."""
        clip = self._takes.take(place).clip_at(sample - place.start)
        bar = place.bar + max(0, clip.bar)
        placed = replace(
            clip,
            start_sample=place.grid.bar_sample(bar),
            bar=bar,
            chords=clip.chords[max(0, -clip.bar) :],
        )
        return SectionMark(
            **vars(placed),
            place=place.index,
            section=place.name,
            place_start=place.start,
            place_bars=place.section.bars,
        )


def _first_difference(old: Sequence[PlacedSection], new: Sequence[PlacedSection]) -> int | None:
    """The bar line from which on what is played differs, as a sample; None where nothing does."""
    for before, after in zip_longest(old, new):
        if before == after:
            continue
        if before is None or after is None:
            return (before or after).start
        if replace(before, bars=after.bars, last=after.last) != after:
            return before.start
        faded = before.fade_start if before.last != after.last else before.stop
        return min(before.stop, after.stop, faded)
    return None


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
