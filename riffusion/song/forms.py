"""Song forms: the parts that songs have, how these follow each other, and how full each is.

This module is the planner's data. A weight says how often an entry is drawn, compared to the others
of its table.
"""

from __future__ import annotations

from dataclasses import dataclass

Weighted = tuple[tuple[tuple[str, ...], float], ...]


@dataclass(frozen=True)
class Role:
    """The role of a part in its song.

    ``bars`` are usual lengths; the controls are 0 to 1. ``words`` are alternatives for its prompt,
    in which {lead} stands for an instrument. Each of the ``transitions`` is equally likely.
    """

    bars: tuple[int, ...]
    density: float
    brightness: float
    drums: float
    words: tuple[str, ...]
    transitions: tuple[str, ...] = ("cut", "fill 1")


ROLES: dict[str, Role] = {
    "intro": Role((4, 8), 0.2, 0.35, 0.1, ("sparse, {lead}", "{lead} alone", "quiet"), ("fill 1",)),
    "verse": Role((8, 8, 16), 0.45, 0.4, 0.45, ("with {lead}", "{lead}, relaxed", "mellow {lead}")),
    "pre-chorus": Role(
        (4, 8), 0.65, 0.55, 0.65, ("rising, {lead}", "driving"), ("fill 1", "fill 2")
    ),
    "chorus": Role((8, 8, 16), 0.9, 0.75, 0.9, ("full band, {lead}", "energetic, {lead}")),
    "theme": Role((8, 12, 16), 0.55, 0.55, 0.55, ("{lead} melody", "with {lead}")),
    "bridge": Role((4, 8), 0.3, 0.3, 0.15, ("calm, {lead}", "dreamy {lead}"), ("walk 2", "fill 1")),
    "solo": Role((8, 12, 16), 0.85, 0.7, 0.8, ("{lead} solo",), ("cut", "fill 2", "walk 2")),
    "break": Role((2, 4), 0.1, 0.2, 0.0, ("sparse, no drums", "{lead} alone"), ("fill 1", "cut")),
    "outro": Role((4, 8), 0.25, 0.3, 0.15, ("quiet, {lead}", "slow ending, {lead}"), ("cut",)),
}

# A song is an opening, a cycle that repeats, a middle, the cycle once more, and an ending.
OPENINGS: Weighted = (
    (("intro",), 6),
    ((), 2),
    (("chorus",), 1),
    (("intro", "break"), 1),
)
CYCLES: Weighted = (
    (("verse", "chorus"), 6),
    (("verse", "pre-chorus", "chorus"), 3),
    (("verse", "verse", "chorus"), 2),
    (("verse", "chorus", "chorus"), 1),
    (("theme", "theme", "bridge", "theme"), 2),
    (("theme", "solo"), 2),
    (("theme", "verse"), 1),
)
MIDDLES: Weighted = (
    (("bridge",), 4),
    (("solo",), 3),
    (("break",), 2),
    (("bridge", "solo"), 1),
    (("solo", "break"), 1),
    ((), 2),
)
ENDINGS: Weighted = (
    (("outro",), 5),
    (("chorus", "outro"), 2),
    (("chorus", "chorus"), 1),
    ((), 1),
)
