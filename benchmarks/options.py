"""What the measurements share: which engine, how long, how often, and the music they play."""

from __future__ import annotations

from dataclasses import dataclass

PROMPT_A, PROMPT_B = "church bells", "electronic beats"

# Pairs with and without drums, for what depends on the music.
PAIRS = (
    (PROMPT_A, PROMPT_B),
    ("funky piano", "jazzy saxophone"),
    ("blues guitar", "afrobeat"),
    ("ambient pad", "rock"),
)


@dataclass(frozen=True)
class Options:
    """``model`` None is the shipped engine. Lengths are in minutes of music."""

    model: str | None = None
    device: str = "auto"
    repeats: int = 5
    jam_minutes: float = 60.0
    soak_minutes: float = 15.0

    def engine_arguments(self) -> list[str]:
        """As command line options of ``riffusion`` and app.py."""
        model = ["--model", self.model] if self.model else []
        return [*model, "--device", self.device]
