"""Planned songs: how long one takes, what memory it needs, and how sections join."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from multiprocessing.connection import Connection

import numpy as np

from benchmarks.memory import watch
from benchmarks.options import Options
from benchmarks.report import Row
from benchmarks.seams import Excerpt, flux_ratio, median, step_ratio
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.song.model import Song
from riffusion.song.planner import plan_song
from riffusion.song.session import CROSSFADE_S, HANDOVER_S, SongSession

LINE = "bossa nova, three minutes"
LONG_LINE = "rock, ten minutes"
JOINED_LINES = ("pop, two minutes", "techno, two minutes", "jazz, two minutes", "two minutes")
# Where one section hands over to the next, from the bar line.
CROSSFADE_AT_S = (-HANDOVER_S - CROSSFADE_S, -HANDOVER_S)


@dataclass(frozen=True)
class Timing:
    """Seconds until the first samples, until the end, and of music."""

    first_s: float
    all_s: float
    song_s: float


def measure(options: Options) -> list[Row]:
    """One song several times, the joins of a few, and the memory of a long one."""
    engine = load_engine(options.model, options.device)
    timings = [timed(engine, plan_song(LINE)) for _ in range(options.repeats)]
    note = f"{LINE!r}, {timings[0].song_s:.0f} s, median of {options.repeats}"
    watched = watch(play, options)
    long = f"{LONG_LINE!r}, in a process of its own"
    return [
        Row("a song of three minutes", median([t.all_s for t in timings]), "s", "<= 60", note),
        Row("its first samples", median([t.first_s for t in timings]), "s"),
        *joins(engine),
        Row("memory growth of ten minutes, once settled", watched.growth_mb, "MB", "< 50", long),
        Row("its peak memory", watched.peak_mb, "MB"),
        Row("samples missing from it", watched.result, "", "0"),
    ]


def timed(engine: Engine, song: Song) -> Timing:
    """Play a song into nothing."""
    begin = time.perf_counter()
    with SongSession(engine, song) as session:
        next(session)
        first_s = time.perf_counter() - begin
        for _ in session:
            pass
        return Timing(first_s, time.perf_counter() - begin, session.samples / session.sample_rate)


def joins(engine: Engine) -> list[Row]:
    """What happens where one section ends and the next begins, over what happens elsewhere."""
    songs = [plan_song(line, seed=seed) for seed, line in enumerate(JOINED_LINES)]
    heard = [listen(engine, song) for song in songs]
    flux = [flux_ratio(one, engine.params, CROSSFADE_AT_S) for one in heard]
    steps = [step_ratio(one, CROSSFADE_AT_S) for one in heard]
    off = max(off_grid(song, one) for song, one in zip(songs, heard, strict=True))
    note = f"{sum(len(one.boundaries) for one in heard)} joins in {len(songs)} songs"
    return [
        Row("flux where sections join / elsewhere", median(flux), "", "<= 1.3", f"{note}, median"),
        Row("largest sample step where they join / inside", max(steps), "", "<= 1", "worst song"),
        Row("sections off the grid, at most", off, "samples", "0", note),
    ]


def listen(engine: Engine, song: Song) -> Excerpt:
    """The sound of a song, with the bar lines on which sections begin as it is told of them."""
    with SongSession(engine, song) as session:
        blocks = list(session)
    starts = sorted({block.placed.start for block in blocks})
    bars = sum(song.section(name).bars for name in song.order)
    return Excerpt(
        np.concatenate([block.samples for block in blocks], axis=1),
        session.sample_rate,
        tuple(starts[1:]),
        tuple(grid(song, range(bars), session.sample_rate)),
    )


def grid(song: Song, bars: Sequence[int], sample_rate: int) -> list[int]:
    """The samples nearest to bar lines of a song of one tempo.

    Computed here in exact fractions, not by the code that is measured.
    """
    bar = Fraction(song.beats_per_bar * 60 * sample_rate) / Fraction(song.bpm)
    return [round(number * bar) for number in bars]


def off_grid(song: Song, heard: Excerpt) -> int:
    """The largest distance of where a section begins from where it should."""
    begin = list(accumulate(song.section(name).bars for name in song.order[:-1]))
    right = grid(song, begin, heard.sample_rate)
    pairs = zip(heard.boundaries, right, strict=True)
    return max((abs(is_ - should) for is_, should in pairs), default=0)


def play(options: Options, report: Connection) -> None:
    """Play a long song and report how many of its samples were missing or not in their place."""
    engine = load_engine(options.model, options.device)
    with SongSession(engine, plan_song(LONG_LINE)) as session:
        end = missing = 0
        for block in session:
            missing += abs(block.start - end)
            end = block.start + block.samples.shape[1]
        report.send(missing + abs(session.samples - end))
