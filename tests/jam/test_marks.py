"""The marks of clips say what sounds, and from which bar line on it sounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from riffusion.audio.mastering import Mastering
from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.jam.block import ClipMark
from riffusion.jam.session import JamSession, render
from riffusion.jam.stitcher import CROSSFADE_S, HANDOVER_S
from riffusion.music.harmony import parse_chords
from riffusion.music.rhythm import BarGrid
from riffusion.spectral.spectrogram import Spectrogram
from tests.jamming import HOP, RATE, jam, settings_with
from tests.recording import RecordedEngine

REACH = round((CROSSFADE_S + HANDOVER_S) * RATE)
# Without gain and limit, so that the level of a sample says which clip it is of.
BARE = Mastering(ceiling=1e9, min_gain=1.0, max_gain=1.0)


class NumberedEngine(EngineWrapper):
    """An engine whose n-th clip, from 1, has the magnitude n everywhere."""

    count = 0

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        shape = (self.channels, self.params.mel_bands, self.frames)
        first, self.count = self.count + 1, self.count + len(requests)
        return [
            Spectrogram(torch.full(shape, float(number)), self.params)
            for number in range(first, self.count + 1)
        ]


def play_level(spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
    """Vocode a spectrogram as a constant: the magnitude of its last frame, divided by 100."""
    shape = (spectrogram.channels, spectrogram.params.samples(spectrogram.frames))
    level = float(spectrogram.magnitudes[0, 0, -1]) / 100
    return Waveform(np.full(shape, level, np.float32), RATE)


@pytest.mark.parametrize(("bpm", "beats"), [(97.0, 4), (150.0, 3), (120.0, 4)])
def test_the_sound_of_a_clip_begins_on_the_beat_of_its_mark(
    tiny_engine: Engine, bpm: float, beats: int
) -> None:
    settings = settings_with(bpm=bpm, beats_per_bar=beats)
    session = JamSession(NumberedEngine(tiny_engine), settings, vocoder=play_level, mastering=BARE)
    blocks = list(render(session, 14 * RATE))
    numbers = np.concatenate([block.samples for block in blocks], axis=1)[0] * 100
    grid = BarGrid(RATE, bpm, beats)
    marks = list(dict.fromkeys(block.clip for block in blocks))
    assert len(marks) >= 3
    for mark in marks[1:]:
        line = grid.beat_sample(mark.bar, int(mark.beat))
        assert numbers[line] == pytest.approx(mark.index + 1, abs=0.01)
        assert numbers[line - REACH - 1] == pytest.approx(mark.index, abs=0.01)


def test_a_mark_names_the_chords_that_the_engine_was_asked_for(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, bpm=140, chords="Am F C G E")
    marks: list[ClipMark] = list(dict.fromkeys(b.clip for b in render(session, 14 * RATE)))
    grid = BarGrid(RATE, 140)
    assert len(marks) >= 3
    for mark, request in zip(marks, engine.requests, strict=True):
        assert request.lead_sheet is not None
        first_frame = mark.start_sample // HOP - (request.context.frames if request.context else 0)
        # Three clips of 7, 7 and 6 beats.
        assert (mark.bar % 5, mark.beat, len(mark.chords)) in [(0, 0, 2), (1, 3, 3), (3, 2, 2)]
        for bar, name in enumerate(mark.chords, start=mark.bar):
            frame = -(-grid.bar_sample(bar) // HOP) - first_frame
            (chord,) = parse_chords(name)
            assert np.array_equal(request.lead_sheet.chroma[frame], chord.chroma())
            position = request.lead_sheet.beats[frame] / 4
            assert position == pytest.approx(bar, abs=0.01)


def test_a_mark_after_a_change_counts_on_from_it(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    at = session.change({"bpm": 90, "chords": "Dm E"}, not_before=3 * RATE)
    marks = list(dict.fromkeys(block.clip for block in render(session, 12 * RATE)))
    after = next(mark for mark in marks if mark.start_sample == at)
    assert (after.bar, after.bpm, after.chords[0]) == (2, 90, "Dm")
