"""Rows about chords and key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from riffusion.training.corpus.shards import song_key
from riffusion.training.evaluation.harmony_judge import Harmony, HarmonyJudge
from riffusion.training.evaluation.measures.row import Measure
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.samples import Jam, Sample

Key = tuple[int, str]


def chord_rows(judge: HarmonyJudge, test: Renders, samples: Sequence[Sample]) -> list[Measure]:
    """Whether the chords asked for fit better than any transposition of them."""
    moved = [judge.listen(s.levels).moved(s.lead_sheet.chroma) for s in samples]
    best = [judge.listen(test.levels(n)).moved(test.lead_sheet(n).chroma) for n in pitched(test)]
    value, ceiling = (float(np.mean(np.array(group) == 0)) for group in (moved, best))
    return [Measure("asked transposition first of 12", value, ceiling, 1 / 12, len(samples))]


def key_rows(judge: HarmonyJudge, long_test: Renders, jams: Sequence[Jam]) -> list[Measure]:
    """The key of whole jams, against as long windows of renders."""
    generated = [_agrees(judge.listen(jam.levels), jam.asked.tonic) for jam in jams]
    renders = [
        _agrees(judge.listen(long_test.levels(n)), song_key(long_test.song(n)))
        for n in pitched(long_test)
    ]
    (tonic, both), (best_tonic, best_both) = (np.mean(x, axis=0) for x in (generated, renders))
    return [
        Measure("tonic asked for, 20 s", tonic, best_tonic, 1 / 12, len(jams)),
        Measure("tonic and mode asked for, 20 s", both, best_both, 1 / 24, len(jams)),
    ]


def pitched(renders: Renders) -> list[int]:
    """Windows of songs that are more than drums."""
    return [n for n in range(len(renders)) if renders.song(n).programs]


def _agrees(heard: Harmony, key: Key) -> tuple[bool, bool]:
    return heard.tonic == key[0], heard.key == key
