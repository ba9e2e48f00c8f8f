"""Rows about tempo and beat."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from riffusion.training.evaluation.measures.row import Measure, compute_share
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.rhythm_judge import (
    RhythmJudge,
    match_tempi,
    measure_offset_s,
    measure_tempo,
)
from riffusion.training.evaluation.samples import Sample

IN_TIME_S = 0.03
DRUMMED_SHARE = 0.7


def find_drummed_styles(train: Renders) -> frozenset[str]:
    """Return the styles in which most songs have drums."""
    hits: dict[str, list[bool]] = {}
    for song in train.corpus.songs:
        hits.setdefault(song.style, []).append(song.drum_hits_per_s > 0)
    return frozenset(style for style, drums in hits.items() if np.mean(drums) > DRUMMED_SHARE)


def measure_rhythm(
    judge: RhythmJudge, test: Renders, samples: Sequence[Sample], drummed: Collection[str]
) -> list[Measure]:
    """Measure tempo and beat in the styles with drums, with renders with drums as the ceiling."""
    clips = [sample for sample in samples if sample.request.prompt in drummed]
    places = [
        n
        for n in range(len(test))
        if test.song(n).drum_hits_per_s and test.song(n).style in drummed
    ]
    generated = [(s.levels, s.lead_sheet.beats, s.request.bpm) for s in clips]
    renders = [(test.levels(n), test.lead_sheet(n).beats, test.song(n).bpm) for n in places]
    heard, best = (
        [(judge.predict(levels).pulse, beats, bpm) for levels, beats, bpm in group]
        for group in (generated, renders)
    )
    (exact, loose), (best_exact, best_loose) = (
        np.mean([match_tempi(bpm, measure_tempo(pulse)) for pulse, _, bpm in group], axis=0)
        for group in (heard, best)
    )
    late, best_late = (np.abs([measure_offset_s(*one) for one in group]) for group in (heard, best))
    in_time, best_in_time = late < IN_TIME_S, best_late < IN_TIME_S
    by_chance = 2 * IN_TIME_S * float(np.mean([bpm for *_, bpm in heard])) / 60
    count = len(clips)
    return [
        Measure("tempo within 4 %", exact, best_exact, 0.08, count),
        Measure("tempo or a multiple", loose, best_loose, 0.4, count),
        Measure(
            "beat within 30 ms of asked",
            compute_share(in_time),
            compute_share(best_in_time),
            by_chance,
            count,
        ),
        Measure(
            "beat off by, ms, median",
            1000 * float(np.median(late)),
            1000 * float(np.median(best_late)),
            None,
            count,
        ),
    ]
