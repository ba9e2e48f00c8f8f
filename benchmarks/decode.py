"""Ten minutes of stereo through the learned vocoder in a process of its own: speed and memory."""

from __future__ import annotations

import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.memory import watch
from benchmarks.options import Options
from benchmarks.report import Row
from riffusion.engines.compact.engine import COMPACT_PARAMS, VOCODER
from riffusion.engines.loading import SHIPPED
from riffusion.jam.anchors import anchor_sound, library
from riffusion.spectral.spectrogram import Spectrogram, mel_spectrogram
from riffusion.vocoder.learned import LearnedVocoder

MINUTES = 10


def measure(options: Options) -> list[Row]:
    """Return rows about a decode in blocks from a file, with little in memory at once."""
    with TemporaryDirectory() as folder:
        music = Path(folder) / "music.npy"
        np.save(music, join_anchors().magnitudes.numpy())
        watched = watch(decode, options, music)
    seconds, music_s = watched.result
    note = f"{MINUTES} minutes of the anchors, stereo, over and over"
    return [
        Row("a long decode, times real time", music_s / seconds, "x", ">= 40", note),
        Row("peak memory of it", watched.peak_mb, "MB", "< 500", note),
    ]


def decode(options: Options, music: Path, report: Connection) -> None:
    """Run in the process of its own; report the seconds of computing and those of the sound."""
    vocoder = LearnedVocoder.load(Path(options.model or SHIPPED) / VOCODER)
    magnitudes = np.load(music, mmap_mode="r")
    frames = round(MINUTES * 60 / COMPACT_PARAMS.frame_s)

    def cut(start: int, stop: int) -> Spectrogram:
        places = np.arange(start, stop) % magnitudes.shape[-1]
        return Spectrogram(torch.from_numpy(magnitudes[..., places]), COMPACT_PARAMS)

    begin, samples = time.perf_counter(), 0
    for block in vocoder.blocks(cut, frames):
        samples += block.shape[1]
    report.send((time.perf_counter() - begin, samples / COMPACT_PARAMS.sample_rate))


def join_anchors() -> Spectrogram:
    """Return the spectrograms of the anchors, one after another."""
    each = [mel_spectrogram(anchor_sound(anchor), COMPACT_PARAMS) for anchor in library()]
    return replace(each[0], magnitudes=torch.cat([one.magnitudes for one in each], -1))
