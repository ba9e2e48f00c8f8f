"""Planned songs: how long one takes, what memory it needs, and how its sections join."""

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
# The crossfade from one section to the next, in seconds from the bar line.
CROSSFADE_AT_S = (-HANDOVER_S - CROSSFADE_S, -HANDOVER_S)


@dataclass(frozen=True)
class Timing:
    """Seconds until the first samples, until the end, and of music."""

    first_s: float
    all_s: float
    song_s: float


def measure(options: Options) -> list[Row]:
    """Return rows about one song several times, the joins of a few, and a long one."""
    engine = load_engine(options.model, options.device)
    timings = [time_song(engine, plan_song(LINE)) for _ in range(options.repeats)]
    note = f"{LINE!r}, {timings[0].song_s:.0f} s, median of {options.repeats}"
    watched = watch(play, options)
    long = f"{LONG_LINE!r}, in a process of its own"
    return [
        Row("a song of three minutes", median([t.all_s for t in timings]), "s", "<= 60", note),
        Row("its first samples", median([t.first_s for t in timings]), "s"),
        *measure_joins(engine),
        Row("memory growth of ten minutes, once settled", watched.growth_mb, "MB", "< 50", long),
        Row("its peak memory", watched.peak_mb, "MB"),
        Row("samples missing from it", watched.result, "", "0"),
    ]


def time_song(engine: Engine, song: Song) -> Timing:
    """Play a song without keeping it, and return its timing."""
    begin = time.perf_counter()
    with SongSession(engine, song) as session:
        next(session)
        first_s = time.perf_counter() - begin
        for _ in session:
            pass
        return Timing(first_s, time.perf_counter() - begin, session.samples / session.sample_rate)


def measure_joins(engine: Engine) -> list[Row]:
    """Return rows about the boundaries of sections, as ratios to what happens elsewhere."""
    songs = [plan_song(line, seed=seed) for seed, line in enumerate(JOINED_LINES)]
    heard = [play_song(engine, song) for song in songs]
    flux = [flux_ratio(one, engine.params, CROSSFADE_AT_S) for one in heard]
    steps = [step_ratio(one, CROSSFADE_AT_S) for one in heard]
    off = max(measure_off_grid(song, one) for song, one in zip(songs, heard, strict=True))
    note = f"{sum(len(one.boundaries) for one in heard)} joins in {len(songs)} songs"
    return [
        Row("flux where sections join / elsewhere", median(flux), "", "<= 1.3", f"{note}, median"),
        Row("largest sample step where they join / inside", max(steps), "", "<= 1", "worst song"),
        Row("sections off the grid, at most", off, "samples", "0", note),
    ]


def play_song(engine: Engine, song: Song) -> Excerpt:
    """Return the sound of a song, with the bar lines on which sections begin.

    They are those that the session reports.
    """
    with SongSession(engine, song) as session:
        blocks = list(session)
    starts = sorted({block.placed.start for block in blocks})
    bars = sum(song.section(name).bars for name in song.order)
    return Excerpt(
        np.concatenate([block.samples for block in blocks], axis=1),
        session.sample_rate,
        tuple(starts[1:]),
        tuple(place_bar_lines(song, range(bars), session.sample_rate)),
    )


def place_bar_lines(song: Song, bars: Sequence[int], sample_rate: int) -> list[int]:
    """Return the samples nearest to bar lines of a song of one tempo.

    They are computed here in exact fractions, not by the code that is measured.
    """
    bar = Fraction(song.beats_per_bar * 60 * sample_rate) / Fraction(song.bpm)
    return [round(number * bar) for number in bars]


def measure_off_grid(song: Song, heard: Excerpt) -> int:
    """Return the largest distance, in samples, of where a section begins from where it should."""
    begin = list(accumulate(song.section(name).bars for name in song.order[:-1]))
    right = place_bar_lines(song, begin, heard.sample_rate)
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
