"""The judges of an evaluation, trained on renders of the training split and stored beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from safetensors.torch import save_file

from riffusion.training.corpus.dataset import Corpus
from riffusion.training.evaluation.harmony_judge import HarmonyJudge, train_harmony_judge
from riffusion.training.evaluation.judge_training import load_weights
from riffusion.training.evaluation.rhythm_judge import RhythmJudge, train_rhythm_judge
from riffusion.training.evaluation.style_judge import (
    StyleJudge,
    load_style_judge,
    save_style_judge,
    train_style_judge,
)

STYLE_STEPS = 3000
RHYTHM_STEPS = 2600
HARMONY_STEPS = 650


@dataclass(frozen=True)
class Judges:
    """The judges of style and lead instrument, of rhythm and of harmony."""

    style: StyleJudge
    rhythm: RhythmJudge
    harmony: HarmonyJudge


def load_judges(corpus: Path, folder: Path, steps: int | None = None) -> Judges:
    """Return the judges in ``folder``; train those that are missing and write them there.

    ``steps`` replaces the usual number of training steps. Raises ModelError where one is damaged.
    """
    train: Callable[[], Corpus] = cache(lambda: Corpus(corpus, "train"))
    style, rhythm, harmony = (
        folder / f"{name}.safetensors" for name in ("judge", "rhythm-judge", "harmony-judge")
    )
    folder.mkdir(parents=True, exist_ok=True)
    if not style.exists():
        save_style_judge(train_style_judge(train(), steps or STYLE_STEPS), style)
    if not rhythm.exists():
        save_file(train_rhythm_judge(train(), steps or RHYTHM_STEPS).state_dict(), rhythm)
    if not harmony.exists():
        save_file(train_harmony_judge(train(), steps or HARMONY_STEPS).state_dict(), harmony)
    judges = Judges(load_style_judge(style), RhythmJudge(), HarmonyJudge())
    load_weights(judges.rhythm, rhythm, "judge")
    load_weights(judges.harmony, harmony, "judge")
    return judges
