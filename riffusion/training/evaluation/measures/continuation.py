"""Rows about clips that continue another: whether the beat stays where it was, and the key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from riffusion.engines.clip import LeadSheet
from riffusion.training.corpus.features import FloatArray
from riffusion.training.evaluation.harmony_judge import HarmonyJudge
from riffusion.training.evaluation.judges import Judges
from riffusion.training.evaluation.measures.harmony import find_pitched
from riffusion.training.evaluation.measures.row import Measure, compute_share
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.rhythm_judge import RhythmJudge, measure_offset_s
from riffusion.training.evaluation.samples import Jam

# Each side of a bar line is judged by itself, in so many frames; a key takes longer to recognise.
BEAT_AROUND, KEY_AROUND = 400, 800
IN_TIME_S = 0.025


@dataclass(frozen=True)
class BarLinePassage:
    """Frames on both sides of a bar line, which is at ``frame``."""

    levels: FloatArray
    lead_sheet: LeadSheet
    bpm: float
    frame: int

    def sides(self, around: int) -> tuple[slice, slice]:
        """Return the slices of ``around`` frames before and after the bar line."""
        return slice(self.frame - around, self.frame), slice(self.frame, self.frame + around)

    def measure_jump_s(self, judge: RhythmJudge) -> float:
        """Return by how many seconds the beat moves at the bar line, at most half a beat."""
        before, after = (
            measure_offset_s(
                judge.predict(self.levels[side]).pulse, self.lead_sheet.beats[side], self.bpm
            )
            for side in self.sides(BEAT_AROUND)
        )
        beat_s = 60 / self.bpm
        return abs((after - before + beat_s / 2) % beat_s - beat_s / 2)

    def keeps_key(self, judge: HarmonyJudge) -> bool:
        """Return whether both sides have the same transposition of the asked chords."""
        before, after = (
            judge.predict(self.levels[side]).find_transposition(self.lead_sheet.chroma[side])
            for side in self.sides(KEY_AROUND)
        )
        return before == after


def measure_continuation(
    judges: Judges, long_test: Renders, jams: Sequence[Jam], drummed: Collection[str]
) -> list[Measure]:
    """Measure the joins between clips of jams, with bar lines of renders as the ceiling."""
    seams = [crossing for jam in jams for crossing in find_seams(jam, KEY_AROUND)]
    kept, usually_kept = (
        [crossing.keeps_key(judges.harmony) for crossing in group]
        for group in (seams, [find_bar_line(long_test, n) for n in find_pitched(long_test)])
    )
    rows = [
        Measure(
            "continued: key kept",
            compute_share(kept),
            compute_share(usually_kept),
            1 / 12,
            len(seams),
        )
    ]
    drumming = [jam for jam in jams if jam.request.prompt in drummed]
    beating = [crossing for jam in drumming for crossing in find_seams(jam, BEAT_AROUND)]
    return [*_measure_beat(judges.rhythm, long_test, beating), *rows] if beating else rows


def _measure_beat(
    judge: RhythmJudge, long_test: Renders, beating: Sequence[BarLinePassage]
) -> list[Measure]:
    """Measure how far the beat moves at joins with drums."""
    drums = [n for n in range(len(long_test)) if long_test.song(n).drum_hits_per_s]
    jumps, usual = (
        np.array([crossing.measure_jump_s(judge) for crossing in group])
        for group in (beating, [find_bar_line(long_test, n) for n in drums])
    )
    by_chance = 2 * IN_TIME_S * float(np.mean([crossing.bpm for crossing in beating])) / 60
    return [
        Measure(
            "continued: beat moves under 25 ms",
            compute_share(jumps < IN_TIME_S),
            compute_share(usual < IN_TIME_S),
            by_chance,
            len(beating),
        ),
        Measure(
            "continued: beat moves by, ms, median",
            1000 * float(np.median(jumps)),
            1000 * float(np.median(usual)),
            None,
            len(beating),
        ),
    ]


def find_seams(jam: Jam, around: int) -> list[BarLinePassage]:
    """Return the joins between clips of a jam that have ``around`` frames on both sides."""
    return [
        BarLinePassage(jam.levels, jam.lead_sheet, jam.request.bpm, frame)
        for frame in jam.seams
        if around <= frame <= len(jam.levels) - around
    ]


def find_bar_line(renders: Renders, place: int) -> BarLinePassage:
    """Return the first bar line after the middle of a window."""
    sheet = renders.lead_sheet(place)
    bars = np.floor(sheet.beats / sheet.beats_per_bar)
    middle = renders.frames // 2
    frame = middle + 1 + int(np.argmax(np.diff(bars[middle:]) > 0))
    return BarLinePassage(renders.levels(place), sheet, renders.song(place).bpm, frame)
