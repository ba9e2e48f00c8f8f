"""A row of the table of an evaluation, and the table as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Measure:
    """A measured value, on how many clips it was measured, its ceiling and its chance level."""

    name: str
    value: float
    ceiling: float | None = None
    chance: float | None = None
    clips: int = 0


def compute_share(hits: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
    """Return the share of ``hits`` that are true."""
    return float(np.mean(hits))


def format_table(rows: Sequence[Measure]) -> str:
    """Return the measures as text, one a line."""

    def format_value(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    lines = [f"{'measure':46} {'value':>7} {'ceiling':>8} {'chance':>7} {'clips':>6}"]
    lines += [
        f"{row.name:46} {row.value:7.2f} {format_value(row.ceiling):>8} "
        f"{format_value(row.chance):>7} {row.clips or '-':>6}"
        for row in rows
    ]
    return "\n".join(lines)
