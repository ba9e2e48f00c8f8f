"""Measure songs: ``python -m riffusion evaluate-songs MODEL --judge judge.safetensors``.

It plays planned songs with short sections, and measures whether a section that returns is the same,
or nearer to itself than to another, and whether section boundaries can be heard. With ``--line`` it
measures instead how long that one song takes to play.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from riffusion.audio.progress import progress
from riffusion.audio.waveform import Waveform, encode_audio, read_audio
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.song.model import Song, Transition
from riffusion.song.placement import PlacedSection, place_sections
from riffusion.song.plan import plan_text
from riffusion.song.planner import plan_song
from riffusion.song.session import SongSession
from riffusion.storage import write_whole
from riffusion.training.evaluation import structure
from riffusion.training.evaluation.capture import CaptureMeasures, measure_capture
from riffusion.training.evaluation.repetition import (
    Distances,
    choose_sections,
    measure_distances,
    play_song,
    repeats_exactly,
)
from riffusion.training.evaluation.style_judge import StyleJudge, load_style_judge
from riffusion.training.plots import draw_self_similarity

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class SongMeasures:
    """The measures of one song.

    ``f_measure`` counts a boundary that is found where a section follows itself as wrong,
    ``f_measure_excused`` does not count it. ``same_bytes`` is None where the song was not played
    without variation, and ``distances`` is None without a judge.
    """

    title: str
    seconds: float
    repeated: str
    other: str
    same_bytes: bool | None
    distances: Distances | None
    boundaries: int
    found: int
    f_measure: float
    f_measure_excused: float


def plan_songs(count: int, minutes: float, bars: int, first: int = 0) -> list[Song]:
    """Plan songs, seeds from ``first`` on, in which one section returns and another exists."""
    songs: list[Song] = []
    seed = first
    while len(songs) < count:
        song = shorten_song(plan_song("", minutes, seed), bars)
        if len(set(song.order)) > 1 and len(set(song.order)) < len(song.order):
            songs.append(song)
        seed += 1
    return songs


def shorten_song(song: Song, bars: int) -> Song:
    """Return the same sequence of sections, each at most ``bars`` bars long."""
    sections = []
    for section in song.sections:
        length = min(section.bars, bars)
        kept = section.transition if section.transition.bars < length else Transition()
        sections.append(replace(section, bars=length, transition=kept))
    return replace(song, sections=tuple(sections))


class SongSounds:
    """Plays each song once and stores its sound in ``folder``, where one is given.

    The folder is used again when the command is interrupted and restarted.
    """

    def __init__(self, engine: Engine, folder: Path | None) -> None:
        self._engine, self._folder = engine, folder
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

    def sound(self, name: str, song: Song) -> Waveform:
        """Return the sound of a song, from the folder where it has the same plan."""
        if self._folder is None:
            return play_song(self._engine, song)
        audio, plan = (self._folder / f"{name}{suffix}" for suffix in (".flac", ".yaml"))
        text = plan_text(song)
        if not (audio.exists() and plan.exists() and plan.read_text("utf-8") == text):
            plan.unlink(missing_ok=True)
            write_whole(audio, encode_audio(play_song(self._engine, song), ".flac"))
            write_whole(plan, text.encode())
        return read_audio(audio)


def measure_song(
    song: Song,
    wave: Waveform,
    *,
    judge: StyleJudge | None,
    exactly: Engine | None,
    png: Path | None,
) -> SongMeasures:
    """Measure ``wave``, the sound of ``song``.

    ``exactly`` is an engine that plays it without variation too; ``png`` gets a plot.
    """
    rate = wave.sample_rate
    places = place_sections(song, rate)
    half_bar_s = song.beats_per_bar * 60 / song.bpm / 2
    repeated, other = choose_sections(song)
    similarity = structure.measure_self_similarity(wave)
    true = structure.list_true_boundaries_s(places, rate)
    found = structure.find_boundaries_s(similarity)
    if png:
        draw_self_similarity(similarity.texture, structure.STEP_S, _marks(places, rate), png)
    return SongMeasures(
        title=song.title,
        seconds=wave.duration_s,
        repeated=repeated,
        other=other,
        same_bytes=repeats_exactly(exactly, song, places) if exactly else None,
        distances=measure_distances(judge, wave, places, repeated, other) if judge else None,
        boundaries=len(true),
        found=len(found),
        f_measure=structure.compute_f_measure(found, true, half_bar_s),
        f_measure_excused=structure.compute_f_measure(
            structure.exclude_excused(
                found, structure.list_repeats_s(places, rate), true, half_bar_s
            ),
            true,
            half_bar_s,
        ),
    )


def _marks(places: tuple[PlacedSection, ...], sample_rate: int) -> list[tuple[float, str]]:
    return [(place.start / sample_rate, place.name) for place in places]


def format_summary(measures: list[SongMeasures], variation: float) -> str:
    """Return the shares over all songs, one a line."""
    exact = [one for one in measures if one.same_bytes is not None]
    rows = [
        ("songs", f"{len(measures)}, {sum(one.seconds for one in measures) / 60:.0f} minutes"),
        ("variation 0: same bytes", _count(exact, lambda one: one.same_bytes is True)),
        *_summarise_distances([one.distances for one in measures if one.distances], variation),
        (
            "boundaries within half a bar, F-measure, mean",
            f"{np.mean([one.f_measure for one in measures]):.2f}",
        ),
        (
            "  where a section follows itself, finding that is no error",
            f"{np.mean([one.f_measure_excused for one in measures]):.2f}",
        ),
        (
            "boundaries there are, and found",
            f"{sum(o.boundaries for o in measures)}, {sum(o.found for o in measures)}",
        ),
    ]
    return "\n".join(f"{name:<58}{value}" for name, value in rows)


def _summarise_distances(measured: list[Distances], variation: float) -> list[tuple[str, str]]:
    """Count the songs in which a section that returns is nearer to itself than to another."""
    if not measured:
        return []
    ratio = np.median([one.within / one.across for one in measured])
    return [
        (
            f"variation {variation:g}: nearer to itself than to another, mean",
            _count(measured, lambda one: one.within < one.across),
        ),
        (
            "  the first two, and the first of the other",
            _count(measured, lambda one: one.first_within < one.first_across),
        ),
        (
            "  even the furthest two than the nearest other",
            _count(measured, lambda one: one.furthest_within < one.nearest_across),
        ),
        ("  distance within over across, median", f"{ratio:.2f}"),
    ]


def _count(measured: list[Measured], holds: Callable[[Measured], bool]) -> str:
    return f"{sum(map(holds, measured))} of {len(measured)}"


def time_song(engine: Engine, line: str) -> str:
    """Return a sentence about how long a planned song takes to play."""
    song = plan_song(line)
    begin = time.perf_counter()
    with SongSession(engine, song) as session:
        for number, block in enumerate(session):
            if number == 0:
                first_s = time.perf_counter() - begin
            length = block.start + block.samples.shape[1]
        seconds = length / session.sample_rate
    wall_s = time.perf_counter() - begin
    return f"{seconds:.1f} s of music in {wall_s:.1f} s; first sound after {first_s:.1f} s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m riffusion evaluate-songs``."""
    parser.add_argument("model", nargs="?", type=Path, help="a model folder (default: the shipped)")
    parser.add_argument("--judge", type=Path, help="a judge, as `riffusion evaluate` writes it")
    parser.add_argument("--songs", type=int, default=50, help="how many songs (default 50)")
    parser.add_argument("--minutes", type=float, default=1.25, help="their planned length")
    parser.add_argument("--bars", type=int, default=4, help="most bars of a section (default 4)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first plan (default 0)")
    parser.add_argument("--variation", type=float, default=0.3, help="of returns (default 0.3)")
    parser.add_argument(
        "--exact", type=int, default=10, help="how many are played at variation 0 too (default 10)"
    )
    parser.add_argument(
        "--kept", action="store_true", help="measure sections kept from jams instead of songs"
    )
    parser.add_argument("--strength", type=float, help="of what was kept (default: the usual)")
    parser.add_argument(
        "--out", type=Path, help="a folder for sounds, numbers and pictures; goes on where it was"
    )
    parser.add_argument("--line", help="only time this one song, whole: 'bossa nova, 3 minutes'")


