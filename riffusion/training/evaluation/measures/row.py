"""A row of the table, and the table as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Measure:
    """One row: what was measured, on how many clips, with the ceiling and chance beside it."""

    name: str
    value: float
    ceiling: float | None = None
    chance: float | None = None
    clips: int = 0


def share(hits: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
    """How much of them is true."""
    return float(np.mean(hits))


def table(rows: Sequence[Measure]) -> str:
    """The measures as text, one a line."""

    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    lines = [f"{'measure':46} {'value':>7} {'ceiling':>8} {'chance':>7} {'clips':>6}"]
    lines += [
        f"{row.name:46} {row.value:7.2f} {figure(row.ceiling):>8} {figure(row.chance):>7} "
        f"{row.clips or '-':>6}"
        for row in rows
    ]
    return "\n".join(lines)
