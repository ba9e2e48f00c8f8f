"""Style: the description of a style, and the scales, progressions and parts that styles share.

Progressions are scale degrees, one bar each: ``1m7`` is a minor seventh on the tonic, ``b6`` a
major triad on the flat sixth.
"""

from __future__ import annotations

from dataclasses import dataclass

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
HARMONIC_MINOR = (0, 2, 3, 5, 7, 8, 11)
DORIAN = (0, 2, 3, 5, 7, 9, 10)
MAJOR_PENTATONIC = (0, 2, 4, 7, 9)
MINOR_PENTATONIC = (0, 3, 5, 7, 10)
BLUES = (0, 3, 5, 6, 7, 10)

BLUES_FORMS = (
    "17 17 17 17 47 47 17 17 57 47 17 57",
    "17 47 17 17 47 47 17 17 57 47 17 57",
    "1m7 1m7 1m7 1m7 4m7 4m7 1m7 1m7 b67 57 1m7 57",
)
JAZZ_FORMS = (
    "2m7 57 1M7 67 2m7 57 1M7 1M7",
    "1M7 67 2m7 57 3m7 67 2m7 57",
    "2m7 57 1M7 4M7 7m7b5 37 6m7 67",
    "1m7 4m7 1m7 57 2m7b5 57 1m7 1m7",
)
POP_FORMS = ("1 5 6m 4", "1 6m 4 5", "6m 4 1 5", "1 4 5 4", "1 3m 4 5", "1m b6 b3 b7")
MINOR_FORMS = ("1m b6 b3 b7", "1m 4m 1m 5", "1m b7 b6 b7", "1m b7 4m 1m", "1m b3 b7 4")
FUNK_FORMS = ("1m7 1m7 47 47", "17 17 17 17", "1m9 47 1m9 47", "1m7 b37 47 1m7")
CLASSICAL_FORMS = ("1 4 5 1 6m 2m 5 1", "1 5 6m 3m 4 1 4 5", "1m 4m 57 1m b6 2m7b5 57 1m")
STATIC_FORMS = ("1m 1m 1m 1m", "1m 1m b7 b7", "1m b6 1m b7", "1 1 4 1")
ROCK_FORMS = ("1 b7 4 1", "1m b7 b6 b7", "1 4 5 4", "1m b3 b7 4")
COUNTRY_FORMS = ("1 1 4 1 1 5 1 1", "1 4 1 5", "1 5 4 1")
MODAL_FORMS = ("1m 1m b7 1m", "1m 4 1m 4", "1m b7 b6 b7")
PHRYGIAN_FORMS = ("1m b2 1m b2", "1 b2 b3 b2", "4m b3 b2 1")
DOO_WOP_FORMS = ("1 6m 4 5", "1 6m 2m 5")
GOSPEL_FORMS = ("1 17 4 1 1 5 4 1", "1 4 1 5 1 4 5 1", "1 3m 4 4m 1 5 1 1")
PHRYGIAN = (0, 1, 3, 5, 7, 8, 10)
DOUBLE_HARMONIC = (0, 1, 4, 5, 7, 8, 11)
IN_SCALE = (0, 1, 5, 7, 8)


@dataclass(frozen=True)
class Style:
    """A style of music that the corpus is rendered in.

    ``words`` are its names and ``moods`` adjectives that fit it. ``grooves`` are accompaniments of
    MMA, ``bpm`` is (slowest, fastest), ``forms`` are progressions, ``leads`` are General MIDI
    programs, ``liveliness`` is the probability of a melody note on a beat, and ``extra`` adds
    tracks to grooves that have only drums.
    """

    name: str
    words: tuple[str, ...]
    moods: tuple[str, ...]
    grooves: tuple[str, ...]
    bpm: tuple[int, int]
    forms: tuple[str, ...]
    scale: tuple[int, ...]
    leads: tuple[int, ...]
    liveliness: float = 0.6
    swing: bool = False
    extra: str = ""


def part(kind: str, voice: str, octave: int, sequence: str) -> str:
    """Return another track of an accompaniment, in the language of MMA."""
    body = f"Voice {voice}\nOctave {octave}\nSequence {{{sequence}}}\n"
    return f"Begin {kind}\n{body}End\n"
