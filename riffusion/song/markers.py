"""Markers of a song's sections: a cue sheet beside its audio, and tags of its long image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from riffusion.song.placement import PlacedSection

CUE_FRAMES = 75  # a second, by the format
MAX_TRACKS = 99  # in a cue sheet, by the format
CUE_TYPES = {".mp3": "MP3"}  # all other formats are called WAVE


def cue_sheet(placement: Sequence[PlacedSection], sample_rate: int, audio: str, title: str) -> str:
    """Return a cue sheet with a track for each section, so that players can skip to them.

    ``audio`` is the file's name, without its folder. Times are rounded down to 1/75 s and sections
    after the 99th are left out, as the format has no more.
    """
    kind = CUE_TYPES.get(Path(audio).suffix.lower(), "WAVE")
    lines = [f"TITLE {_quoted(title or 'song')}", f"FILE {_quoted(audio)} {kind}"]
    for number, placed in enumerate(placement[:MAX_TRACKS], start=1):
        frames = placed.start * CUE_FRAMES // sample_rate
        minutes, rest = divmod(frames, 60 * CUE_FRAMES)
        time = f"{minutes:02}:{rest // CUE_FRAMES:02}:{rest % CUE_FRAMES:02}"
        lines += [f"  TRACK {number:02} AUDIO", f"    TITLE {_quoted(placed.section.name)}"]
        lines += [f"    INDEX 01 {time}"]
    return "\n".join(lines) + "\n"


def image_marks(placement: Sequence[PlacedSection], hop_length: int) -> str:
    """Return where sections begin in a long image: a line each, with the column and the name."""
    return "\n".join(f"{placed.start // hop_length} {placed.section.name}" for placed in placement)


def _quoted(text: str) -> str:
    """Return text in double quotes. Cue sheets cannot escape one inside, so it becomes a single."""
    plain = text.replace('"', "'")
    return f'"{plain}"'
