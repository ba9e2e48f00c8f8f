"""Songs of the corpus as sound files. ``python -m riffusion corpus-sound FOLDER --split test``.

A corpus keeps spectrograms only. What learns or is measured on sound needs the songs themselves:
the same number and seed give the song that the corpus holds, with the same equalizer.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from riffusion.audio.waveform import Waveform, write_audio
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import RiffusionError
from riffusion.music.styles import STYLES
from riffusion.spectral.spectrogram import band_centres_hz
from riffusion.training.corpus.build import SPLITS, perform, song_rng, split_of


def song_numbers(split: str) -> Iterator[int]:
    """Songs of ``split`` without end: one of each style before a second of any, in an order that
    mixes related styles."""
    order = list(range(len(STYLES)))
    random.Random("order of styles").shuffle(order)
    last = {style: style - len(STYLES) for style in order}
    while True:
        for style in order:
            number = last[style] + len(STYLES)
            while split_of(number) != split:
                number += len(STYLES)
            last[style] = number
            yield number


def song_sound(number: int, seed: int) -> Waveform:
    """Song ``number`` in stereo, equalized, its peak at most full scale."""
    played = perform(number, song_rng(number, seed))
    sound = _equalized(played.sound, played.equalizer)
    peak = float(np.abs(sound.samples).max())
    return Waveform(sound.samples / max(1.0, peak), sound.sample_rate)


def _equalized(sound: Waveform, gains: tuple[float, ...]) -> Waveform:
    """``sound`` with a gain a mel band, without delay: phases stay as they are."""
    length = sound.samples.shape[1]
    spectrum = np.fft.rfft(sound.samples, axis=1)
    hz = np.fft.rfftfreq(length, 1 / sound.sample_rate)
    spectrum *= np.interp(hz, band_centres_hz(COMPACT_PARAMS), gains)
    return Waveform(np.fft.irfft(spectrum, length, axis=1).astype(np.float32), sound.sample_rate)


def sound_file(folder: Path, number: int) -> Path:
    """Where song ``number`` lies."""
    style = STYLES[number % len(STYLES)].name.replace(" ", "-")
    return folder / f"{number:06}-{style}.flac"


def make_sound_file(folder: Path, number: int, seed: int) -> tuple[float, str | None]:
    """Render one song to its file. Returns its seconds, and what went wrong if something did."""
    torch.set_num_threads(1)
    try:
        sound = song_sound(number, seed)
    except RiffusionError as error:
        return 0.0, str(error)
    write_audio(sound, sound_file(folder, number))
    return sound.duration_s, None


def render_sound(
    folder: Path, split: str, songs: int, seed: int, workers: int
) -> Iterator[tuple[float, str | None]]:
    """Render what is missing of the first ``songs`` songs of ``split``: (seconds, problem) each."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = islice(song_numbers(split), songs)
    todo = [number for number in wanted if not sound_file(folder, number).exists()]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(make_sound_file, folder, number, seed) for number in todo]
        for job in as_completed(jobs):
            yield job.result()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m riffusion corpus-sound``."""
    parser.add_argument("folder", type=Path, help="where the FLAC files go")
    parser.add_argument("--split", choices=SPLITS, default="test", help="default test")
    parser.add_argument("--songs", type=int, default=24, help="how many, half a minute each")
    parser.add_argument("--seed", type=int, default=0, help="that of the corpus (default 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)


def main(args: argparse.Namespace) -> None:
    """Render songs to sound files, with progress."""
    total_s, begin = 0.0, time.perf_counter()
    for seconds, problem in render_sound(
        args.folder, args.split, args.songs, args.seed, args.workers
    ):
        total_s += seconds
        if problem is not None:
            print(f"  left out: {problem}", flush=True)
            continue
        rate = total_s / (time.perf_counter() - begin)
        print(f"{total_s / 60:6.1f} min   {rate:4.0f} x real time", flush=True)
