"""Rows about clips as a set: their distance to renders, their variety, and copies among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from riffusion.training.corpus.features import FloatArray
from riffusion.training.corpus.windows import PATCH
from riffusion.training.evaluation import embedding_statistics
from riffusion.training.evaluation.measures.row import Measure, compute_share
from riffusion.training.evaluation.measures.styles import judge_samples
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.samples import Sample
from riffusion.training.evaluation.style_judge import StyleJudge


def measure_distribution(
    judge: StyleJudge, test: Renders, validation: Renders, train: Renders, samples: Sequence[Sample]
) -> list[Measure]:
    """Measure Fréchet distance, spread, nearest training windows, the patch grid and sharpness."""
    generated = judge_samples(judge, samples).embedding.double().numpy()
    real, other, known = (
        judge.predict(renders.judge_images).embedding.double().numpy()
        for renders in (test, validation, train)
    )
    floor = embedding_statistics.frechet_distance(other, real)
    styles, real_styles = [s.request.prompt for s in samples], test.styles
    ratios = [
        embedding_statistics.mean_pairwise_distance(_select(generated, styles, style))
        / max(1e-9, embedding_statistics.mean_pairwise_distance(_select(real, real_styles, style)))
        for style in sorted(set(styles) & set(real_styles))
    ]
    usual = float(np.percentile(embedding_statistics.nearest_distances(real, known), 5))
    copies = embedding_statistics.nearest_distances(generated, known) < usual
    flux = np.median([measure_grid_flux(s.levels.mean(1), PATCH) for s in samples])
    real_flux = np.median(
        [measure_grid_flux(test.levels(n).mean(1), PATCH) for n in range(len(test))]
    )
    sharp = np.mean([measure_sharpness(s.levels.mean(1)) for s in samples])
    real_sharp = np.mean([measure_sharpness(test.levels(n).mean(1)) for n in range(len(test))])
    distance, count = embedding_statistics.frechet_distance(generated, real), len(samples)
    return [
        Measure("Frechet distance to renders, over floor", distance / floor, 1.0, None, count),
        Measure("spread of seeds, over renders'", float(np.median(ratios)), 1.0, None, count),
        Measure(
            "nearer to training than 95 % of renders", compute_share(copies), 0.05, None, count
        ),
        Measure("flux at token boundaries, over elsewhere", float(flux), float(real_flux)),
        Measure("sharpness, over renders'", float(sharp / real_sharp), 1.0, None, count),
    ]


def measure_sharpness(levels: FloatArray) -> float:
    """Return the mean difference of neighbouring bands of ``levels`` (frames, bands), in decades.

    It is low where harmonics smear.
    """
    return float(np.abs(np.diff(levels, axis=1)).mean())


def measure_grid_flux(levels: FloatArray, patch: int) -> float:
    """Return the median change at multiples of ``patch`` frames over that elsewhere.

    ``levels`` is (frames, bands).
    """
    change = np.abs(np.diff(levels, axis=0)).mean(1)
    at_boundary = (np.arange(1, len(levels)) % patch) == 0
    return float(np.median(change[at_boundary]) / max(1e-9, np.median(change[~at_boundary])))


def _select(
    rows: npt.NDArray[np.float64], labels: list[str], label: str
) -> npt.NDArray[np.float64]:
    return rows[[place for place, name in enumerate(labels) if name == label]]
