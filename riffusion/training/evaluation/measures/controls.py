"""Rows about density, brightness and drums: does more of what is asked give more?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffusion.training.corpus.dataset import FloatArray, brightness
from riffusion.training.corpus.shards import Song
from riffusion.training.evaluation import comparing
from riffusion.training.evaluation.measures.row import Measure
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.rhythm_judge import RhythmJudge
from riffusion.training.evaluation.samples import Studio, ask, with_controls

CONTROLLED = ("rock", "house", "jazz", "bossa nova", "pop", "funk")
VALUES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
DRAWS = 200


@dataclass(frozen=True)
class Control:
    """How a control is measured in a clip, and in the score of a song where that tells it."""

    name: str
    measure: Callable[[RhythmJudge, FloatArray], float]
    known: Callable[[Song], float] | None


CONTROLS = (
    Control("density", lambda judge, x: judge.listen(x).onsets_per_s, lambda s: s.onsets_per_s),
    Control("brightness", lambda _, x: brightness(x), None),
    Control("drums", lambda judge, x: judge.listen(x).drum_hits_per_s, lambda s: s.drum_hits_per_s),
)


def control_rows(judge: RhythmJudge, studio: Studio, test: Renders, seeds: int) -> list[Measure]:
    """Rank correlation of each control's value with what it should change."""
    rows = []
    for control in CONTROLS:
        base = ask([(style, ()) for style in CONTROLLED], seeds)
        asked = [one for each in base for one in with_controls(each, control.name, tuple(VALUES))]
        samples = studio.clips(asked, control.name)
        found = np.array([control.measure(judge, s.levels) for s in samples]).reshape(
            -1, len(VALUES)
        )
        fits = [comparing.rank_correlation(VALUES, row) for row in found]
        label = f"{control.name}: rank correlation, mean"
        best = ceiling(control, judge, test)
        rows.append(Measure(label, float(np.mean(fits)), best, 0.0, len(samples)))
    return rows


def ceiling(control: Control, judge: RhythmJudge, test: Renders) -> float:
    """The same of five renders that lie where the five values do among all renders: what was
    written in their scores against what is measured. 1 where the score does not tell."""
    if control.known is None:
        return 1.0
    known = np.array([control.known(test.song(place)) for place in range(len(test))])
    measured = np.array([control.measure(judge, test.levels(place)) for place in range(len(test))])
    return rank_agreement(known, measured)


def rank_agreement(known: npt.NDArray[np.float64], measured: npt.NDArray[np.float64]) -> float:
    """Mean rank correlation over sets of five, one from each fifth of ``known``."""
    fifths = np.array_split(np.argsort(known, kind="stable"), len(VALUES))
    rng = np.random.default_rng(0)
    draws = [[int(rng.choice(fifth)) for fifth in fifths] for _ in range(DRAWS)]
    return float(np.mean([comparing.rank_correlation(VALUES, measured[draw]) for draw in draws]))
