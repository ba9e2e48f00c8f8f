"""What is written beside a song's sound: a cue sheet, and marks for its long image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from riffusion.song.placement import PlacedSection

CUE_FRAMES = 75  # a second, by the format
MAX_TRACKS = 99  # in a cue sheet, by the format
CUE_TYPES = {".mp3": "MP3"}  # all else is called WAVE


def cue_sheet(places: Sequence[PlacedSection], sample_rate: int, audio: str, title: str) -> str:
    """A cue sheet with a track a section, so that players can go from one to the next.

    ``audio`` is the file's name, without its folder. Times are rounded down to 1/75 s, and
    sections after the 99th left out: the format has no more.
    """
    kind = CUE_TYPES.get(Path(audio).suffix.lower(), "WAVE")
    lines = [f"TITLE {_quoted(title or 'song')}", f"FILE {_quoted(audio)} {kind}"]
    for number, place in enumerate(places[:MAX_TRACKS], start=1):
        frames = place.start * CUE_FRAMES // sample_rate
        minutes, rest = divmod(frames, 60 * CUE_FRAMES)
        time = f"{minutes:02}:{rest // CUE_FRAMES:02}:{rest % CUE_FRAMES:02}"
        lines += [f"  TRACK {number:02} AUDIO", f"    TITLE {_quoted(place.section.name)}"]
        lines += [f"    INDEX 01 {time}"]
    return "\n".join(lines) + "\n"


def image_marks(places: Sequence[PlacedSection], hop_length: int) -> str:
    """Where sections begin in a long image: a line each, with the column and the name."""
    return "\n".join(f"{place.start // hop_length} {place.section.name}" for place in places)


def _quoted(text: str) -> str:
    """Cue sheets know no way to write a double quote inside of quotes."""
    plain = text.replace('"', "'")
    return f'"{plain}"'