def main(args: argparse.Namespace) -> None:
    """Play songs, measure them and print a summary."""
    judge = load_style_judge(args.judge) if args.judge else None
    engine = load_engine(str(args.model)) if args.model else load_engine()
    if args.line is not None:
        print(time_song(engine, args.line))
        return
    planned = plan_songs(args.songs, args.minutes, args.bars, args.first)
    if args.kept:
        print(_evaluate_captures(engine, judge, planned, args))
        return
    songs = [replace(song, variation=args.variation) for song in planned]
    sounds = SongSounds(engine, args.out)
    measures: list[SongMeasures] = []
    with progress("songs", sum(song.duration_s for song in songs)) as advance:
        for number, song in enumerate(songs):
            name = f"song-{number:02}"
            wave = sounds.sound(name, song)
            png = args.out / f"{name}.png" if args.out else None
            exactly = engine if number < args.exact else None
            measures.append(measure_song(song, wave, judge=judge, exactly=exactly, png=png))
            advance(song.duration_s)
            if args.out:
                rows = json.dumps([asdict(one) for one in measures], indent=1)
                write_whole(args.out / "songs.json", rows.encode())
    print(format_summary(measures, args.variation))


def _evaluate_captures(
    engine: Engine, judge: StyleJudge | None, songs: list[Song], args: argparse.Namespace
) -> str:
    if judge is None:
        raise InvalidInput("--judge", "missing", "give the file that `riffusion evaluate` wrote")
    measures: list[CaptureMeasures] = []
    with progress("sections", len(songs)) as advance:
        for song in songs:
            section = song.section(choose_sections(song)[0])
            measures.append(measure_capture(engine, judge, song, section, args.bars, args.strength))
            advance(1)
    return format_capture_summary(measures)


def format_capture_summary(measures: list[CaptureMeasures]) -> str:
    """Return how near the captured sections are, one figure a line."""
    rows = [
        ("sections kept", str(len(measures))),
        ("nearer to what was heard than the recipe", _count(measures, lambda m: m.kept < m.recipe)),
        ("distance to what was heard, median", f"{np.median([m.kept for m in measures]):.2f}"),
        ("  of the recipe alone", f"{np.median([m.recipe for m in measures]):.2f}"),
        ("  of the jam's next bars", f"{np.median([m.following for m in measures]):.2f}"),
    ]
    return "\n".join(f"{name:<58}{value}" for name, value in rows)
