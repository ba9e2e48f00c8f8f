"""An hour of jam without the page: memory, bar lines, and the file that it writes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from benchmarks.memory import watch
from benchmarks.options import PROMPT_A, PROMPT_B, Options
from benchmarks.report import Row
from riffusion.audio.recording import Recording
from riffusion.engines.clip import Prompt
from riffusion.engines.loading import load_engine
from riffusion.jam.session import JamSession, JamSettings, render

BPM = 94.0  # at which a bar is no whole number of samples
BEATS = 4
READ_SAMPLES = 1 << 20


@dataclass(frozen=True)
class BarLine:
    """A clip that begins on beat ``beat`` of the track, at the absolute sample ``sample``."""

    beat: float
    sample: int


@dataclass(frozen=True)
class Played:
    """The figures that the process of the hour reports."""

    samples: int
    sample_rate: int
    bar_lines: tuple[BarLine, ...]
    gaps: int


def measure(options: Options) -> list[Row]:
    """Play in a process of its own, watch its memory from here, then read the file it wrote."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "track.wav"
        watched = watch(play, options, path)
        played: Played = watched.result
        info = soundfile.info(path)
        silence_ms = 1000 * measure_silence(path) / info.samplerate
        lost = abs(info.frames - played.samples) + played.gaps
    minutes = f"{options.jam_minutes:g} minutes"
    return [
        Row("memory growth after the first minute", watched.growth_mb, "MB", "< 50", minutes),
        Row("samples missing from the file", lost, "", "0", f"{minutes}, WAV"),
        Row(
            "bar lines off the grid, at most",
            measure_off_grid(played),
            "samples",
            "0",
            f"{BPM:g} bpm",
        ),
        Row("longest digital silence", silence_ms, "ms", "", minutes),
    ]


def play(options: Options, path: Path, report: Connection) -> None:
    """Write the track to ``path`` and report where its clips began, and its gaps."""
    engine = load_engine(options.model, options.device)
    settings = JamSettings(Prompt(PROMPT_A, 1), Prompt(PROMPT_B, 2), bpm=BPM, key="Cm")
    session = JamSession(engine, settings)
    total = round(options.jam_minutes * 60 * session.sample_rate)
    bar_lines: dict[int, BarLine] = {}
    gaps = end = 0
    with Recording(path, session.sample_rate, session.channels, total) as recording:
        for block in render(session, total):
            recording.write(block.samples)
            gaps += block.start != end
            end = block.start + block.samples.shape[1]
            bar_lines[block.clip.index] = BarLine(
                BEATS * block.clip.bar + block.clip.beat, block.clip.start_sample
            )
    report.send(Played(total, session.sample_rate, tuple(bar_lines.values()), gaps))


def measure_off_grid(played: Played) -> int:
    """Return the largest distance, in samples, of a bar line from where it should be.

    It is computed here in exact fractions, not by the code that is measured.
    """
    beat = Fraction(60 * played.sample_rate) / Fraction(BPM)
    return max(abs(line.sample - round(Fraction(line.beat) * beat)) for line in played.bar_lines)


def measure_silence(path: Path, block_samples: int = READ_SAMPLES) -> int:
    """Return the longest run of samples that are zero in all channels.

    The file is read in blocks of ``block_samples``.
    """
    longest = run = 0
    with soundfile.SoundFile(path) as file:
        for block in file.blocks(block_samples, dtype="int16", always_2d=True):
            edges = np.flatnonzero(np.diff(np.pad(~block.any(axis=1), 1).astype(np.int8)))
            for start, stop in edges.reshape(-1, 2):
                length = int(stop - start) + (run if start == 0 else 0)
                longest = max(longest, length)
            silent_end = not block[-1].any()
            whole = silent_end and len(edges) == 2 and edges[0] == 0
            last = int(edges[-1] - edges[-2]) if silent_end else 0
            run = run + len(block) if whole else last
    return max(longest, run)
