"""The original's commands that cut clips out of recordings."""

from __future__ import annotations

import zlib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from riffusion.audio.waveform import WRITTEN_AS as AUDIO
from riffusion.audio.waveform import Waveform, read_audio, write_audio
from riffusion.compat.convert import report
from riffusion.compat.files import check_extension, list_audio_files, make_folder, process_files
from riffusion.errors import InvalidAudio, InvalidInput


def sample_clips(arguments: Namespace) -> None:
    """Cut clips from random places of a recording."""
    suffix = check_extension("--extension", arguments.extension, AUDIO)
    random = _random(arguments.seed)
    sound = _read(arguments.audio, mono=arguments.mono)
    folder = make_folder(arguments.output_dir)
    for index, start_ms in enumerate(starts(sound, arguments.num_clips, arguments, random)):
        name = f"clip_{index}_start_{start_ms}_ms_duration_{arguments.duration_ms}_ms{suffix}"
        write_audio(cut(sound, start_ms, arguments.duration_ms), folder / name)
        print(f"Wrote {folder / name}")


def sample_clips_batch(arguments: Namespace) -> None:
    """Cut clips from random places of each recording of a folder; short ones are left out."""
    suffix = check_extension("--extension", arguments.extension, AUDIO)
    files = list_audio_files(arguments.audio_dir, arguments.glob, arguments.limit)
    folder = make_folder(arguments.output_dir)

    def work(file: Path) -> Iterator[Path]:
        # A seed of its own for each file, so that threads change nothing.
        random = _random(arguments.seed, zlib.crc32(file.name.encode()))
        sound = _read(file, mono=arguments.mono)
        count = arguments.num_clips_per_file
        for index, start_ms in enumerate(starts(sound, count, arguments, random)):
            place = f"start_{start_ms}_ms_dur_{arguments.duration_ms}_ms"
            path = folder / f"{file.stem}_{index}_{place}{suffix}"
            write_audio(cut(sound, start_ms, arguments.duration_ms), path)
            yield path

    report(*process_files(files, work, arguments.num_threads))


def starts(
    sound: Waveform, count: int, arguments: Namespace, random: np.random.Generator
) -> list[int]:
    """``count`` random places in milliseconds at which a whole clip fits."""
    if arguments.duration_ms < 1:
        raise InvalidInput("--duration-ms", arguments.duration_ms, "use 1 or more")
    if count < 1:
        raise InvalidInput("number of clips", count, "use 1 or more")
    last_ms = int(sound.duration_s * 1000) - arguments.duration_ms
    if last_ms < 0:
        legal = f"is shorter than a clip of {arguments.duration_ms} ms; use a smaller --duration-ms"
        raise InvalidAudio("audio length", f"{sound.duration_s:.2f} s", legal)
    return [int(start) for start in random.integers(0, last_ms + 1, count)]


def cut(sound: Waveform, start_ms: int, duration_ms: int) -> Waveform:
    """The part of ``sound`` that begins at ``start_ms``."""
    first = start_ms * sound.sample_rate // 1000
    length = duration_ms * sound.sample_rate // 1000
    return Waveform(sound.samples[:, first : first + length], sound.sample_rate)


def _read(path: str | Path, *, mono: bool) -> Waveform:
    sound = read_audio(path)
    return sound.mono() if mono or sound.channels > 2 else sound


def _random(seed: int, *more: int) -> np.random.Generator:
    """Places that are the same for the same seed; below 0 they differ each time."""
    return np.random.default_rng([seed, *more] if seed >= 0 else None)
