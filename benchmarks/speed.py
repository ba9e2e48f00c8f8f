"""How much faster than real time a jam is made, and where the time goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks.options import PROMPT_A, PROMPT_B, Options
from benchmarks.report import Row
from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.compact.prompt_encoder import embed_prompt
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine, never
from riffusion.jam.session import JamSession, JamSettings, render
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams
from riffusion.vocoder.protocol import Vocoder

JAM_S = 60.0
WARM_UP_S = 10.0
NEW_PROMPTS = 20


@dataclass
class Clock:
    """Seconds spent in each named stage."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.spent[name] += time.perf_counter() - start


class TimedEngine:
    """An engine whose time is taken. Everything else is the engine's own."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def params(self) -> SpectrogramParams:
        return self._engine.params

    @property
    def channels(self) -> int:
        return self._engine.channels

    @property
    def frames(self) -> int:
        return self._engine.frames

    @property
    def vocoder(self) -> Vocoder:
        return self._engine.vocoder

    @property
    def context_step(self) -> int:
        return self._engine.context_step

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        with self._clock.stage("generate"):
            return self._engine.generate(requests, interrupted=interrupted)


def timed_vocoder(own: Vocoder, clock: Clock) -> Vocoder:
    def vocoder(spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        with clock.stage("vocode"):
            return own(spectrogram, prefix=prefix)

    return vocoder


def measure(options: Options) -> list[Row]:
    """Real-time factor at default settings, with what it spends on each stage."""
    engine = load_engine(options.model, options.device)
    run(engine, WARM_UP_S)
    runs = [run(engine, JAM_S) for _ in range(options.repeats)]
    note = f"{JAM_S:.0f} s of track, default settings, context and writing included"
    factor = median(JAM_S / seconds["all"] for seconds in runs)
    rows = [Row("jam, times faster than real time", factor, "x", ">= 6", note)]
    for stage in ("generate", "vocode", "stitch and master", "write"):
        share = median(100 * seconds[stage] / seconds["all"] for seconds in runs)
        rows.append(Row(f"share of {stage}", share, "%"))
    text_ms = 1000 * median(embedding_s(f"take {take} of it") for take in range(NEW_PROMPTS))
    note = "part of generate, once for each new prompt"
    return [*rows, Row("text of a new prompt", text_ms, "ms", "", note)]


def embedding_s(prompt: str) -> float:
    """Seconds to turn a prompt that was not asked for before into its vector."""
    start = time.perf_counter()
    embed_prompt(prompt)
    return time.perf_counter() - start


def run(engine: Engine, seconds: float) -> dict[str, float]:
    """Make a track of ``seconds`` in a file; what each stage took, and ``all``, in seconds."""
    clock = Clock()
    settings = JamSettings(Prompt(PROMPT_A, 1), Prompt(PROMPT_B, 2))
    start = time.perf_counter()
    session = JamSession(
        TimedEngine(engine, clock), settings, vocoder=timed_vocoder(engine.vocoder, clock)
    )
    total = round(seconds * session.sample_rate)
    with TrackFile(session.sample_rate, session.channels) as track:
        for block in render(session, total):
            with clock.stage("write"):
                track.write(block.start, block.samples)
    clock.spent["all"] = time.perf_counter() - start
    clock.spent["stitch and master"] = 2 * clock.spent["all"] - sum(clock.spent.values())
    return clock.spent
