"""Denoiser and vocoder work at the same time, each for one stream at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.live.scheduler import EngineStages, Priority
from riffusion.live.stream import JamStream
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.spectrogram import Spectrogram
from tests.streaming import (
    RATE,
    Listener,
    assert_replays,
    change,
    open_jam,
    open_registry,
    position_of,
    run,
    seconds,
    until,
)

PATIENCE_S = 10
# One waits so long for the other, which in vain comes to less than the test may take.
MEETING_S = 0.5


class Watched(EngineWrapper):
    """An engine that counts how many clips and how many pieces are in the making.

    With ``meet`` a piece that continues a clip waits until a clip is in the making too.
    """

    def __init__(self, engine: Engine, *, meet: bool = False) -> None:
        super().__init__(engine)
        self.denoising = self.vocoding = 0
        self.most_denoising = self.most_vocoding = self.met = 0
        self.meet = meet
        self._news = threading.Condition()
        self.vocoder = self.live_vocoder = self._vocode

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate clips, and count them meanwhile."""
        with self._news:
            self.denoising += 1
            self.most_denoising = max(self.most_denoising, self.denoising)
            self._news.notify_all()
            if self.meet and requests[0].context is not None:
                self._wait_for(lambda: self.vocoding > 0)
        try:
            return super().generate(requests, interrupted=interrupted)
        finally:
            with self._news:
                self.denoising -= 1

    def _wait_for(self, other: Callable[[], bool]) -> None:
        met = self._news.wait_for(other, MEETING_S)
        self.met += met

    def _vocode(self, spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        with self._news:
            self.vocoding += 1
            self.most_vocoding = max(self.most_vocoding, self.vocoding)
            self._news.notify_all()
            if self.meet:
                self._wait_for(lambda: self.denoising > 0)
        try:
            return griffin_lim(spectrogram, prefix=prefix, iterations=1)
        finally:
            with self._news:
                self.vocoding -= 1


def test_a_stream_that_fills_its_lead_generates_and_vocodes_at_once(tiny_engine: Engine) -> None:
    engine = Watched(tiny_engine)

    async def test() -> None:
        async with open_registry(engine, lead_s=600) as registry:
            stream = await open_jam(registry)
            listener = Listener(stream, speed=0)
            hearing = asyncio.create_task(listener.listen(lambda me: False))
            await until(lambda: position_of(stream) > 4 * RATE)
            engine.meet = True
            await until(lambda: engine.met >= 4)
            engine.meet = False
            stream.stop()
            await hearing
            await assert_replays(engine, stream)

    run(test())


def test_two_streams_take_turns_and_no_stage_has_two_at_a_time(tiny_engine: Engine) -> None:
    engine = Watched(tiny_engine)

    async def test() -> None:
        async with open_registry(engine, lead_s=600) as registry:
            streams = [await open_jam(registry, seed_a=seed) for seed in (1, 2)]
            hearing = [
                asyncio.create_task(Listener(stream, speed=0).listen(lambda me: False))
                for stream in streams
            ]
            await until(lambda: min(map(position_of, streams)) > 30 * RATE)
            one, two = map(position_of, streams)
            assert abs(one - two) < 12 * RATE
            for stream in streams:
                stream.stop()
            await asyncio.gather(*hearing)

    run(test())
    assert engine.most_denoising == engine.most_vocoding == 1


def test_a_change_drops_the_clip_ahead_and_is_replayed(tiny_engine: Engine) -> None:
    """Changes come at any moment of the pipeline."""

    def is_heard(stream: JamStream, prompt: str) -> bool:
        mark = stream.mark_at(position_of(stream))
        return mark is not None and mark.prompt_a == prompt

    async def test() -> None:
        async with open_registry(tiny_engine, lead_s=600) as registry:
            stream = await open_jam(registry)
            hearing = asyncio.create_task(Listener(stream).listen(lambda me: False))
            for number in range(12):
                await asyncio.sleep(0.037 * number)
                await stream.receive(change(a=f"techno {number}", quantize="beat"))
                await until(lambda number=number: is_heard(stream, f"techno {number}"))
            stream.stop()
            await hearing
            await assert_replays(tiny_engine, stream)

    run(test())


def test_one_off_work_waits_until_no_stream_needs_a_stage() -> None:
    async def test() -> None:
        stages, order = EngineStages(), []

        async def one_off() -> None:
            async with stages.take_both(PATIENCE_S):
                order.append("clip")

        waiting = asyncio.create_task(one_off())
        for turn in range(3):
            with stages.turn():
                # Between its two stages a stream holds none.
                async with stages.denoiser.take(lambda: Priority.LEAD):
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.01)
                async with stages.vocoder.take(lambda: Priority.LEAD):
                    order.append(f"turn {turn}")
        await waiting
        assert order == ["turn 0", "turn 1", "turn 2", "clip"]
        with stages.turn(), pytest.raises(TimeoutError):
            async with stages.take_both(0.05):
                pass

    run(test())


def test_a_stream_waits_for_one_off_work_that_has_begun(tiny_engine: Engine) -> None:
    engine = Watched(tiny_engine)

    async def test() -> None:
        async with open_registry(engine) as registry:
            go_on = threading.Event()
            one_off = asyncio.create_task(registry.run_one_off(lambda: go_on.wait(PATIENCE_S)))
            await asyncio.sleep(0.05)
            stream = await open_jam(registry)
            await asyncio.sleep(0.1)
            assert engine.most_denoising == 0
            go_on.set()
            assert await one_off
            await Listener(stream).listen(seconds(1))

    run(test())
