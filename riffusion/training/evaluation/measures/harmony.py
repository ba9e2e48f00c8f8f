"""Rows about chords and key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from riffusion.training.corpus.shards import find_key
from riffusion.training.evaluation.harmony_judge import Harmony, HarmonyJudge
from riffusion.training.evaluation.measures.row import Measure
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.samples import Jam, Sample

Key = tuple[int, str]


def measure_chords(judge: HarmonyJudge, test: Renders, samples: Sequence[Sample]) -> list[Measure]:
    """Measure whether the asked chords fit better than any transposition of them."""
    moved = [judge.predict(s.levels).find_transposition(s.lead_sheet.chroma) for s in samples]
    best = [
        judge.predict(test.levels(n)).find_transposition(test.lead_sheet(n).chroma)
        for n in find_pitched(test)
    ]
    value, ceiling = (float(np.mean(np.array(group) == 0)) for group in (moved, best))
    return [Measure("asked transposition first of 12", value, ceiling, 1 / 12, len(samples))]


def measure_keys(judge: HarmonyJudge, long_test: Renders, jams: Sequence[Jam]) -> list[Measure]:
    """Measure the key of whole jams, with windows of renders of that length as the ceiling."""
    generated = [_compare_keys(judge.predict(jam.levels), jam.request.parsed_key) for jam in jams]
    renders = [
        _compare_keys(judge.predict(long_test.levels(n)), find_key(long_test.song(n)))
        for n in find_pitched(long_test)
    ]
    (tonic, both), (best_tonic, best_both) = (np.mean(x, axis=0) for x in (generated, renders))
    return [
        Measure("tonic asked for, 20 s", tonic, best_tonic, 1 / 12, len(jams)),
        Measure("tonic and mode asked for, 20 s", both, best_both, 1 / 24, len(jams)),
    ]


def find_pitched(renders: Renders) -> list[int]:
    """Return the windows of songs that have more than drums."""
    return [n for n in range(len(renders)) if renders.song(n).programs]


def _compare_keys(estimate: Harmony, key: Key) -> tuple[bool, bool]:
    return estimate.tonic == key[0], estimate.key == key
