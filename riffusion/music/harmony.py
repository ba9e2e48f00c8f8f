"""Keys and chords as musicians write them, and their pitch classes (0 is C)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from riffusion.errors import InvalidInput

Mode = Literal["major", "minor"]

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "b": -1, "##": 2, "bb": -2}
MAX_CHORDS = 64
KEY_HELP = "use a note and a mode, for example C, Cm, F# major or Bb minor"

# Semitones above the root. Names that differ only in spelling share a line.
QUALITIES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("", "maj", "M", "major"), (0, 4, 7)),
    **dict.fromkeys(("m", "min", "minor"), (0, 3, 7)),
    **dict.fromkeys(("dim", "o", "°"), (0, 3, 6)),
    **dict.fromkeys(("aug", "+"), (0, 4, 8)),
    **dict.fromkeys(("5",), (0, 7)),
    **dict.fromkeys(("6", "maj6", "M6"), (0, 4, 7, 9)),
    **dict.fromkeys(("m6", "min6"), (0, 3, 7, 9)),
    **dict.fromkeys(("7", "dom7"), (0, 4, 7, 10)),
    **dict.fromkeys(("maj7", "M7", "ma7", "Δ", "Δ7"), (0, 4, 7, 11)),
    **dict.fromkeys(("m7", "min7"), (0, 3, 7, 10)),
    **dict.fromkeys(("mM7", "mMaj7", "mmaj7"), (0, 3, 7, 11)),
    **dict.fromkeys(("dim7", "o7", "°7"), (0, 3, 6, 9)),
    **dict.fromkeys(("m7b5", "ø", "ø7"), (0, 3, 6, 10)),
    **dict.fromkeys(("7b5",), (0, 4, 6, 10)),
    **dict.fromkeys(("aug7", "+7", "7#5"), (0, 4, 8, 10)),
    **dict.fromkeys(("sus", "sus4"), (0, 5, 7)),
    **dict.fromkeys(("sus2",), (0, 2, 7)),
    **dict.fromkeys(("7sus4", "7sus"), (0, 5, 7, 10)),
    **dict.fromkeys(("9",), (0, 2, 4, 7, 10)),
    **dict.fromkeys(("maj9", "M9"), (0, 2, 4, 7, 11)),
    **dict.fromkeys(("m9", "min9"), (0, 2, 3, 7, 10)),
    **dict.fromkeys(("add9", "add2"), (0, 2, 4, 7)),
    **dict.fromkeys(("madd9",), (0, 2, 3, 7)),
    **dict.fromkeys(("6/9", "69"), (0, 2, 4, 7, 9)),
}

# I vi IV V and i VI iv V, as (semitones, chord quality): both end on the dominant, which says
# where home is. The commoner I V vi IV and i VI III VII are as much of their relative key, and
# were heard in the key asked for half as often (docs/model.md).
LOOPS: dict[Mode, tuple[tuple[int, str], ...]] = {
    "major": ((0, ""), (9, "m"), (5, ""), (7, "")),
    "minor": ((0, "m"), (8, ""), (5, "m"), (7, "")),
}
SHARP_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLAT_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")

NOTE = re.compile(r"([A-Ga-g])(##|bb|#|b)?")


@dataclass(frozen=True)
class Key:
    """A tonic (0 is C), a mode, and how its notes are spelled."""

    tonic: int
    mode: Mode
    flats: bool

    @property
    def name(self) -> str:
        """The key as musicians write it, such as Cm."""
        return note_name(self.tonic, self.flats) + ("m" if self.mode == "minor" else "")


@dataclass(frozen=True)
class Chord:
    """A chord symbol, its root (0 is C) and its pitch classes, bass included."""

    name: str
    root: int
    pitch_classes: frozenset[int]

    def chroma(self) -> npt.NDArray[np.float32]:
        """Return float32 (12,), 1 for the pitch classes of the chord and 0 for others."""
        chroma = np.zeros(12, np.float32)
        chroma[sorted(self.pitch_classes)] = 1.0
        return chroma


def note_name(pitch_class: int, flats: bool = False) -> str:
    """Return the name of a pitch class, spelled with sharps or with ``flats``."""
    return (FLAT_NAMES if flats else SHARP_NAMES)[pitch_class % 12]


def parse_key(text: str) -> Key:
    """Return the key that a text names: "Cm", "C minor", "F# major" or "B♭".

    Raises InvalidInput for any other text.
    """
    plain = _plain(text, "key", KEY_HELP).strip()
    note = NOTE.match(plain)
    if note is None:
        raise InvalidInput("key", text, KEY_HELP)
    mode = _mode(plain[note.end() :].strip(" -_"))
    if mode is None:
        raise InvalidInput("key", text, KEY_HELP)
    return Key(_pitch_class(note), mode, _spelled_flat(note, mode))


def parse_chords(text: str) -> tuple[Chord, ...]:
    """Return the chords of a text such as "Cm Ab Eb Bb" or "Am | F, C - G/B".

    Raises InvalidInput, which names the illegal chord.
    """
    plain = _plain(text, "chords", "write them like Am F C G")
    tokens = [token for token in re.split(r"[\s,|–—-]+", plain) if token]
    if not tokens:
        raise InvalidInput("chords", text, "write at least one, like Am F C G")
    if len(tokens) > MAX_CHORDS:
        raise InvalidInput("chords", text, f"has {len(tokens)} chords; use at most {MAX_CHORDS}")
    return tuple(_parse_chord(token, place) for place, token in enumerate(tokens, start=1))


def default_chords(key: Key) -> tuple[Chord, ...]:
    """Return four common chords of a key: I vi IV V in major, i VI iv V in minor."""
    names = (
        note_name(key.tonic + steps, key.flats) + quality for steps, quality in LOOPS[key.mode]
    )
    return tuple(_parse_chord(name, place) for place, name in enumerate(names, start=1))


def progression(key: str, chords: str = "") -> tuple[Chord, ...]:
    """Return the chords to play, one a bar: ``chords``, or the default ones of ``key``.

    Raises InvalidInput for an illegal key or chord.
    """
    parsed = parse_key(key)
    return parse_chords(chords) if chords.strip() else default_chords(parsed)


def _plain(text: object, what: str, hint: str) -> str:
    """Return ``text`` with ♯ and ♭ written as # and b. Raises InvalidInput if it is no text."""
    if not isinstance(text, str):
        raise InvalidInput(what, text, hint)
    return text.replace("♯", "#").replace("♭", "b").replace("♮", "")


