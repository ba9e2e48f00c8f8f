"""Build a corpus of captioned music: ``python -m riffusion corpus FOLDER --hours 12``.

Songs come in shards of 24, each a memory-mappable array of log-mel frames beside a JSON list of
what is known about every song. A shard depends on its number and the seed alone, so that rendering
resumes where it stopped and runs in parallel. A song belongs to the train, validation or test split
before any window is cut from it.
"""

from __future__ import annotations

import argparse
import math
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from riffusion.audio.progress import progress
from riffusion.audio.waveform import Waveform
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import RiffusionError
from riffusion.music.instruments import BASS_PROGRAMS, DRUM_CHANNEL
from riffusion.music.styles import STYLES, Style
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus import score as notation
from riffusion.training.corpus.captions import Description, load_scenes, write_captions
from riffusion.training.corpus.processes import run_in_processes
from riffusion.training.corpus.renderer import installed_soundfonts, render
from riffusion.training.corpus.score import Score
from riffusion.training.corpus.shards import Song, find_mode, get_listing_path, write_shard

SONGS_PER_SHARD = 24
SONG_S = 28.0
CAPTIONS_PER_SONG = 12
TARGET_RMS = 0.1
SILENT_PEAK = 1e-3
BUSY_ONSETS_PER_S = 14.0
# A jam has one tempo, and every prompt must play at it. Therefore this share of the songs draws its
# tempo from the range of jams instead of that of the style.
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


def choose_split(number: int) -> str:
    """Return the split of song ``number``: one in twenty each is for validation and for test."""
    draw = random.Random(f"split {number}").random()
    return "validation" if draw < 0.05 else "test" if draw < 0.1 else "train"


