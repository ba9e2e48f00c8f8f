"""Whether a jam that goes on from a recording comes in on its beat and in its key."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.handmade import MAKERS, KnownRecording
from benchmarks.options import Options
from benchmarks.report import Row
from riffusion.analysis.recording import RecordingAnalysis, analyse
from riffusion.audio.waveform import Waveform
from riffusion.music.harmony import Key, parse_key
from riffusion.training.analysis.songs import KnownSong, read_known_songs

SONGS = 12
CONTEXT_S = 1.2  # a jam begins at a bar line with at least this much recording before it
LEFT_OUT_S = 3.0  # at most, at either end of a song
RATES = (44100, 22050, 48000)
ON_THE_BEAT_S = 0.03
SAME_TEMPO = 0.001
RELATIVE_MAJOR = 3


@dataclass(frozen=True)
class Verdict:
    """How an analysis compares with the truth.

    ``late_s`` is how far the bar line at which a jam would begin is from the nearest beat (early:
    negative), and ``is_downbeat`` whether that beat is the first of a bar. ``tempo_ratio`` is the
    tempo that is heard over the true one. ``key`` is right, relative, wrong or none.
    """

    name: str
    late_s: float
    is_downbeat: bool
    is_metre: bool
    tempo_ratio: float
    key: str
    took_s: float

    @property
    def is_on_beat(self) -> bool:
        """Whether the jam comes in within 30 ms of a beat."""
        return abs(self.late_s) <= ON_THE_BEAT_S


def measure(options: Options) -> list[Row]:
    """Return rows for the recordings made by code, and for rendered songs where they are given."""
    rows = summarise("recordings", [judge(make()) for make in MAKERS])
    if options.songs is not None:
        pitched = (song for song in read_known_songs(Path(options.songs), 0) if song.key)
        songs = islice(cut_songs(pitched), SONGS)
        rows += summarise("rendered songs", [judge(song) for song in songs])
    return rows


def cut_songs(songs: Iterable[KnownSong]) -> Iterator[KnownRecording]:
    """Yield songs that start and stop anywhere in the bar, at three sample rates in turn."""
    for place, song in enumerate(songs):
        start_s, rest_s = (LEFT_OUT_S * (place * part % 1) for part in (0.618, 0.314))
        rate = song.sound.sample_rate
        stop = song.sound.samples.shape[1] - round(rest_s * rate)
        cut = Waveform(song.sound.samples[:, round(start_s * rate) : stop], rate)
        yield KnownRecording(
            song.name,
            cut.resample(RATES[place % len(RATES)]),
            song.bpm,
            song.beats_per_bar,
            -start_s,
            song.key,
        )


def judge(known: KnownRecording) -> Verdict:
    """Analyse a recording and compare."""
    started = time.perf_counter()
    heard = analyse(known.sound)
    took_s = time.perf_counter() - started
    line_s = heard.last_bar_line_s(heard.end_s - CONTEXT_S)
    if heard.bars is None or line_s is None:
        return Verdict(known.name, 60 / known.bpm / 2, False, False, 0.0, "none", took_s)
    beat_s = 60 / known.bpm
    beats = (line_s - known.downbeat_s) / beat_s
    return Verdict(
        known.name,
        (beats - round(beats)) * beat_s,
        round(beats) % known.beats_per_bar == 0,
        heard.bars.beats_per_bar == known.beats_per_bar,
        heard.bars.bpm / known.bpm,
        compare_keys(known.key, heard),
        took_s,
    )


def compare_keys(true: str, heard: RecordingAnalysis) -> str:
    """Return right, relative, wrong, or none where nothing has a pitch."""
    if not true or heard.key is None:
        return "none"
    key = parse_key(true)
    if (key.tonic, key.mode) == (heard.key.tonic, heard.key.mode):
        return "right"
    return "relative" if signature(key) == signature(heard.key) else "wrong"


def signature(key: Key) -> int:
    """Return the tonic of the major key with the same notes."""
    return (key.tonic + (RELATIVE_MAJOR if key.mode == "minor" else 0)) % 12


def summarise(what: str, verdicts: Sequence[Verdict]) -> list[Row]:
    """Return the rows of a set of recordings, one for each and the counts."""
    count = len(verdicts)
    keys = [verdict.key for verdict in verdicts]
    on_downbeat = sum(v.is_on_beat and v.is_downbeat for v in verdicts)
    same_tempo = sum(abs(v.tempo_ratio - 1) <= SAME_TEMPO for v in verdicts)
    of = f"of {count} {what}"
    return [
        *(
            Row(f"{v.name}: late at the seam", 1000 * v.late_s, "ms", "", describe(v))
            for v in verdicts
        ),
        Row("within 30 ms of a beat at the seam", sum(v.is_on_beat for v in verdicts), of),
        Row("the same, and on the first beat of a bar", on_downbeat, of),
        Row("tempo right to 0.1 %", same_tempo, of),
        Row("beats in a bar right", sum(v.is_metre for v in verdicts), of),
        Row("key right", keys.count("right"), of),
        Row("key relative", keys.count("relative"), of),
        Row("longest analysis", max(v.took_s for v in verdicts), "s"),
    ]


def describe(verdict: Verdict) -> str:
    """Return what else was right about one recording."""
    downbeat = "downbeat" if verdict.is_downbeat else "another beat"
    return f"{downbeat}, tempo x {verdict.tempo_ratio:.4f}, key {verdict.key}"
