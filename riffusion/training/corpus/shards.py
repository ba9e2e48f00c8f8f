"""Songs on disk: a shard is an array of log-mel frames and a JSON list of its songs.

The array can be memory-mapped. Both files are checked when they are read, so that a training run
does not fail on them hours later.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import InvalidInput
from riffusion.music.harmony import Mode, parse_chords, parse_key
from riffusion.storage import write_whole, writing_whole

SPLITS = ("train", "validation", "test")
CHANNELS = 2
RENDER_AGAIN = "delete it and run `riffusion corpus` with the same options: it is rendered again"

Frames = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Song:
    """A listing holds what is known about one rendered song.

    ``offset`` and ``frames`` locate the song in its shard.
    """

    style: str
    arrangement: str
    split: str
    bpm: int
    beats_per_bar: int
    key: str
    chords: tuple[str, ...]
    lead: int | None
    programs: tuple[int, ...]
    onsets_per_s: float
    drum_hits_per_s: float
    captions: tuple[str, ...]
    soundfont: str
    offset: int
    frames: int


def find_mode(tonic: int, chords: Iterable[str]) -> Mode:
    """Return minor where most of the chords on the tonic have a minor third, else major."""
    home = [chord for chord in parse_chords(" ".join(chords)) if chord.root == tonic]
    minor = [(tonic + 3) % 12 in chord.pitch_classes for chord in home]
    return "minor" if 2 * sum(minor) > len(minor) else "major"


def find_key(song: Song) -> tuple[int, Mode]:
    """Return tonic (0 is C) and mode of a song; the mode is that of the chords, not of the file."""
    tonic = parse_key(song.key).tonic
    return tonic, find_mode(tonic, song.chords)


def get_listing_path(folder: Path, shard: int) -> Path:
    """Return the file that lists the songs of a shard.

    A shard is complete when this file exists.
    """
    return folder / f"songs-{shard:05}.json"


def write_shard(folder: Path, shard: int, songs: Sequence[Song], frames: Frames) -> None:
    """Write frames (frames, channels, bands) of a shard, then its list of songs.

    Raises StorageError on a full disk.
    """
    listing = get_listing_path(folder, shard)
    with writing_whole(_get_frames_path(listing)) as file:
        np.save(file, frames)
    write_whole(listing, json.dumps([asdict(song) for song in songs]).encode())


def read_songs(folder: Path) -> list[tuple[Path, Song]]:
    """Return every song of a corpus with the file that holds its frames.

    Raises InvalidInput where there is no song, or a list is damaged or holds impossible values.
    """
    found: list[tuple[Path, Song]] = []
    for listing in sorted(folder.glob("songs-*.json")):
        try:
            songs = [_song_from_json(entry) for entry in json.loads(listing.read_text("utf-8"))]
            _check_chords(songs)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInput("song list", str(listing), f"{error}; {RENDER_AGAIN}") from error
        found += [(_get_frames_path(listing), song) for song in songs]
    if not found:
        raise InvalidInput(
            "corpus folder", str(folder), "render one first: python -m riffusion corpus"
        )
    return found


def open_frames(path: Path, songs: Sequence[Song]) -> Frames:
    """Memory-map the frames of a shard, float16 (frames, channels, bands).

    Raises InvalidInput where they are missing, of another shape, or end before one of ``songs``.
    """
    try:
        frames: Frames = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        hint = f"it cannot be read ({error}); delete {_get_listing_name(path)} too and render again"
        raise InvalidInput("frames of songs", str(path), hint) from error
    needed = max((song.offset + song.frames for song in songs), default=0)
    shape = (CHANNELS, COMPACT_PARAMS.mel_bands)
    if frames.dtype != np.float16 or frames.shape[1:] != shape or len(frames) < needed:
        hint = (
            f"has {frames.dtype} {frames.shape} and needs float16 ({needed} or more, {shape[0]}, "
            f"{shape[1]}); delete it and {_get_listing_name(path)} and render again"
        )
        raise InvalidInput("frames of songs", str(path), hint)
    return frames


def _get_frames_path(listing: Path) -> Path:
    return listing.with_name(listing.name.replace("songs", "mels")).with_suffix(".npy")


def _get_listing_name(frames: Path) -> str:
    return frames.with_suffix(".json").name.replace("mels", "songs")


def _song_from_json(entry: dict[str, Any]) -> Song:
    missing = {field.name for field in fields(Song)} - entry.keys()
    if missing:
        raise ValueError(f"a song without {', '.join(sorted(missing))}")
    lists = {name: tuple(entry[name]) for name in ("chords", "programs", "captions")}
    song = Song(**{**entry, **lists})
    if not song.captions or not all(isinstance(c, str) and c.strip() for c in song.captions):
        raise ValueError(f"a {song.style} song without captions, or with an empty one")
    if song.split not in SPLITS:
        raise ValueError(f"a song in the split {song.split!r}, which is none of {SPLITS}")
    if min(song.bpm, song.beats_per_bar, song.frames) <= 0 or song.offset < 0:
        raise ValueError(f"a {song.style} song of no length, tempo or metre")
    return song


def _check_chords(songs: Sequence[Song]) -> None:
    for chord in {chord for song in songs for chord in song.chords}:
        parse_chords(chord)
    if not all(song.chords for song in songs):
        raise ValueError("a song without chords")
