"""Pictures of numbers: how a run went, and how a model measures up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 110
LONGEST_BAR = 4.0  # rows in milliseconds run off the edge


class Bar(Protocol):
    """A figure with a name, and the ceiling and chance beside it."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def ceiling(self) -> float | None: ...
    @property
    def chance(self) -> float | None: ...


def draw_curve(listing: Path, path: Path) -> None:
    """Training and validation loss over thousands of windows, from a run's ``curve.jsonl``."""
    points = [json.loads(line) for line in listing.read_text().splitlines()]
    windows = [point["windows"] / 1000 for point in points]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in ("training", "validation"):
        losses = [point.get(name) for point in points]
        axes.plot(windows, losses, marker=".", label=f"{name} loss")
    axes.set_xlabel("thousand windows")
    axes.set_yscale("log")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    _write(figure, path)


def draw_gain(listing: Path, path: Path) -> None:
    """Validation loss and style match of whole runs against the windows they were trained on.

    ``listing``: JSON objects with ``run``, ``windows`` and ``validation_loss`` or ``style_first``.
    """
    points = json.loads(listing.read_text())
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, name in zip(panels, ("validation_loss", "style_first"), strict=True):
        for run in dict.fromkeys(point["run"] for point in points):
            of_run = [point for point in points if point["run"] == run and name in point]
            windows = [point["windows"] / 1000 for point in of_run]
            axes.plot(windows, [point[name] for point in of_run], marker=".", label=run)
        axes.set_xlabel("thousand windows")
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.grid(visible=True, alpha=0.3)
    panels[0].legend(fontsize=7)
    _write(figure, path)


def draw_measures(rows: Sequence[Bar], path: Path) -> None:
    """A bar a measure, with a tick at its ceiling and a dotted one at chance."""
    figure = Figure(figsize=(9, 0.26 * len(rows) + 1), layout="constrained")
    axes = figure.subplots()
    names = [row.name.strip() for row in rows]
    places = range(len(rows))
    axes.barh(places, [row.value for row in rows], color="#4c72b0")
    for place, row in zip(places, rows, strict=True):
        for value, style in ((row.ceiling, "-"), (row.chance, ":")):
            if value is not None:
                axes.plot([value, value], [place - 0.45, place + 0.45], f"k{style}")
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlim(0, LONGEST_BAR)
    axes.set_title("bar: measured; line: ceiling; dots: chance", fontsize=9)
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=DPI)