def _parse_chord(token: str, place: int) -> Chord:
    """Return the chord of one symbol, the ``place``-th. Raises InvalidInput."""
    symbol, bass = token, None
    if "/" in token and token not in ("6/9",) and not token.endswith("6/9"):
        symbol, _, bass_text = token.partition("/")
        bass = NOTE.fullmatch(bass_text)
        if bass is None:
            raise _bad_chord(token, place, f"the bass after / is {bass_text!r}, which is no note")
    root = NOTE.match(symbol)
    if root is None or not symbol[0].isupper():
        raise _bad_chord(token, place, "a chord starts with a note from A to G, in capitals")
    quality = symbol[root.end() :]
    steps = QUALITIES.get(quality)
    if steps is None:
        known = "m, 7, maj7, m7, dim, aug, sus2, sus4, 6, 9, add9"
        raise _bad_chord(token, place, f"{quality!r} is no kind of chord; use for example {known}")
    classes = {(_pitch_class(root) + step) % 12 for step in steps}
    return Chord(
        token, _pitch_class(root), frozenset(classes | ({_pitch_class(bass)} if bass else set()))
    )


def _bad_chord(token: str, place: int, why: str) -> InvalidInput:
    """Return the error for an illegal chord symbol."""
    return InvalidInput(f"chord {place}", token, why)


def _pitch_class(note: re.Match[str]) -> int:
    """Return the pitch class of a matched note name."""
    return (LETTERS[note[1].upper()] + ACCIDENTALS[note[2] or ""]) % 12


def _mode(text: str) -> Mode | None:
    """Return the mode that the rest of a key names, or None."""
    if text in ("", "M", "Maj") or text.lower() in ("maj", "major"):
        return "major"
    return "minor" if text == "m" or text.lower() in ("min", "minor") else None


def _spelled_flat(note: re.Match[str], mode: Mode) -> bool:
    """Return whether a key is written with a flat or has flats in its signature."""
    if note[2]:
        return note[2].startswith("b")
    return note[1].upper() in ("F" if mode == "major" else "CDFG")
