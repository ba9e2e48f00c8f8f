"""Measure songs: ``python -m riffusion evaluate-songs MODEL --judge judge.safetensors``.

Planned songs with short sections are played; what is measured is whether a section that comes
back is the same, or nearer to itself than to another, and whether the form can be heard. With
``--line`` it is timed instead how long that one song takes.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from riffusion.engines import load_engine
from riffusion.engines.base import Engine
from riffusion.engines.compact import COMPACT_PARAMS
from riffusion.engines.mel_image import log_mel
from riffusion.errors import InvalidInput
from riffusion.progress import progress
from riffusion.song.model import Song, Transition
from riffusion.song.places import Place
from riffusion.song.planner import plan_song
from riffusion.song.session import SongSession
from riffusion.spectrogram import mel_spectrogram
from riffusion.track import to_pcm
from riffusion.training import form
from riffusion.training.dataset import FRAMES, FloatArray
from riffusion.training.judge import Judge, impression, load_judge
from riffusion.training.plots import draw_form
from riffusion.waveform import Waveform

WINDOW_S = 0.15  # what a transition may change, says SongSession
FADE_IN_S = 0.005


@dataclass(frozen=True)
class SongMeasures:
    """What was measured of one song. Distances are between embeddings of the judge, means."""

    title: str
    seconds: float
    wall_s: float
    repeated: str
    other: str
    same_bytes: bool
    distance_within: float
    distance_across: float
    boundaries: int
    f_measure: float

    @property
    def comes_back(self) -> bool:
        """Whether the repeated section is nearer to itself than to the other."""
        return self.distance_within < self.distance_across


def planned_songs(count: int, minutes: float, bars: int) -> list[Song]:
    """Songs of the planner in which a section comes back and another one stands beside it."""
    songs: list[Song] = []
    seed = 0
    while len(songs) < count:
        song = shortened(plan_song("", minutes, seed), bars)
        if len(set(song.order)) > 1 and len(set(song.order)) < len(song.order):
            songs.append(song)
        seed += 1
    return songs


def shortened(song: Song, bars: int) -> Song:
    """The same form with sections of at most ``bars`` bars."""
    sections = []
    for section in song.sections:
        length = min(section.bars, bars)
        kept = section.transition if section.transition.bars < length else Transition()
        sections.append(replace(section, bars=length, transition=kept))
    return replace(song, sections=tuple(sections))


def compared(song: Song) -> tuple[str, str]:
    """The section that comes back most often, a chorus first, and another one, a verse first."""
    names = list(dict.fromkeys(song.order))
    repeated = max(names, key=lambda name: (song.order.count(name), name == "chorus"))
    others = [name for name in names if name != repeated]
    return repeated, max(others, key=lambda name: name == "verse")


def played(engine: Engine, song: Song) -> tuple[Waveform, tuple[Place, ...]]:
    """The sound of a song, and where its sections are."""
    with SongSession(engine, song) as session:
        samples = np.concatenate([block.samples for block in session], axis=1)
        return Waveform(samples, session.sample_rate), session.places


def measure_song(
    engine: Engine, judge: Judge, song: Song, variation: float, png: Path | None
) -> SongMeasures:
    """Play a song with ``variation``, and what is compared once more without."""
    repeated, other = compared(song)
    begin = time.perf_counter()
    wave, places = played(engine, replace(song, variation=variation))
    wall_s = time.perf_counter() - begin
    within, across = distances(judge, wave, places, repeated, other)
    similarity = form.self_similarity(form.features(wave))
    true = form.true_boundaries_s(places, wave.sample_rate)
    bar_s = song.beats_per_bar * 60 / song.bpm
    if png:
        marks = [(place.start / wave.sample_rate, place.name) for place in places]
        draw_form(similarity, form.STEP_S, marks, png)
    return SongMeasures(
        title=song.title,
        seconds=wave.duration_s,
        wall_s=wall_s,
        repeated=repeated,
        other=other,
        same_bytes=comes_back_exactly(engine, song, repeated, other),
        distance_within=within,
        distance_across=across,
        boundaries=len(true),
        f_measure=form.f_measure(form.boundaries_s(similarity), true, bar_s / 2),
    )


def comes_back_exactly(engine: Engine, song: Song, repeated: str, other: str) -> bool:
    """Whether a section has the same bytes again, but for the transition window."""
    wave, places = played(engine, replace(song, order=(repeated, other, repeated), variation=0.0))
    first, again = (_pcm(wave, places[number]) for number in (0, 2))
    walk = places[0].section.transition
    bar = round(song.beats_per_bar * 60 / song.bpm * wave.sample_rate)
    # The last one has nothing to walk to, and fades out over its last bar.
    length = min(first.shape[1], again.shape[1]) - bar * max(1, walk.bars)
    return length > 0 and bool(np.array_equal(first[:, :length], again[:, :length]))


def distances(
    judge: Judge, wave: Waveform, places: tuple[Place, ...], repeated: str, other: str
) -> tuple[float, float]:
    """Mean distances of embeddings: among places of ``repeated``, and to those of ``other``."""
    groups = [
        judge.listen(np.stack([_impression(wave, p) for p in places if p.name == name])).embedding
        for name in (repeated, other)
    ]
    same, different = (group.double().numpy() for group in groups)
    within = np.linalg.norm(same[:, None] - same[None], axis=2)
    across = np.linalg.norm(same[:, None] - different[None], axis=2)
    pairs = np.triu_indices(len(same), 1)
    return float(within[pairs].mean()), float(across.mean())


def _pcm(wave: Waveform, place: Place) -> npt.NDArray[np.int16]:
    start = place.start + round(FADE_IN_S * wave.sample_rate)
    return to_pcm(wave.samples[:, start : place.stop - round(WINDOW_S * wave.sample_rate)])


def _impression(wave: Waveform, place: Place) -> FloatArray:
    """The first five seconds of a section as the judge hears them; shorter ones are repeated."""
    part = Waveform(wave.samples[:, place.start : place.stop], wave.sample_rate)
    heard = part.resample(COMPACT_PARAMS.sample_rate)
    magnitudes = mel_spectrogram(heard, COMPACT_PARAMS).magnitudes
    levels = log_mel(magnitudes).permute(2, 0, 1).numpy()
    frames = np.arange(FRAMES) % len(levels)
    return impression(levels[frames])


def summary(measures: list[SongMeasures], variation: float) -> str:
    """The shares over all songs, one a line."""
    count = len(measures)
    nearer = sum(one.comes_back for one in measures)
    exact = sum(one.same_bytes for one in measures)
    ratio = np.median([one.distance_within / one.distance_across for one in measures])
    speed = sum(one.seconds for one in measures) / sum(one.wall_s for one in measures)
    return "\n".join(
        [
            f"songs                                             {count}",
            f"variation 0: same bytes                           {exact} of {count}",
            f"variation {variation:g}: nearer to itself than to another   {nearer} of {count}",
            f"distance within over across, median               {ratio:.2f}",
            "boundaries within half a bar, F-measure, mean     "
            f"{np.mean([one.f_measure for one in measures]):.2f}",
            f"seconds of music a second                         {speed:.2f}",
        ]
    )


def time_song(engine: Engine, line: str) -> str:
    """How long a planned song takes to play."""
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
    """Options of ``python -m riffusion evaluate-songs``."""
    parser.add_argument("model", nargs="?", type=Path, help="a model folder (default: the shipped)")
    parser.add_argument("--judge", type=Path, help="a judge, as `riffusion evaluate` writes it")
    parser.add_argument("--songs", type=int, default=50, help="how many songs (default 50)")
    parser.add_argument("--minutes", type=float, default=3.0, help="their planned length")
    parser.add_argument("--bars", type=int, default=4, help="most bars of a section (default 4)")
    parser.add_argument("--variation", type=float, default=0.3, help="of returns (default 0.3)")
    parser.add_argument("--out", type=Path, help="a folder for each song's numbers and picture")
    parser.add_argument("--line", help="only time this one song, whole: 'bossa nova, 3 minutes'")


def main(args: argparse.Namespace) -> None:
    """Play, measure, print."""
    if args.line is None and args.judge is None:
        raise InvalidInput("--judge", "missing", "give the file that `riffusion evaluate` wrote")
    engine = load_engine(str(args.model)) if args.model else load_engine()
    if args.line is not None:
        print(time_song(engine, args.line))
        return
    judge = load_judge(args.judge)
    songs = planned_songs(args.songs, args.minutes, args.bars)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    measures: list[SongMeasures] = []
    with progress("songs", sum(song.duration_s for song in songs)) as advance:
        for number, song in enumerate(songs):
            png = args.out / f"song-{number:02}.png" if args.out else None
            measures.append(measure_song(engine, judge, song, args.variation, png))
            advance(song.duration_s)
            if args.out:
                rows = json.dumps([asdict(one) for one in measures], indent=1)
                (args.out / "songs.json").write_text(rows)
    print(summary(measures, args.variation))
