"""The corpus: captioned music, rendered. ``python -m riffusion corpus FOLDER --hours 12``.

Songs come in shards of 24, each a memory-mappable array of log-mel frames beside a JSON list of
what is known about every song. A shard depends on its number and the seed alone, so that rendering
goes on where it stopped and runs in parallel. A song belongs to the train, validation or test
split before any window is cut from it.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from riffusion.audio.waveform import Waveform
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import RiffusionError
from riffusion.music.instruments import BASS_PROGRAMS, DRUM_CHANNEL
from riffusion.music.styles import STYLES, Style
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus import score as notation
from riffusion.training.corpus.captions import Description, scenes_of, write_captions
from riffusion.training.corpus.renderer import installed_soundfonts, render
from riffusion.training.corpus.score import Score
from riffusion.training.corpus.shards import Song, listing_of, mode_of, write_shard

SPLITS = ("train", "validation", "test")
SONGS_PER_SHARD = 24
SONG_S = 28.0
CAPTIONS_PER_SONG = 12
TARGET_RMS = 0.1
SILENT_PEAK = 1e-3
BUSY_ONSETS_PER_S = 14.0
# A jam has one tempo, and every prompt must play at it: this share of the songs leaves the tempi of
# their style for any of these.
ANY_TEMPO = 0.35
JAM_BPM = (66, 164)

Arrangement = Literal["band", "no lead", "solo", "drums", "rhythm section", "duo"]
ARRANGEMENTS: tuple[tuple[Arrangement, float], ...] = (
    ("band", 0.55),
    ("solo", 0.15),
    ("no lead", 0.1),
    ("drums", 0.06),
    ("rhythm section", 0.05),
    ("duo", 0.09),
)


def split_of(number: int) -> str:
    """Which split song ``number`` belongs to: one in twenty each for validation and test."""
    draw = random.Random(f"split {number}").random()
    return "validation" if draw < 0.05 else "test" if draw < 0.1 else "train"


def compose(rng: random.Random, style: Style) -> tuple[Score, str, int, int | None, str]:
    """Write a song: (score, key name, tonic, lead program if there is one, arrangement)."""
    tonic = rng.randrange(12)
    bpm = rng.randint(*(JAM_BPM if rng.random() < ANY_TEMPO else style.bpm))
    form = rng.choice(style.forms).split()
    # Bars for 28 s, in whole passes of four so that a song ends where a phrase ends.
    bars = max(8, 4 * round(SONG_S * bpm / 60 / 4 / 4))
    chords = tuple(notation.transpose(form[bar % len(form)], tonic) for bar in range(bars))
    key = f"{notation.NOTE_NAMES[tonic]} {mode_of(tonic, chords)}"
    if not style.grooves:
        score = notation.empty_score(bpm, 4, chords)
        bells = notation.bell_ringing(rng, score, tonic)
        return (
            score.plus(notation.part(0, style.leads[0], 110, bells)),
            key,
            tonic,
            style.leads[0],
            "solo",
        )
    band = notation.accompaniment(
        rng.choice(style.grooves), bpm, chords, style.extra, rng.randrange(10**6)
    )
    arrangement: str = rng.choices(
        [name for name, _ in ARRANGEMENTS], [weight for _, weight in ARRANGEMENTS]
    )[0]
    score, lead = _arrange(rng, style, band, arrangement, tonic)
    return score, key, tonic, lead, arrangement


def _arrange(
    rng: random.Random, style: Style, band: Score, arrangement: str, tonic: int
) -> tuple[Score, int | None]:
    """Leave out parts of the band and add the lead."""
    channels = {event.message.channel for event in band.events}
    bass = {channel for channel, program in band.players().items() if program in BASS_PROGRAMS}
    if arrangement == "drums" and band.notes(drums=True):
        return band.only(frozenset({DRUM_CHANNEL})), None
    if arrangement == "rhythm section" and band.notes(drums=True) and bass:
        return band.only(frozenset({DRUM_CHANNEL, *bass})), None
    if arrangement == "no lead":
        return band, None
    lead = rng.choice(style.leads)
    free = min(set(range(16)) - channels - {DRUM_CHANNEL}, default=15)
    notes = notation.melody(rng, band, tonic, style, lead)
    if arrangement == "solo":
        if notation.can_play_chords(lead):
            notes = notes + notation.left_hand(rng, band, style.swing)
        return band.only(frozenset()).plus(notation.part(free, lead, 110, notes)), lead
    if arrangement == "duo":
        others = sorted(channels - {DRUM_CHANNEL})
        band = band.only(frozenset(rng.sample(others, min(1, len(others)))))
    pan = rng.choice((40, 64, 64, 88))
    return band.plus(notation.part(free, lead, rng.randint(95, 115), notes, pan)), lead


@dataclass(frozen=True)
class Performance:
    """A song as it was written and played: ``sound`` in stereo, before the ``equalizer``, a gain
    a mel band."""

    style: Style
    score: Score
    key: str
    lead: int | None
    arrangement: str
    soundfont: Path
    sound: Waveform
    equalizer: tuple[float, ...]


def perform(number: int, rng: random.Random) -> Performance:
    """Compose and play song ``number``. ``rng`` is that of the song, ``song_rng``.

    Raises RiffusionError for a song that is silent.
    """
    style = STYLES[number % len(STYLES)]
    score, key, _, lead, arrangement = compose(rng, style)
    soundfont = rng.choice(installed_soundfonts())
    stereo = render(score, soundfont, rng)
    if np.abs(stereo).max() < SILENT_PEAK:
        raise RiffusionError(f"song {number} ({style.name}, {arrangement}) is silent")
    level = TARGET_RMS / float(np.sqrt(np.mean(stereo**2)))
    sound = Waveform(stereo * level, COMPACT_PARAMS.sample_rate)
    curve = tuple(equalizer(rng, COMPACT_PARAMS.mel_bands))
    return Performance(style, score, key, lead, arrangement, soundfont, sound, curve)


def song_rng(number: int, seed: int) -> random.Random:
    """Where all chance in the music of song ``number`` comes from."""
    return random.Random(f"song {seed} {number}")


def caption_rng(number: int, seed: int) -> random.Random:
    """And in its captions: other wording leaves the music as it is."""
    return random.Random(f"captions {seed} {number}")


def make_song(number: int, seed: int) -> tuple[Song, npt.NDArray[np.float16]]:
    """Compose and render song ``number``: what is known, and its log-mel image, (frames, 2,
    bands), left and right."""
    rng = song_rng(number, seed)
    played = perform(number, rng)
    curve = torch.tensor(played.equalizer, dtype=torch.float32)
    magnitudes = mel_spectrogram(played.sound, COMPACT_PARAMS).magnitudes * curve[:, None]
    frames = log_mel(magnitudes).permute(2, 0, 1)
    score, lead, style = played.score, played.lead, played.style
    onsets = len({round(e.beat * 8) for e in score.events if e.message.type == "note_on"})
    onsets_per_s = onsets / score.seconds
    hits_per_s = len(score.notes(drums=True)) / score.seconds
    programs = tuple(
        ([lead] if lead is not None else []) + [p for p in score.programs() if p != lead]
    )
    about = Description(
        style.words,
        scenes_of(style.name),
        style.moods,
        "drums" if not programs else played.arrangement,
        lead,
        programs,
        hits_per_s > 0,
        round(score.bpm),
        played.key,
        min(1.0, onsets_per_s / BUSY_ONSETS_PER_S),
    )
    song = Song(
        style.name,
        about.arrangement,
        split_of(number),
        round(score.bpm),
        score.beats_per_bar,
        played.key,
        score.chords,
        lead,
        programs,
        onsets_per_s,
        hits_per_s,
        tuple(write_captions(caption_rng(number, seed), about, CAPTIONS_PER_SONG)),
        played.soundfont.name,
        0,
        len(frames),
    )
    return song, frames.to(torch.float16).numpy()


def equalizer(rng: random.Random, bands: int) -> list[float]:
    """A gain a mel band, as another room, microphone and mixing desk would have given: a random
    level, a tilt and two waves over the whole range, each a few dB."""
    level, *waves = (rng.gauss(0, dB) / 20 for dB in (1.5, 1.5, 1.0, 0.7))
    places = [math.pi * (band + 0.5) / bands for band in range(bands)]
    return [
        10 ** (level + sum(gain * math.cos(n * x) for n, gain in enumerate(waves, 1)))
        for x in places
    ]


def make_shard(
    folder: Path, shard: int, seed: int, numbers: Iterable[int] | None = None
) -> tuple[float, list[str]]:
    """Render one shard (or the songs of these ``numbers``) to disk. Returns seconds of audio and
    what went wrong, song by song."""
    torch.set_num_threads(1)
    songs: list[Song] = []
    arrays: list[npt.NDArray[np.float16]] = []
    problems: list[str] = []
    whole = range(shard * SONGS_PER_SHARD, (shard + 1) * SONGS_PER_SHARD)
    for number in whole if numbers is None else numbers:
        try:
            song, frames = make_song(number, seed)
        except RiffusionError as error:
            problems.append(str(error))
            continue
        offset = sum(len(array) for array in arrays)
        songs.append(Song(**{**asdict(song), "offset": offset}))
        arrays.append(frames)
    write_shard(folder, shard, songs, np.concatenate(arrays))
    return sum(s.frames for s in songs) * COMPACT_PARAMS.frame_s, problems


def render_corpus(
    folder: Path, hours: float, seed: int, workers: int
) -> Iterator[tuple[float, list[str]]]:
    """Render what is missing of ``hours`` of music; yields (seconds of audio, problems) a shard."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = max(1, round(hours * 3600 / SONG_S / SONGS_PER_SHARD))
    todo = [n for n in range(shards) if not listing_of(folder, n).exists()]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(make_shard, folder, shard, seed) for shard in todo]
        for job in as_completed(jobs):
            yield job.result()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m riffusion corpus``."""
    parser.add_argument("folder", type=Path, help="where the corpus goes")
    parser.add_argument("--hours", type=float, default=12.0, help="hours of music (default 12)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)


def main(args: argparse.Namespace) -> None:
    """Render a corpus, with progress."""
    total_s, begin = 0.0, time.perf_counter()
    for seconds, problems in render_corpus(args.folder, args.hours, args.seed, args.workers):
        total_s += seconds
        rate = total_s / (time.perf_counter() - begin)
        left_s = max(0.0, args.hours * 3600 - total_s) / rate
        print(
            f"{total_s / 3600:6.2f} of {args.hours:g} h   {rate:4.0f} x real time   "
            f"{left_s / 60:4.1f} min left",
            flush=True,
        )
        for problem in problems:
            print(f"  left out: {problem}", flush=True)
