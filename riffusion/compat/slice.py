"""The original's commands that cut clips out of recordings at random positions."""

from __future__ import annotations

import zlib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from riffusion.audio.waveform import WRITABLE as AUDIO
from riffusion.audio.waveform import Waveform, check_format, read_audio, write_audio
from riffusion.compat.convert import report
from riffusion.compat.files import check_extension, list_audio_files, make_folder, process_files
from riffusion.errors import InvalidAudio, InvalidInput


def sample_clips(arguments: Namespace) -> None:
    """Cut clips from random positions of a recording."""
    suffix = check_extension("--extension", arguments.extension, AUDIO)
    check_format(suffix)
    random = _make_generator(arguments.seed)
    sound = _read_at_most_stereo(arguments.audio, mono=arguments.mono)
    folder = make_folder(arguments.output_dir)
    for index, start_ms in enumerate(choose_starts(sound, arguments.num_clips, arguments, random)):
        name = f"clip_{index}_start_{start_ms}_ms_duration_{arguments.duration_ms}_ms{suffix}"
        write_audio(cut(sound, start_ms, arguments.duration_ms), folder / name)
        print(f"Wrote {folder / name}")


def sample_clips_batch(arguments: Namespace) -> None:
    """Cut clips from random positions of each recording of a folder, and leave out short ones."""
    suffix = check_extension("--extension", arguments.extension, AUDIO)
    check_format(suffix)
    files = list_audio_files(arguments.audio_dir, arguments.glob, arguments.limit)
    folder = make_folder(arguments.output_dir)

    def cut_clips(file: Path) -> Iterator[Path]:
        # Each file has a seed of its own, so that the order of the threads changes nothing.
        random = _make_generator(arguments.seed, zlib.crc32(file.name.encode()))
        sound = _read_at_most_stereo(file, mono=arguments.mono)
        count = arguments.num_clips_per_file
        for index, start_ms in enumerate(choose_starts(sound, count, arguments, random)):
            place = f"start_{start_ms}_ms_dur_{arguments.duration_ms}_ms"
            path = folder / f"{file.stem}_{index}_{place}{suffix}"
            write_audio(cut(sound, start_ms, arguments.duration_ms), path)
            yield path

    report(*process_files(files, cut_clips, arguments.num_threads))


def choose_starts(
    sound: Waveform, count: int, arguments: Namespace, random: np.random.Generator
) -> list[int]:
    """Return ``count`` random positions in milliseconds at which a whole clip fits.

    Raises InvalidInput for a count or a duration below 1, and InvalidAudio when the recording is
    shorter than a clip.
    """
    if arguments.duration_ms < 1:
        raise InvalidInput("--duration-ms", arguments.duration_ms, "use 1 or more")
    if count < 1:
        raise InvalidInput("number of clips", count, "use 1 or more")
    last_ms = int(sound.duration_s * 1000) - arguments.duration_ms
    if last_ms < 0:
        hint = f"is shorter than a clip of {arguments.duration_ms} ms; use a smaller --duration-ms"
        raise InvalidAudio("audio length", f"{sound.duration_s:.2f} s", hint)
    return [int(start) for start in random.integers(0, last_ms + 1, count)]


def cut(sound: Waveform, start_ms: int, duration_ms: int) -> Waveform:
    """Return ``duration_ms`` of ``sound`` from ``start_ms`` on."""
    first = start_ms * sound.sample_rate // 1000
    length = duration_ms * sound.sample_rate // 1000
    return Waveform(sound.samples[:, first : first + length], sound.sample_rate)


def _read_at_most_stereo(path: str | Path, *, mono: bool) -> Waveform:
    """Read an audio file, mixed to one channel when asked for or when it has more than two."""
    sound = read_audio(path)
    return sound.mono() if mono or sound.channels > 2 else sound


def _make_generator(seed: int, *more: int) -> np.random.Generator:
    """Return a random generator of a seed; a seed below 0 differs each time."""
    return np.random.default_rng([seed, *more] if seed >= 0 else None)
