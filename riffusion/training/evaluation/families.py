"""Families of styles that sound alike: 24 groups that the style judge confuses in renders.

They were made once from the validation split (``evaluate --group-styles``) and are stored in
``style_families.json``; generated music has no part in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.style_judge import StyleJudge

FAMILIES = 24
LISTING = Path(__file__).with_name("style_families.json")

Matrix = npt.NDArray[np.float64]


def measure_confusion(judge: StyleJudge, renders: Renders) -> Matrix:
    """Return the mean probability of each style in renders of each style, (true, judged)."""
    likely = judge.predict(renders.judge_images).styles.softmax(1).double().numpy()
    truth = np.array(renders.styles)
    rows = [likely[truth == style] for style in judge.styles]
    return np.stack([row.mean(0) if len(row) else np.zeros(len(judge.styles)) for row in rows])


def group_styles(confusion: Matrix, count: int) -> list[list[int]]:
    """Group styles by average linkage until ``count`` groups are left.

    The two groups whose members are confused most are joined first.
    """
    alike = confusion + confusion.T
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


def write_families(judge: StyleJudge, validation: Renders, path: Path = LISTING) -> list[list[str]]:
    """Group the styles of the judge and write the groups and how they were made to ``path``."""
    groups = group_styles(measure_confusion(judge, validation), FAMILIES)
    names = [[judge.styles[place] for place in group] for group in groups]
    made = (
        f"average linkage of the style judge's mean probabilities on {len(validation)} windows of "
        f"validation renders, stopped at {FAMILIES} groups; generated clips have no part in it"
    )
    path.write_text(json.dumps({"made": made, "families": names}, indent=1) + "\n")
    return names


def load_families(styles: Sequence[str]) -> dict[str, int]:
    """Return the number of each style's family; an unlisted style is a family of its own."""
    listed = json.loads(LISTING.read_text())["families"]
    family = {style: number for number, names in enumerate(listed) for style in names}
    wanted = [family.get(style, f"only {style}") for style in styles]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(wanted))}
    return {style: numbers[name] for style, name in zip(styles, wanted, strict=True)}


def sum_by_family(
    scores: torch.Tensor, styles: Sequence[str], families: dict[str, int]
) -> torch.Tensor:
    """Return probabilities (clips, families) from logits of styles (clips, styles)."""
    places = torch.tensor([families[style] for style in styles])
    sums = torch.zeros(len(scores), int(places.max()) + 1)
    return sums.index_add_(1, places, scores.softmax(1))
