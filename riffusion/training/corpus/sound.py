"""Songs of the corpus as sound files: ``python -m riffusion corpus-sound FOLDER --split test``.

A corpus keeps spectrograms only. The training of the vocoder and the measures of sound need the
songs as waveforms. The same number and seed give the song that the corpus holds, through the same
equalizer.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from riffusion.audio.progress import progress
from riffusion.audio.waveform import Waveform, write_audio
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import RiffusionError
from riffusion.music.styles import STYLES
from riffusion.spectral.spectrogram import band_centres_hz
from riffusion.training.corpus.build import SONG_S, choose_split, make_song_rng, render_song
from riffusion.training.corpus.processes import run_in_processes
from riffusion.training.corpus.shards import SPLITS


def song_numbers(split: str) -> Iterator[int]:
    """Yield the numbers of the songs of ``split`` without end, related styles apart.

    Every style comes once before any comes again.
    """
    order = list(range(len(STYLES)))
    random.Random("order of styles").shuffle(order)
    last = {style: style - len(STYLES) for style in order}
    while True:
        for style in order:
            number = last[style] + len(STYLES)
            while choose_split(number) != split:
                number += len(STYLES)
            last[style] = number
            yield number


def render_song_sound(number: int, seed: int) -> Waveform:
    """Return song ``number`` in stereo through its equalizer, its peak at most full scale."""
    song = render_song(number, make_song_rng(number, seed))
    sound = _equalize(song.sound, song.equalizer)
    peak = float(np.abs(sound.samples).max())
    return Waveform(sound.samples / max(1.0, peak), sound.sample_rate)


def _equalize(sound: Waveform, gains: tuple[float, ...]) -> Waveform:
    """Return ``sound`` with a gain for each mel band, by a filter of zero phase."""
    length = sound.samples.shape[1]
    spectrum = np.fft.rfft(sound.samples, axis=1)
    hz = np.fft.rfftfreq(length, 1 / sound.sample_rate)
    spectrum *= np.interp(hz, band_centres_hz(COMPACT_PARAMS), gains)
    return Waveform(np.fft.irfft(spectrum, length, axis=1).astype(np.float32), sound.sample_rate)


def get_sound_path(folder: Path, number: int) -> Path:
    """Return the path of the file of song ``number``."""
    style = STYLES[number % len(STYLES)].name.replace(" ", "-")
    return folder / f"{number:06}-{style}.flac"


def make_sound_file(folder: Path, number: int, seed: int) -> tuple[float, str | None]:
    """Render one song to its file. Return its seconds, and what went wrong or None."""
    torch.set_num_threads(1)
    try:
        sound = render_song_sound(number, seed)
    except RiffusionError as error:
        return 0.0, str(error)
    write_audio(sound, get_sound_path(folder, number))
    return sound.duration_s, None


def render_sound(
    folder: Path, split: str, songs: int, seed: int, workers: int
) -> Iterator[tuple[float, str | None]]:
    """Render those of the first ``songs`` songs of ``split`` that are missing.

    Yields the seconds of each and what went wrong, or None.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = islice(song_numbers(split), songs)
    todo = [number for number in wanted if not get_sound_path(folder, number).exists()]
    yield from run_in_processes(workers, make_sound_file, [(folder, n, seed) for n in todo])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m riffusion corpus-sound``."""
    parser.add_argument("folder", type=Path, help="where the FLAC files go")
    parser.add_argument("--split", choices=SPLITS, default="test", help="default test")
    parser.add_argument("--songs", type=int, default=24, help="how many, half a minute each")
    parser.add_argument("--seed", type=int, default=0, help="that of the corpus (default 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)


def main(args: argparse.Namespace) -> None:
    """Render songs to sound files, with a progress bar."""
    songs = render_sound(args.folder, args.split, args.songs, args.seed, args.workers)
    with progress("songs", args.songs * SONG_S) as advance:
        for seconds, problem in songs:
            advance(seconds)
            if problem is not None:
                print(f"  left out: {problem}", flush=True)
