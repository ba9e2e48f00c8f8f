"""Where the time of a jam goes: seconds of each stage, whichever thread they are spent in."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from benchmarks.options import PROMPT_A, PROMPT_B
from riffusion.audio.mastering import Mastering, master, start_master
from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.jam.block import Samples
from riffusion.jam.session import BLOCK_S, JamSession, JamSettings, render
from riffusion.spectral.spectrogram import Spectrogram
from riffusion.vocoder.protocol import StreamingVocoder, Vocoder

STAGES = ("denoise", "vocode", "stitch", "master", "write")


@dataclass
class Clock:
    """Seconds spent in each named stage, summed over threads, and processor time by thread.

    Stages of different threads run at once, so their sum may be more than the time that passed.
    """

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    worked: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to the stage ``name``."""
        start, worked = time.perf_counter(), time.thread_time()
        yield
        with self.lock:
            self.spent[name] += time.perf_counter() - start
            self.worked[threading.get_ident()] += time.thread_time() - worked


class TimedEngine(EngineWrapper):
    """An engine whose ``generate`` and whose vocoders are timed."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        super().__init__(engine)
        self._clock = clock
        self.vocoder = time_vocoder(engine.vocoder, clock)
        self.live_vocoder = time_vocoder(engine.live_vocoder, clock)

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate the clips of the engine, and add their time to the stage ``denoise``."""
        with self._clock.stage("denoise"):
            return super().generate(requests, interrupted=interrupted)


class TimedVocoder:
    """A vocoder that adds its time to the stage ``vocode``."""

    def __init__(self, vocoder: Vocoder, clock: Clock) -> None:
        self._vocoder, self._clock = vocoder, clock

    def __call__(self, spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        """Return what the vocoder returns."""
        with self._clock.stage("vocode"):
            return self._vocoder(spectrogram, prefix=prefix)


class TimedStreamingVocoder(TimedVocoder):
    """The same for a vocoder that streams."""

    def __init__(self, vocoder: StreamingVocoder, clock: Clock) -> None:
        super().__init__(vocoder, clock)
        self._streaming = vocoder

    def stream(self, spectrogram: Spectrogram, *, prefix: Waveform | None) -> Iterator[Samples]:
        """Yield what the vocoder yields."""
        pieces = self._streaming.stream(spectrogram, prefix=prefix)
        while True:
            with self._clock.stage("vocode"):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece


def time_vocoder(vocoder: Vocoder, clock: Clock) -> Vocoder:
    """Return a vocoder that adds its time to the stage ``vocode``, and streams if it does."""
    if isinstance(vocoder, StreamingVocoder):
        return TimedStreamingVocoder(vocoder, clock)
    return TimedVocoder(vocoder, clock)


def profile_jam(engine: Engine, seconds: float, bpm: float, key: str) -> dict[str, float]:
    """Write a track of ``seconds`` to a file and return the seconds of each stage.

    The time that passed is that of ``all``. What is left of this thread's processor time goes to
    stitching and the master, whose own part is measured again on the track alone.
    """
    clock, pieces = Clock(), list[Samples]()
    settings = JamSettings(Prompt(PROMPT_A, 1), Prompt(PROMPT_B, 2), bpm=bpm, key=key)
    start, worked = time.perf_counter(), time.thread_time()
    session = JamSession(TimedEngine(engine, clock), settings)
    total = round(seconds * session.sample_rate)
    with TrackFile(session.sample_rate, session.channels) as track:
        for block in render(session, total):
            with clock.stage("write"):
                track.write(block.start, block.samples)
            pieces.append(block.samples)
    elapsed = time.perf_counter() - start
    rest = time.thread_time() - worked - clock.worked[threading.get_ident()]
    session.close()
    mastering = time_master(np.concatenate(pieces, axis=1), session.sample_rate)
    stitching = max(0.0, rest - mastering)
    return {**clock.spent, "stitch": stitching, "master": mastering, "all": elapsed}


def time_master(samples: Samples, sample_rate: int) -> float:
    """Return the seconds of processor time in which a track (channels, n) is mastered by blocks."""
    state = start_master(len(samples), Mastering(sample_rate=sample_rate))
    length = round(BLOCK_S * sample_rate)
    start = time.thread_time()
    for first in range(0, samples.shape[1], length):
        state, _ = master(state, samples[:, first : first + length])
    return time.thread_time() - start
