"""Rows about density, brightness and drums: whether more of a control gives more of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffusion.training.corpus.features import FloatArray, measure_brightness
from riffusion.training.corpus.shards import Song
from riffusion.training.evaluation import embedding_statistics
from riffusion.training.evaluation.measures.row import Measure
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.rhythm_judge import RhythmJudge
from riffusion.training.evaluation.samples import SampleGenerator, make_requests, vary_control

CONTROLLED = ("rock", "house", "jazz", "bossa nova", "pop", "funk")
VALUES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
DRAWS = 200


@dataclass(frozen=True)
class Control:
    """A control is measured in a clip, and in the score of a song where that is possible."""

    name: str
    measure: Callable[[RhythmJudge, FloatArray], float]
    known: Callable[[Song], float] | None


CONTROLS = (
    Control("density", lambda judge, x: judge.predict(x).onsets_per_s, lambda s: s.onsets_per_s),
    Control("brightness", lambda _, x: measure_brightness(x), None),
    Control(
        "drums", lambda judge, x: judge.predict(x).drum_hits_per_s, lambda s: s.drum_hits_per_s
    ),
)


def measure_controls(
    judge: RhythmJudge, generator: SampleGenerator, test: Renders, seeds: int
) -> list[Measure]:
    """Measure the rank correlation of the value of each control with its effect."""
    rows = []
    for control in CONTROLS:
        base = make_requests([(style, ()) for style in CONTROLLED], seeds)
        asked = [one for each in base for one in vary_control(each, control.name, tuple(VALUES))]
        samples = generator.clips(asked, control.name)
        found = np.array([control.measure(judge, s.levels) for s in samples]).reshape(
            -1, len(VALUES)
        )
        fits = [embedding_statistics.rank_correlation(VALUES, row) for row in found]
        label = f"{control.name}: rank correlation, mean"
        best = measure_ceiling(control, judge, test)
        rows.append(Measure(label, float(np.mean(fits)), best, 0.0, len(samples)))
    return rows


def measure_ceiling(control: Control, judge: RhythmJudge, test: Renders) -> float:
    """Return the rank correlation of what renders' scores say with what is measured in the renders.

    It is that of sets of five renders, as far apart as the five values of the control. It is 1
    where the score does not say.
    """
    if control.known is None:
        return 1.0
    known = np.array([control.known(test.song(place)) for place in range(len(test))])
    measured = np.array([control.measure(judge, test.levels(place)) for place in range(len(test))])
    return measure_rank_agreement(known, measured)


def measure_rank_agreement(
    known: npt.NDArray[np.float64], measured: npt.NDArray[np.float64]
) -> float:
    """Return the mean rank correlation over sets of five, one from each fifth of ``known``."""
    fifths = np.array_split(np.argsort(known, kind="stable"), len(VALUES))
    rng = np.random.default_rng(0)
    draws = [[int(rng.choice(fifth)) for fifth in fifths] for _ in range(DRAWS)]
    return float(
        np.mean([embedding_statistics.rank_correlation(VALUES, measured[draw]) for draw in draws])
    )
