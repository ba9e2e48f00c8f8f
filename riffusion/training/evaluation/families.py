"""Styles that sound alike, in 24 families: what the judge itself mixes up in renders.

Made once from the validation split (``evaluate --group-styles``) and kept in
``style_families.json``; generated music has no part in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from riffusion.training.evaluation.judge import Judge
from riffusion.training.evaluation.renders import Renders

FAMILIES = 24
LISTING = Path(__file__).with_name("style_families.json")

Matrix = npt.NDArray[np.float64]


def confusion(judge: Judge, renders: Renders) -> Matrix:
    """(styles, styles): how likely a render of the row's style is taken for the column's."""
    likely = judge.listen(renders.impressions).styles.softmax(1).double().numpy()
    truth = np.array(renders.styles)
    rows = [likely[truth == style] for style in judge.styles]
    return np.stack([row.mean(0) if len(row) else np.zeros(len(judge.styles)) for row in rows])


def grouped(mixed_up: Matrix, count: int) -> list[list[int]]:
    """Average linkage: join the two groups whose members are mixed up most, until ``count`` are
    left."""
    alike = mixed_up + mixed_up.T
    groups = [[place] for place in range(len(alike))]
    while len(groups) > count:
        pairs = [
            (float(alike[np.ix_(one, other)].mean()), first, second)
            for first, one in enumerate(groups)
            for second, other in enumerate(groups[:first])
        ]
        _, first, second = max(pairs)
        groups[second] += groups.pop(first)
    return [sorted(group) for group in groups]


def write_families(judge: Judge, validation: Renders, path: Path = LISTING) -> list[list[str]]:
    """Group the judge's styles and write them down with how it was done."""
    groups = grouped(confusion(judge, validation), FAMILIES)
    names = [[judge.styles[place] for place in group] for group in groups]
    made = (
        f"average linkage of the style judge's mean probabilities on {len(validation)} windows of "
        f"validation renders, stopped at {FAMILIES} groups; generated clips have no part in it"
    )
    path.write_text(json.dumps({"made": made, "families": names}, indent=1) + "\n")
    return names


def style_families(styles: Sequence[str]) -> dict[str, int]:
    """The number of each style's family; styles that the listing lacks are each by themselves."""
    listed = json.loads(LISTING.read_text())["families"]
    family = {style: number for number, names in enumerate(listed) for style in names}
    wanted = [family.get(style, f"only {style}") for style in styles]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(wanted))}
    return {style: numbers[name] for style, name in zip(styles, wanted, strict=True)}


def family_scores(
    scores: torch.Tensor, styles: Sequence[str], families: dict[str, int]
) -> torch.Tensor:
    """(clips, styles) scores of styles to (clips, families) probabilities."""
    places = torch.tensor([families[style] for style in styles])
    sums = torch.zeros(len(scores), int(places.max()) + 1)
    return sums.index_add_(1, places, scores.softmax(1))
