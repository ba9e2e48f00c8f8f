"""How a jam holds together: whether its bars come round, and how much neighbours differ.

The measures are those of ``riffusion.training.evaluation.measures.cohesion``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.options import Options
from benchmarks.report import Row
from riffusion.engines.clip import Prompt
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.jam.settings import JamSettings
from riffusion.training.evaluation.measures.cohesion import VALUES, Cohesion, collect, measure_jam
from riffusion.training.evaluation.samples import JamRequest, render_levels

WALK_BARS = 24
# Seeds of the prompts of one jam; other jams have others.
SEED_A, SEED_B = 100, 200


@dataclass(frozen=True)
class Piece:
    """What a jam plays: one prompt, or two of them on a walk, its tempo and its key."""

    prompt: str
    bpm: float
    key: str
    prompt_b: str = ""

    @property
    def name(self) -> str:
        """The prompts in words."""
        return f"{self.prompt} to {self.prompt_b}" if self.prompt_b else self.prompt

    def make_settings(self, seed: int, changes: Mapping[str, object]) -> JamSettings:
        """Return the settings of the jam with this seed; ``changes`` are by name in the schema.

        Raises InvalidInput for changes that cannot be played.
        """
        start = Prompt(self.prompt, SEED_A + seed)
        end = Prompt(self.prompt_b or self.prompt, SEED_B + seed)
        settings = JamSettings(start, end, path="hold", bpm=self.bpm, key=self.key)
        if self.prompt_b:
            settings = replace(settings, path="once", walk_bars=WALK_BARS)
        return settings.with_settings(changes)


HELD = (
    Piece("bossa nova", 120, "Dm"),
    Piece("funky piano", 104, "Eb"),
    Piece("techno", 130, "Am"),
    Piece("rock drums and bass", 112, "E"),
    Piece("jazz piano", 140, "Bb"),
    Piece("reggae", 76, "G"),
    Piece("acoustic guitar", 92, "D"),
    Piece("ambient pads", 70, "F#m"),
    Piece("blues guitar", 84, "A"),
    Piece("church bells", 100, "Cm"),
    Piece("string quartet", 96, "Fm"),
    Piece("drum and bass", 160, "Bm"),
)
WALKS = (
    Piece("church bells", 120, "C", "electronic beats"),
    Piece("funky piano", 104, "Gm", "jazzy saxophone"),
    Piece("acoustic guitar", 92, "E", "techno"),
    Piece("disco", 116, "Fm", "bossa nova"),
    Piece("ambient pads", 80, "Am", "rock"),
    Piece("string quartet", 140, "Bb", "house"),
)


def measure(options: Options) -> list[Row]:
    """Return medians over the held jams and over the walks, then a row for each of the pieces."""
    engine = load_engine(options.model, options.device)
    rows: list[Row] = []
    for name, pieces in (("held", HELD), ("walk", WALKS)):
        found = {piece: play(engine, piece, options) for piece in pieces}
        rows += summarise(name, [one for group in found.values() for one in group])
        rows += [row for piece, group in found.items() for row in summarise_piece(piece, group)]
    return rows


def play(engine: Engine, piece: Piece, options: Options) -> list[Cohesion]:
    """Play a piece with each seed and measure it: a whole walk, or so many minutes."""
    found = []
    for seed in range(options.seeds):
        settings = piece.make_settings(seed, options.settings)
        walk_s = settings.walk_bars * settings.beats_per_bar * 60 / settings.bpm
        seconds = walk_s if piece.prompt_b else 60 * options.held_minutes
        found.append(measure_jam(render_levels(engine, JamRequest(settings, seconds)), settings))
    return found


def summarise(name: str, found: Sequence[Cohesion]) -> list[Row]:
    """Return the median of each value, with its quartiles in the note."""
    rows = []
    for label, read, _ in VALUES:
        values = collect(found, read)
        if values:
            low, middle, high = (float(x) for x in np.percentile(values, (25, 50, 75)))
            note = f"{len(values)} jams, median; quartiles {low:.2f} and {high:.2f}"
            rows.append(Row(f"{name}: {label}", middle, note=note))
    return rows


def summarise_piece(piece: Piece, found: Sequence[Cohesion]) -> list[Row]:
    """Return the correlation one loop apart of one piece, where it is long enough."""
    values = collect(found, lambda one: one.loop_correlation)
    note = f"{piece.bpm:.0f} bpm, {piece.key}, {len(values)} seeds, median"
    label = f"{piece.name}: correlation one loop apart"
    return [Row(label, float(np.median(values)), note=note)] if values else []
