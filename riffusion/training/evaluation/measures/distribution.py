"""Rows about clips as a set: how like the renders, how various, and whether they are copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from riffusion.training.corpus.dataset import PATCH, FloatArray
from riffusion.training.evaluation import comparing
from riffusion.training.evaluation.judge import Judge
from riffusion.training.evaluation.measures.row import Measure, share
from riffusion.training.evaluation.measures.styles import heard
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.samples import Sample


def likeness_rows(
    judge: Judge, test: Renders, validation: Renders, train: Renders, samples: Sequence[Sample]
) -> list[Measure]:
    """Fréchet distance, spread, nearest training windows and the patch grid."""
    generated = heard(judge, samples).embedding.double().numpy()
    real, other, known = (
        judge.listen(renders.impressions).embedding.double().numpy()
        for renders in (test, validation, train)
    )
    floor = comparing.frechet_distance(other, real)
    styles, real_styles = [s.asked.prompt for s in samples], test.styles
    ratios = [
        comparing.spread(_of(generated, styles, style))
        / max(1e-9, comparing.spread(_of(real, real_styles, style)))
        for style in sorted(set(styles) & set(real_styles))
    ]
    usual = float(np.percentile(comparing.nearest(real, known), 5))
    copies = comparing.nearest(generated, known) < usual
    flux = np.median([grid_flux(s.levels.mean(1), PATCH) for s in samples])
    real_flux = np.median([grid_flux(test.levels(n).mean(1), PATCH) for n in range(len(test))])
    distance, count = comparing.frechet_distance(generated, real), len(samples)
    return [
        Measure("Frechet distance to renders, over floor", distance / floor, 1.0, None, count),
        Measure("spread of seeds, over renders'", float(np.median(ratios)), 1.0, None, count),
        Measure("nearer to training than 95 % of renders", share(copies), 0.05, None, count),
        Measure("flux at token boundaries, over elsewhere", float(flux), float(real_flux)),
    ]


def grid_flux(levels: FloatArray, patch: int) -> float:
    """Frame-to-frame change of (frames, bands) at multiples of ``patch`` frames over that
    elsewhere, medians."""
    change = np.abs(np.diff(levels, axis=0)).mean(1)
    at_boundary = (np.arange(1, len(levels)) % patch) == 0
    return float(np.median(change[at_boundary]) / max(1e-9, np.median(change[~at_boundary])))


def _of(rows: npt.NDArray[np.float64], labels: list[str], label: str) -> npt.NDArray[np.float64]:
    return rows[[place for place, name in enumerate(labels) if name == label]]
