"""A clip that is generated ahead changes when it is there, and never what is heard."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import ClipRequest, LeadSheet
from riffusion.engines.prefetch import ClipTask, PrefetchingEngine, same_values
from riffusion.engines.protocol import Engine, EngineWrapper, Interrupted, never
from riffusion.jam.session import JamSession, render
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.spectrogram import Spectrogram
from tests.jamming import RATE, A, B, jam, settings_with

PATIENCE_S = 20
CHANGES: tuple[dict[str, Any], ...] = (
    {"position": 0.7, "path": "manual"},
    {"bpm": 97.0},
    {"key": "Am", "quantize": "beat"},
    {"chords": "Am F", "quantize": "loop", "loop": "4"},
    {"swing": 0.5},
)


class Counted(EngineWrapper):
    """An engine that counts the clips that it was asked for."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.begun = threading.Semaphore(0)
        self.count = 0

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Count the clip and generate it."""
        self.count += 1
        self.begun.release()
        return super().generate(requests, interrupted=interrupted)


def play_with_changes(
    session: JamSession,
    moves: Sequence[tuple[int, dict[str, Any], int]],
    prefetch: Callable[[ClipTask], object] | None,
) -> bytes:
    """Return the track after some blocks and changes, with clips ahead given to ``prefetch``."""
    with TrackFile(RATE, session.channels) as track:
        for blocks, changes, offset in (*moves, (12, {}, 0)):
            for _ in range(blocks):
                if prefetch is not None:
                    session.place_clip()
                    if task := session.prefetch():
                        prefetch(task)
                block = session.block()
                track.write(block.start, block.samples)
            session.change(changes, max(0, session.position + offset))
        return track.read(0, track.length).tobytes()


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(1, 25), st.sampled_from(CHANGES), st.integers(-4 * RATE, 4 * RATE)),
        max_size=2,
    ),
    st.integers(0, 3),
)
def test_a_track_has_the_same_samples_with_and_without_clips_made_ahead(
    tiny_engine: Engine, moves: list[tuple[int, dict[str, Any], int]], skipped: int
) -> None:
    """Some tasks are run, some are not, and some are stopped in the middle."""
    given_out = 0

    def some(task: ClipTask) -> None:
        nonlocal given_out
        given_out += 1
        if given_out % 4 != skipped:
            task.run()

    plain = play_with_changes(jam(tiny_engine), moves, None)
    assert play_with_changes(jam(tiny_engine), moves, some) == plain


def test_a_clip_ahead_is_used_once_and_dropped_where_the_change_asks_for_another(
    tiny_engine: Engine,
) -> None:
    engine = Counted(tiny_engine)
    session = jam(engine)
    session.place_clip()
    task = session.prefetch()
    assert task is not None
    assert session.prefetch() is None
    task.run()
    assert engine.count == 2
    placed = session.placed
    while session.placed == placed:
        session.block()
    assert engine.count == 2, "the clip was there"
    stale = session.prefetch()
    assert stale is not None
    session.change({"prompt_a": B}, not_before=session.placed)
    fresh = session.prefetch()
    assert fresh is not None
    with pytest.raises(Interrupted):
        stale.run()
    assert fresh.request.start.text == B.text


def test_clips_of_fine_quality_are_not_made_ahead(tiny_engine: Engine) -> None:
    session = jam(tiny_engine, quality="fine")
    session.block()
    assert session.prefetch() is None


def test_a_clip_is_generated_while_the_one_before_is_vocoded(tiny_engine: Engine) -> None:
    """The vocoder waits for the next clip to be begun, which one after the other would be never."""
    engine = Counted(tiny_engine)
    overlaps = []

    def vocoder(spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        if prefix is None:
            assert engine.begun.acquire(timeout=PATIENCE_S)  # the first clip itself
            overlaps.append(engine.begun.acquire(timeout=PATIENCE_S))
        return griffin_lim(spectrogram, prefix=prefix, iterations=1)

    session = JamSession(engine, settings_with(), vocoder=vocoder)
    samples = [block.samples for block in render(session, 9 * RATE)]
    assert overlaps == [True]
    assert engine.count == 3, "no clip is made that is not needed: two bars each, five in all"
    plain = jam(tiny_engine)
    alone = [plain.block(until=9 * RATE).samples for _ in samples]
    np.testing.assert_array_equal(np.concatenate(samples, 1), np.concatenate(alone, 1))


def test_a_task_fails_for_whoever_needs_its_clip(tiny_engine: Engine) -> None:
    class Failing(EngineWrapper):
        def generate(
            self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
        ) -> list[Spectrogram]:
            if requests[0].context is not None:
                raise RuntimeError("out of memory")
            return super().generate(requests, interrupted=interrupted)

    blocks = render(jam(Failing(tiny_engine)), 20 * RATE)
    assert next(blocks).start == 0
    with pytest.raises(RuntimeError, match="out of memory"):
        list(blocks)


def test_a_cancelled_task_stops_between_two_steps(tiny_engine: Engine) -> None:
    engine = PrefetchingEngine(tiny_engine)
    request = ClipRequest(A, A, steps=50)
    first = engine.prefetch(request)
    asked = 0

    def stop_soon() -> bool:
        nonlocal asked
        asked += 1
        if asked == 4:
            engine.prefetch(replace(request, steps=1))
        return False

    with pytest.raises(Interrupted):
        first.run(stop_soon)
    assert asked == 4


def changed_somewhere(request: ClipRequest) -> list[ClipRequest]:
    """Return requests that differ from one in a single value."""
    assert request.lead_sheet is not None
    assert request.context is not None
    assert request.anchor is not None
    assert request.mask is not None
    beats, magnitudes = request.lead_sheet.beats.copy(), request.context.magnitudes.clone()
    beats[3] += 1e-9
    magnitudes[0, 0, 0] += 1
    mask = request.mask.copy()
    mask[-1, -1] = 1 - mask[-1, -1]
    return [
        replace(request, lead_sheet=replace(request.lead_sheet, beats=beats)),
        replace(request, context=replace(request.context, magnitudes=magnitudes)),
        replace(request, mask=mask),
        replace(request, anchor=None, mask=None),
        replace(request, start=B),
        replace(request, bpm=120.5),
        replace(request, quality="fine"),
    ]


def test_requests_are_the_same_where_every_value_is(tiny_engine: Engine) -> None:
    shape = (1, tiny_engine.params.mel_bands, tiny_engine.frames)
    make = partial(
        ClipRequest, A, A, bpm=120.0, mask=np.ones(shape[1:], np.float32), quality="live"
    )

    def request() -> ClipRequest:
        context = Spectrogram(torch.ones(1, shape[1], 8), tiny_engine.params)
        anchor = Spectrogram(torch.ones(shape), tiny_engine.params)
        sheet = LeadSheet(np.arange(512.0), 4, np.zeros((512, 12), np.float32))
        return make(context=context, anchor=anchor, lead_sheet=sheet)

    assert same_values(request(), request())
    for other in changed_somewhere(request()):
        assert not same_values(request(), other)
