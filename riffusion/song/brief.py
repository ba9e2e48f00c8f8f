"""A song brief is what a line like "melancholy bossa nova, three minutes" asks for.

Parsing is a pure function of the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from riffusion.errors import InvalidInput
from riffusion.music.harmony import Mode
from riffusion.music.styles import STYLES, Style
from riffusion.music.words import (
    FAST_WORDS,
    HAPPY_WORDS,
    LIVELY_WORDS,
    SAD_WORDS,
    SLOW_WORDS,
)

MAX_LINE_LENGTH = 500
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
COUNT = rf"(\d+(?:\.\d+)?|half an?|an?|{'|'.join(NUMBERS)})( and a half)?"
MINUTES = re.compile(rf"\b{COUNT}[ -]?(?:minutes?|mins?)\b(?: (?:of|long)\b)?", re.IGNORECASE)
SECONDS = re.compile(rf"\b{COUNT}[ -]?(?:seconds?|secs?)\b(?: (?:of|long)\b)?", re.IGNORECASE)
CLOCK = re.compile(r"\b(\d{1,2}):([0-5]\d)\b")
TEMPO = re.compile(r"\b(?:at )?(\d{2,3}) ?(?:bpm|beats per minute)\b", re.IGNORECASE)
KEY = re.compile(r"\bin ([A-G](?:#|b)?(?: ?(?:major|minor)\b|m\b))")
MINOR_WORDS = (*SAD_WORDS, "melancholy", "minor", "gloomy", "mournful", "lonely")
MAJOR_WORDS = (*HAPPY_WORDS, "major", "joyful", "bright")


@dataclass(frozen=True)
class SongBrief:
    """The content of a line. A field is None where the line does not say it.

    ``words`` are the line without its length, tempo and key. ``pace`` is 1 for fast, -1 for slow
    and 0 otherwise.
    """

    words: str
    style: Style | None
    mode: Mode | None
    pace: int
    seconds: float | None
    bpm: float | None
    key: str | None


def parse_brief(line: str) -> SongBrief:
    """Return what a line asks for. Raises InvalidInput for a line that is too long."""
    if len(line) > MAX_LINE_LENGTH:
        raise InvalidInput("song", line, f"use at most {MAX_LINE_LENGTH} characters")
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    tempo, key = TEMPO.search(line), KEY.search(line)
    words = line
    for pattern in (MINUTES, SECONDS, CLOCK, TEMPO, KEY):
        words = pattern.sub(" ", words)
    words = re.sub(r"\s+", " ", re.sub(r"\s*,[\s,]*", ", ", words)).strip(" ,.;")
    slow, fast = _has(words, SLOW_WORDS), _has(words, (*FAST_WORDS, *LIVELY_WORDS))
    return SongBrief(
        words=words,
        style=_style(words),
        mode=_mode(key[1] if key else words),
        pace=int(fast) - int(slow),
        seconds=_seconds(line),
        bpm=float(tempo[1]) if tempo else None,
        key=key[1] if key else None,
    )


def _style(words: str) -> Style | None:
    """Return the style that is named; of several, the one with the longest name."""
    named = [(len(name), style) for style in STYLES for name in style.words if _has(words, (name,))]
    return max(named, key=lambda found: found[0])[1] if named else None


def _mode(words: str) -> Mode | None:
    """Return the mode that a key or the mood of the words says."""
    if _has(words, MINOR_WORDS) or re.fullmatch(r"[A-G][#b]?m", words):
        return "minor"
    return "major" if _has(words, MAJOR_WORDS) else None


def _seconds(line: str) -> float | None:
    """Return the length in seconds, which is given in minutes, seconds, both, or as 3:30."""
    clock = CLOCK.search(line)
    if clock:
        return int(clock[1]) * 60.0 + int(clock[2])
    minutes, seconds = MINUTES.search(line), SECONDS.search(line)
    if not minutes and not seconds:
        return None
    return 60 * (_count(minutes) if minutes else 0) + (_count(seconds) if seconds else 0)


def _count(match: re.Match[str]) -> float:
    """Return the number that a match of ``COUNT`` says, in digits or in words."""
    number = match[1].lower()
    half = 0.5 if match[2] else 0.0
    if number in NUMBERS:
        return NUMBERS.index(number) + half
    if number.startswith("half"):
        return 0.5
    return half + (1.0 if number in ("a", "an") else float(number))


def _has(words: str, wanted: tuple[str, ...]) -> bool:
    """Return whether one of the ``wanted`` words is there, as a whole word in any case."""
    pattern = "|".join(map(re.escape, wanted))
    return re.search(rf"\b(?:{pattern})\b", words, re.IGNORECASE) is not None
