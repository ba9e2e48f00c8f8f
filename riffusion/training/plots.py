"""Plots as PNG images: losses of a run, measures of a model, self-similarity, spectrograms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from riffusion.audio.waveform import Waveform

DPI = 110
SHOWN_S = 5.0
SHOWN_FFT = 2048
QUIETEST_DB = -100.0
MAX_VALUE = 4.0  # measures in milliseconds exceed the axis


class PlottedMeasure(Protocol):
    """A measured value with its name, its ceiling and its chance level."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def ceiling(self) -> float | None: ...
    @property
    def chance(self) -> float | None: ...


def draw_curve(listing: Path, path: Path) -> None:
    """Plot training and validation loss over thousands of windows, from a run's ``curve.jsonl``."""
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
    """Plot validation loss and style match of whole runs over the windows they were trained on.

    ``listing`` has JSON objects with ``run``, ``windows`` and ``validation_loss`` or
    ``style_first``.
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


def draw_measures(rows: Sequence[PlottedMeasure], path: Path) -> None:
    """Plot a bar for each measure, with a line at its ceiling and a dotted one at chance."""
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
    axes.set_xlim(0, MAX_VALUE)
    axes.set_title("bar: measured; line: ceiling; dots: chance", fontsize=9)
    _write(figure, path)


def draw_self_similarity(
    similarity: npt.NDArray[np.float32],
    step_s: float,
    marks: Sequence[tuple[float, str]],
    path: Path,
) -> None:
    """Plot a self-similarity matrix (steps, steps), bright where the music is alike.

    ``marks`` has the start of each section in seconds and its name.
    """
    seconds = len(similarity) * step_s
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(similarity, cmap="magma", extent=(0, seconds, seconds, 0))
    for start, _ in marks:
        axes.axhline(start, color="white", linewidth=0.4)
        axes.axvline(start, color="white", linewidth=0.4)
    axes.set_xticks([start for start, _ in marks], [name for _, name in marks], rotation=60)
    axes.set_ylabel("seconds")
    _write(figure, path)


def draw_spectrograms(
    recordings: Sequence[tuple[str, Sequence[tuple[str, Waveform]]]], path: Path
) -> None:
    """Plot a row for each recording and a column for each version of it.

    ``recordings`` has a title and pairs of name and sound for each. The plots show the first
    seconds with all channels mixed, from 0 Hz to half the sample rate and from white at -100 dB to
    black.
    """
    columns = max(len(sounds) for _, sounds in recordings)
    size = (3.6 * columns, 2.2 * len(recordings) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(recordings), columns, squeeze=False)
    for axes, (title, sounds) in zip(grid, recordings, strict=True):
        for place, (name, sound) in zip(axes, sounds, strict=False):
            extent = (0.0, min(SHOWN_S, sound.duration_s), 0.0, sound.sample_rate / 2000)
            levels = _measure_levels_db(sound)
            place.imshow(
                levels, "gray_r", aspect="auto", origin="lower", extent=extent, vmin=QUIETEST_DB,
                vmax=0.0, interpolation="nearest",
            )  # fmt: skip
            place.set_title(f"{title}: {name}", fontsize=7)
            place.tick_params(labelsize=6)
        axes[0].set_ylabel("kHz", fontsize=7)
    _write(figure, path)


def _measure_levels_db(sound: Waveform) -> npt.NDArray[np.float32]:
    """Return levels (bins, frames) in dB; a sine at full scale has 0."""
    mono = sound.mono().samples[0, : round(SHOWN_S * sound.sample_rate)]
    window = np.hanning(SHOWN_FFT).astype(np.float32)
    padded = np.pad(mono, (0, max(0, SHOWN_FFT - len(mono))))
    framed = np.lib.stride_tricks.sliding_window_view(padded, SHOWN_FFT)[:: SHOWN_FFT // 4]
    heights = np.abs(np.fft.rfft(framed * window)).T * (2 / window.sum())
    return np.asarray(20 * np.log10(np.maximum(heights, 10 ** (QUIETEST_DB / 20))), np.float32)


def _write(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=DPI)
