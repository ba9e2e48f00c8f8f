"""Songs that ``corpus-sound`` rendered, with the tempo, metre and key that they were written in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from riffusion.audio.waveform import Waveform, read_audio
from riffusion.errors import InvalidInput
from riffusion.music.styles import STYLES
from riffusion.training.corpus.build import compose, make_song_rng


@dataclass(frozen=True)
class KnownSong:
    """A song and what is true of it: a bar begins at the first sample.

    ``key`` is empty where only drums play.
    """

    name: str
    sound: Waveform
    bpm: float
    beats_per_bar: int
    key: str


def read_known_songs(folder: Path, seed: int) -> Iterator[KnownSong]:
    """Yield the songs of a folder that ``corpus-sound`` wrote with ``seed``, by number.

    They are composed again, which takes a fraction of a second each. Raises InvalidInput where
    there is none.
    """
    paths = sorted(folder.glob("*.flac"))
    if not paths:
        hint = "holds no songs; write them with python -m riffusion corpus-sound"
        raise InvalidInput("folder", str(folder), hint)
    for path in paths:
        number = int(path.name.partition("-")[0])
        score, key, _, _, arrangement = compose(
            make_song_rng(number, seed), STYLES[number % len(STYLES)]
        )
        known_key = "" if arrangement == "drums" else key
        yield KnownSong(path.stem, read_audio(path), score.bpm, score.beats_per_bar, known_key)