def compose(rng: random.Random, style: Style) -> tuple[Score, str, int, int | None, str]:
    """Write a song: its score, key name, tonic, lead program if there is one, and arrangement."""
    tonic = rng.randrange(12)
    bpm = rng.randint(*(JAM_BPM if rng.random() < ANY_TEMPO else style.bpm))
    form = rng.choice(style.forms).split()
    # The song lasts about 28 s, in multiples of four bars so that it ends with a phrase.
    bars = max(8, 4 * round(SONG_S * bpm / 60 / 4 / 4))
    chords = tuple(notation.transpose(form[bar % len(form)], tonic) for bar in range(bars))
    key = f"{notation.NOTE_NAMES[tonic]} {find_mode(tonic, chords)}"
    if not style.grooves:
        score = notation.make_empty_score(bpm, 4, chords)
        bells = notation.write_bells(rng, score, tonic)
        return (
            score.add_events(notation.write_part(0, style.leads[0], 110, bells)),
            key,
            tonic,
            style.leads[0],
            "solo",
        )
    band = notation.write_accompaniment(
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
    """Return the score as ``arrangement`` has it, with the lead, and the program of the lead."""
    channels = {event.message.channel for event in band.events}
    bass = {channel for channel, program in band.players().items() if program in BASS_PROGRAMS}
    if arrangement == "drums" and band.notes(drums=True):
        return band.keep_channels(frozenset({DRUM_CHANNEL})), None
    if arrangement == "rhythm section" and band.notes(drums=True) and bass:
        return band.keep_channels(frozenset({DRUM_CHANNEL, *bass})), None
    if arrangement == "no lead":
        return band, None
    lead = rng.choice(style.leads)
    free = min(set(range(16)) - channels - {DRUM_CHANNEL}, default=15)
    notes = notation.write_melody(rng, band, tonic, style, lead)
    if arrangement == "solo":
        if notation.can_play_chords(lead):
            notes = notes + notation.write_left_hand(rng, band, style.swing)
        return band.keep_channels(frozenset()).add_events(
            notation.write_part(free, lead, 110, notes)
        ), lead
    if arrangement == "duo":
        others = sorted(channels - {DRUM_CHANNEL})
        band = band.keep_channels(frozenset(rng.sample(others, min(1, len(others)))))
    pan = rng.choice((40, 64, 64, 88))
    return band.add_events(notation.write_part(free, lead, rng.randint(95, 115), notes, pan)), lead


@dataclass(frozen=True)
class RenderedSong:
    """A song as it was written and rendered.

    ``sound`` is stereo before the equalizer; ``equalizer`` has a gain for each mel band.
    """

    style: Style
    score: Score
    key: str
    lead: int | None
    arrangement: str
    soundfont: Path
    sound: Waveform
    equalizer: tuple[float, ...]


def render_song(number: int, rng: random.Random) -> RenderedSong:
    """Compose and render song ``number``, with the generator that ``make_song_rng`` returns.

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
    curve = tuple(draw_equalizer(rng, COMPACT_PARAMS.mel_bands))
    return RenderedSong(style, score, key, lead, arrangement, soundfont, sound, curve)


def make_song_rng(number: int, seed: int) -> random.Random:
    """Return the generator of all random choices in the music of song ``number``."""
    return random.Random(f"song {seed} {number}")


def make_caption_rng(number: int, seed: int) -> random.Random:
    """Return the generator of its captions, so that another wording leaves the music unchanged."""
    return random.Random(f"captions {seed} {number}")


def make_song(number: int, seed: int) -> tuple[Song, npt.NDArray[np.float16]]:
    """Compose and render song ``number``: what is known, and log-mel float16 (frames, 2, bands)."""
    rng = make_song_rng(number, seed)
    rendered = render_song(number, rng)
    curve = torch.tensor(rendered.equalizer, dtype=torch.float32)
    magnitudes = mel_spectrogram(rendered.sound, COMPACT_PARAMS).magnitudes * curve[:, None]
    frames = log_mel(magnitudes).permute(2, 0, 1)
    score, lead, style = rendered.score, rendered.lead, rendered.style
    onsets = len({round(e.beat * 8) for e in score.events if e.message.type == "note_on"})
    onsets_per_s = onsets / score.seconds
    hits_per_s = len(score.notes(drums=True)) / score.seconds
    programs = tuple(
        ([lead] if lead is not None else []) + [p for p in score.programs() if p != lead]
    )
    about = Description(
        style.words,
        load_scenes(style.name),
        style.moods,
        "drums" if not programs else rendered.arrangement,
        lead,
        programs,
        hits_per_s > 0,
        round(score.bpm),
        rendered.key,
        min(1.0, onsets_per_s / BUSY_ONSETS_PER_S),
    )
    song = Song(
        style.name,
        about.arrangement,
        choose_split(number),
        round(score.bpm),
        score.beats_per_bar,
        rendered.key,
        score.chords,
        lead,
        programs,
        onsets_per_s,
        hits_per_s,
        tuple(write_captions(make_caption_rng(number, seed), about, CAPTIONS_PER_SONG)),
        rendered.soundfont.name,
        0,
        len(frames),
    )
    return song, frames.to(torch.float16).numpy()


def draw_equalizer(rng: random.Random, bands: int) -> list[float]:
    """Return a random gain for each mel band, as rooms, microphones and mixing desks differ.

    It is a level, a tilt and two waves over the whole range, each a few dB.
    """
    level, *waves = (rng.gauss(0, dB) / 20 for dB in (1.5, 1.5, 1.0, 0.7))
    angles = [math.pi * (band + 0.5) / bands for band in range(bands)]
    return [
        10 ** (level + sum(gain * math.cos(n * x) for n, gain in enumerate(waves, 1)))
        for x in angles
    ]


def make_shard(
    folder: Path, shard: int, seed: int, numbers: Iterable[int] | None = None
) -> tuple[float, list[str]]:
    """Render one shard, or the songs of these ``numbers``, to disk.

    Returns seconds of audio and what went wrong, song by song. Raises StorageError on a full disk.
    """
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
    """Render the shards that ``hours`` of music still lack; yield seconds and problems of each."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = max(1, round(hours * 3600 / SONG_S / SONGS_PER_SHARD))
    todo = [n for n in range(shards) if not get_listing_path(folder, n).exists()]
    yield from run_in_processes(workers, make_shard, [(folder, shard, seed) for shard in todo])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m riffusion corpus``."""
    parser.add_argument("folder", type=Path, help="where the corpus goes")
    parser.add_argument("--hours", type=float, default=12.0, help="hours of music (default 12)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)


def main(args: argparse.Namespace) -> None:
    """Render a corpus, with a progress bar."""
    shards = render_corpus(args.folder, args.hours, args.seed, args.workers)
    with progress("corpus", args.hours * 3600) as advance:
        for seconds, problems in shards:
            advance(seconds)
            for problem in problems:
                print(f"  left out: {problem}", flush=True)
