"""All measurements share these options: the engine, lengths, repeats and the music they play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PROMPT_A, PROMPT_B = "church bells", "electronic beats"

# Tempo and key of the jams that were measured before the page played 100 bpm in C minor. They stay,
# so that rows compare with earlier ones.
BPM, KEY = 120.0, "C"

# The pairs have music with and without drums, for measures that depend on the music.
PAIRS = (
    (PROMPT_A, PROMPT_B),
    ("funky piano", "jazzy saxophone"),
    ("blues guitar", "afrobeat"),
    ("ambient pad", "rock"),
)


@dataclass(frozen=True)
class Options:
    """The options of the command line; ``model`` None is the shipped engine.

    Lengths are in minutes. ``settings`` are what jams are to play with, by name in the schema.
    """

    model: str | None = None
    device: str = "auto"
    repeats: int = 5
    jam_minutes: float = 60.0
    soak_minutes: float = 15.0
    held_minutes: float = 2 / 3
    seeds: int = 3
    settings: Mapping[str, object] = field(default_factory=dict)
    songs: str | None = None

    def engine_arguments(self) -> list[str]:
        """Return the engine options for the command line of ``riffusion`` and app.py."""
        model = ["--model", self.model] if self.model else []
        return [*model, "--device", self.device]
