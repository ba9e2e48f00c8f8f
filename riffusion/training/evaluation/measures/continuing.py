"""Rows about a clip that continues another: is the beat where it was, and the key?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from riffusion.engines.clip import LeadSheet
from riffusion.training.corpus.dataset import FloatArray
from riffusion.training.evaluation.harmony_judge import HarmonyJudge
from riffusion.training.evaluation.judges import Judges
from riffusion.training.evaluation.measures.harmony import pitched
from riffusion.training.evaluation.measures.row import Measure, share
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.rhythm_judge import RhythmJudge, offset_s
from riffusion.training.evaluation.samples import Jam

# Frames before and after a bar line, each side heard by itself; a key takes longer to tell.
BEAT_AROUND, KEY_AROUND = 400, 800
IN_TIME_S = 0.025


@dataclass(frozen=True)
class Crossing:
    """A bar line with sound on both sides."""

    levels: FloatArray
    lead_sheet: LeadSheet
    bpm: float
    frame: int

    def sides(self, around: int) -> tuple[slice, slice]:
        return slice(self.frame - around, self.frame), slice(self.frame, self.frame + around)

    def jump_s(self, judge: RhythmJudge) -> float:
        """By how many seconds the beat is elsewhere behind the bar line."""
        before, after = (
            offset_s(judge.listen(self.levels[side]).pulse, self.lead_sheet.beats[side], self.bpm)
            for side in self.sides(BEAT_AROUND)
        )
        beat_s = 60 / self.bpm
        return abs((after - before + beat_s / 2) % beat_s - beat_s / 2)

    def key_is_kept(self, judge: HarmonyJudge) -> bool:
        """Whether both sides stand in the same transposition of the chords asked for."""
        before, after = (
            judge.listen(self.levels[side]).moved(self.lead_sheet.chroma[side])
            for side in self.sides(KEY_AROUND)
        )
        return before == after


def continuing_rows(
    judges: Judges, long_test: Renders, jams: Sequence[Jam], drummed: Collection[str]
) -> list[Measure]:
    """Where clips of jams meet, against bar lines of renders."""
    seams = [crossing for jam in jams for crossing in seams_of(jam, KEY_AROUND)]
    kept, usually_kept = (
        [crossing.key_is_kept(judges.harmony) for crossing in group]
        for group in (seams, [bar_line(long_test, n) for n in pitched(long_test)])
    )
    rows = [Measure("continued: key kept", share(kept), share(usually_kept), 1 / 12, len(seams))]
    drumming = [jam for jam in jams if jam.asked.prompt in drummed]
    beating = [crossing for jam in drumming for crossing in seams_of(jam, BEAT_AROUND)]
    return [*_beat_rows(judges.rhythm, long_test, beating), *rows] if beating else rows


def _beat_rows(
    judge: RhythmJudge, long_test: Renders, beating: Sequence[Crossing]
) -> list[Measure]:
    """How far the beat moves at seams with drums."""
    drums = [n for n in range(len(long_test)) if long_test.song(n).drum_hits_per_s]
    jumps, usual = (
        np.array([crossing.jump_s(judge) for crossing in group])
        for group in (beating, [bar_line(long_test, n) for n in drums])
    )
    by_chance = 2 * IN_TIME_S * float(np.mean([crossing.bpm for crossing in beating])) / 60
    return [
        Measure(
            "continued: beat moves under 25 ms",
            share(jumps < IN_TIME_S),
            share(usual < IN_TIME_S),
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


def seams_of(jam: Jam, around: int) -> list[Crossing]:
    """The seams of a jam that have ``around`` frames of sound on both sides."""
    return [
        Crossing(jam.levels, jam.lead_sheet, jam.asked.bpm, frame)
        for frame in jam.seams
        if around <= frame <= len(jam.levels) - around
    ]


def bar_line(renders: Renders, place: int) -> Crossing:
    """The first bar line behind the middle of a window."""
    sheet = renders.lead_sheet(place)
    bars = np.floor(sheet.beats / sheet.beats_per_bar)
    middle = renders.frames // 2
    frame = middle + 1 + int(np.argmax(np.diff(bars[middle:]) > 0))
    return Crossing(renders.levels(place), sheet, renders.song(place).bpm, frame)
