"""A song session plays a song as a stream of audio, from its first bar line to its last."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riffusion.audio.mastering import Mastering
from riffusion.engines.prefetch import ClipTask
from riffusion.engines.protocol import Engine, never
from riffusion.jam.block import ClipMark, JamBlock
from riffusion.jam.stitcher import FADE_IN_S, correlation, crossfade_gains, fade_in
from riffusion.song.model import Song
from riffusion.song.placement import (
    PlacedSection,
    change_placement,
    first_difference,
    place_sections,
)
from riffusion.song.plan import plan_fields
from riffusion.song.takes import UNPLAYED_S, Take, TakeStore
from riffusion.storage import Closing
from riffusion.vocoder.protocol import Vocoder

Samples = npt.NDArray[np.float32]

BLOCK_S = 0.25
# Sections do not continue each other as clips do, for which 30 ms are enough: with those the
# spectral flux was 3.8 times that of elsewhere, with 0.1 s 1.7 times, with 0.2 s the same.
CROSSFADE_S = 0.2
# The time from the end of a crossfade to the bar line of the section that fades in.
HANDOVER_S = UNPLAYED_S + 0.01


@dataclass(frozen=True)
class SectionMark(ClipMark):
    """A clip of the section that is ``place``-th in the order of the song, from 0.

    The section is named ``section`` and plays from sample ``place_start`` on for ``place_bars``
    bars.
    """

    place: int
    section: str
    place_start: int
    place_bars: int


@dataclass(frozen=True)
class SongBlock(JamBlock):
    """Float32 ``samples`` (channels, n) from absolute sample ``start`` on, all of one section."""

    placed: PlacedSection


@dataclass(frozen=True)
class SongChange:
    """A change to another ``song``, and maybe a ``jump`` to the section of that number, from 0."""

    song: Song
    jump: int | None = None


class SongSession(Closing):
    """An iterator of ``SongBlock`` that ends with the song. Use it in a ``with`` block.

    Sections begin on the bar lines of ``placement``, to the sample. One fades into the next in
    0.2 s that end 0.12 s before the bar line. So where a name returns, at variation 0, it has the
    same bytes from its bar line to 0.32 s before its end. The exceptions are the bars of a walk to
    another section than the first time, and the fades of the song: in for the first 5 ms, out over
    the last bar, whose last 0.12 s are silent.

    Audio comes while it is made, the first as soon as the first clips are there. Takes are kept in
    temporary files, so memory does not grow with the song.

    Parameters
    ----------
    engine : Engine
        Generates the clips, and vocodes them unless ``vocoder`` does.
    song : Song
        The song, from ``load_plan``, ``plan_song`` or Python.
    vocoder : Vocoder, optional
        Takes the place of the engine's own.

    Raises
    ------
    InvalidInput
        If the engine cannot play the tempo of a section.

    Examples
    --------
    >>> import riffusion
    >>> song = riffusion.plan_song("bossa nova, two minutes")
    >>> with riffusion.SongSession(riffusion.load_engine(device="cpu"), song) as session:
    ...     block = next(session)
    >>> block.start, block.placed.name, block.samples.shape
    (0, 'intro', (2, 11025))
    """

    def __init__(self, engine: Engine, song: Song, *, vocoder: Vocoder | None = None) -> None:
        self.engine_name = engine.name
        self.sample_rate = engine.params.sample_rate
        self.channels = engine.channels
        self._song = song
        self._takes = TakeStore(engine, vocoder)
        self._placement = place_sections(song, self.sample_rate)
        self._takes.check(song, self._placement)
        self._position = 0
        self._crossfade = round(CROSSFADE_S * self.sample_rate)
        self._handover = round(HANDOVER_S * self.sample_rate)
        self._step = round(BLOCK_S * self.sample_rate)

    @property
    def song(self) -> Song:
        """The song after all changes."""
        return self._song

    @property
    def placement(self) -> tuple[PlacedSection, ...]:
        """The sections that were played and those that will be, unless the song changes."""
        return self._placement

    @property
    def samples(self) -> int:
        """The length of the song in samples, unless it changes."""
        return self._placement[-1].stop

    @property
    def position(self) -> int:
        """The absolute sample that the next block starts with."""
        return self._position

    @property
    def placed(self) -> int:
        """The absolute sample up to which the clips of the section that sounds are placed."""
        sounding = self._needed()[0]
        take = self._takes.find(sounding)
        return sounding.start + take.placed if take else self._position

    @property
    def finished(self) -> bool:
        """Whether there is no next block."""
        return self._position >= self.samples

    @property
    def ready(self) -> bool:
        """Whether the next block can be had without any computing."""
        stop = self._position + self._step
        return not self.finished and all(
            take is not None and take.has(stop - placed.start)
            for placed, take in self._needed_takes()
        )

    @property
    def has_pending_audio(self) -> bool:
        """Whether a part of the last clip has not been vocoded and mastered yet."""
        takes = (take for _, take in self._needed_takes())
        return not self.finished and any(take and take.has_pending_audio for take in takes)

    def __iter__(self) -> Iterator[SongBlock]:
        return self

    def __next__(self) -> SongBlock:
        if self.finished:
            raise StopIteration
        return self.block()

    def block(self, *, interrupted: Callable[[], bool] = never) -> SongBlock:
        """Return the next block: at most a quarter of a second.

        Where a clip must be generated for it and ``interrupted`` turns true meanwhile, raises
        ``riffusion.engines.protocol.Interrupted``; the song is then as it was.
        """
        start = self._position
        placed = self._placement[self._number_at(start)]
        sounding, *following = self._needed()
        end = self._end(sounding)
        if start < end:
            samples = self._body(sounding, start, self._body_stop(placed, sounding), interrupted)
        elif start == end:
            samples = self._crossfade_into(sounding, following, interrupted)
        else:
            samples = np.zeros((self.channels, self.samples - start), np.float32)
        self._position = start + samples.shape[1]
        return SongBlock(start, samples, self._mark(placed, start), placed)

    def place_clip(self, *, interrupted: Callable[[], bool] = never) -> None:
        """Generate the next clip, where the next block needs it, without making its sound yet.

        Where a section fades into another, ``block`` does it. Raises Interrupted as it does.
        """
        sounding = self._needed()[0]
        if self._position < self._end(sounding):
            placed = self._placement[self._number_at(self._position)]
            stop = self._body_stop(placed, sounding)
            self._takes.get(sounding).place_clip(stop - sounding.start, interrupted)

    def prefetch(self) -> ClipTask | None:
        """Return the task to generate the next clip of the section that sounds, if it has one.

        See ``JamSession.prefetch``.
        """
        take = self._takes.find(self._needed()[0])
        return take.prefetch() if take else None

    def change(self, change: SongChange, not_before: int | None = None) -> int | None:
        """Continue with another song, or at another section.

        Without a jump the section at sample ``not_before`` (default: the end of what was given out)
        is played to its end as it was, and the new song follows. With a jump the section of that
        number begins at the next bar line that leaves room for a crossfade. Blocks may start again
        from an earlier sample, never before ``not_before``.

        Returns the bar line, as a sample, or None where nothing changes. Raises InvalidInput for a
        change that cannot be played; the song then continues as it was.
        """
        not_before = self._position if not_before is None else not_before
        earliest = not_before + self._reach
        placement = change_placement(self._placement, change.song, change.jump, earliest)
        self._takes.check(change.song, placement)
        line = first_difference(self._placement, placement)
        self._song = change.song
        if line is not None:
            self._placement = placement
            self._position = min(self._position, line - self._reach)
            self._takes.keep_only(change.song, placement[self._number_at(not_before) :])
        return line

    def export(self) -> dict[str, object]:
        """Return the plan of the song, ready for JSON."""
        return plan_fields(self._song)

    def close(self) -> None:
        """Delete the temporary files of the takes."""
        self._takes.close()

    @property
    def _reach(self) -> int:
        """The number of samples from the beginning of a crossfade to the bar line after it."""
        return self._handover + self._crossfade

    def _number_at(self, sample: int) -> int:
        """Return the number of the placed section with the last bar line up to ``sample``."""
        return max(0, bisect_right(self._placement, sample, key=lambda placed: placed.start) - 1)

    def _needed(self) -> tuple[PlacedSection, ...]:
        """Return the placed section that sounds next, and the one that it fades into there."""
        number = self._number_at(self._position + self._handover)
        fades = self._position == self._end(self._placement[number])
        return self._placement[number : number + 1 + fades]

    def _needed_takes(self) -> Iterator[tuple[PlacedSection, Take | None]]:
        """Yield what ``_needed`` returns with its takes, as far as they exist; none is made."""
        return ((placed, self._takes.find(placed)) for placed in self._needed())

    def _body_stop(self, placed: PlacedSection, sounding: PlacedSection) -> int:
        """Return where the block from the position on ends, of the section ``sounding`` alone.

        ``placed`` is the section with the last bar line before it.
        """
        start = self._position
        lines = (placed.stop, sounding.start, sounding.fade_start)
        later = (line for line in lines if line > start)
        return min(start + self._step, self._end(sounding), *later)

    def _end(self, placed: PlacedSection) -> int:
        """Return the sample at which a section begins to fade into the next one."""
        return placed.stop - self._reach

    def _body(
        self, placed: PlacedSection, start: int, stop: int, interrupted: Callable[[], bool]
    ) -> Samples:
        """Return the audio of one section from absolute sample ``start`` to ``stop``."""
        take = self._takes.get(placed)
        samples = take.read(start - placed.start, stop - placed.start, interrupted)
        if start == 0:
            samples = fade_in(samples, round(FADE_IN_S * self.sample_rate))
        if placed.last and start >= placed.fade_start:
            length = placed.stop - self._handover - placed.fade_start
            samples = samples * fade_out(start - placed.fade_start, stop - start, length)
        return samples

    def _crossfade_into(
        self,
        placed: PlacedSection,
        following: Sequence[PlacedSection],
        interrupted: Callable[[], bool],
    ) -> Samples:
        """Return the crossfade from one section to the one following, or to silence."""
        begin = self._end(placed)
        stop = begin + self._crossfade
        old = self._body(placed, begin, stop, interrupted)
        new = np.zeros_like(old)
        for after in following:
            new = self._body(after, begin, stop, interrupted)
        return crossfade_under_ceiling(old, new, Mastering().ceiling)

    def _mark(self, placed: PlacedSection, sample: int) -> SectionMark:
        """Return the clip of a section at ``sample``, with its bars counted in the song."""
        clip = self._takes.get(placed).mark_at(sample - placed.start)
        bar, beat = (placed.bar + clip.bar, clip.beat) if clip.bar >= 0 else (placed.bar, 0.0)
        in_song = replace(
            clip,
            start_sample=placed.grid.bar_sample(bar + beat / placed.grid.beats_per_bar),
            bar=bar,
            beat=beat,
            chords=clip.chords[max(0, -clip.bar) :],
        )
        return SectionMark(
            **vars(in_song),
            place=placed.index,
            section=placed.name,
            place_start=placed.start,
            place_bars=placed.section.bars,
        )


def crossfade_under_ceiling(old: Samples, new: Samples, ceiling: float) -> Samples:
    """Return the crossfade of two mastered sounds, (channels, n), no louder than ``ceiling``.

    It keeps the power that they share. Where peaks would then add up to more than the ceiling, it
    keeps the amplitude, which cannot exceed the louder of the two.
    """
    for r in (max(0.0, correlation(old, new)), 1.0):
        gain_old, gain_new = crossfade_gains(old.shape[1], r)
        faded = gain_old * old + gain_new * new
        if np.abs(faded).max() <= ceiling:
            break
    return faded.astype(np.float32)


def fade_out(start: int, samples: int, length: int) -> Samples:
    """Return the gains (samples,) from sample ``start`` on of a fade of ``length`` samples.

    The fade is a quarter cosine, squared.
    """
    angles = (start + np.arange(samples)) / length * (np.pi / 2)
    return (np.cos(angles) ** 2).astype(np.float32)
