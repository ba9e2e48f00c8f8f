"""Real-time factor of a jam: seconds of music made per second of computing, and where time goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks.options import BPM, KEY, PROMPT_A, PROMPT_B, Options
from benchmarks.report import Row
from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.compact.prompt_encoder import embed_prompt
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.jam.session import JamSession, JamSettings, render
from riffusion.spectral.spectrogram import Spectrogram
from riffusion.vocoder.protocol import Vocoder

JAM_S = 60.0
WARM_UP_S = 10.0
NEW_PROMPTS = 20
# How many whole bars fit into a clip, and so how much of a clip is new music, depends on the tempo.
# At 117 bpm a bar of 2.05 s is the only one in a window of 5.12 s, which is the worst case.
TEMPI = (60.0, 80.0, 100.0, 117.0, 120.0, 150.0, 180.0)
TEMPO_KEY = "Cm"  # that of the page, which plays 100 bpm
TEMPO_JAM_S = 30.0
MAX_TEMPO_REPEATS = 2


@dataclass
class Clock:
    """Seconds spent in each named stage."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to the stage ``name``."""
        start = time.perf_counter()
        yield
        self.spent[name] += time.perf_counter() - start


class TimedEngine(EngineWrapper):
    """An engine whose ``generate`` is timed."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        super().__init__(engine)
        self._clock = clock

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate the clips of the engine, and add their time to ``generate``."""
        with self._clock.stage("generate"):
            return super().generate(requests, interrupted=interrupted)


def time_vocoder(vocoder: Vocoder, clock: Clock) -> Vocoder:
    """Return a vocoder that adds its time to the stage ``vocode``."""

    def timed(spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        with clock.stage("vocode"):
            return vocoder(spectrogram, prefix=prefix)

    return timed


def measure(options: Options) -> list[Row]:
    """Return the real-time factor, the share of each stage, and the real-time factor over tempi."""
    engine = load_engine(options.model, options.device)
    run(engine, WARM_UP_S)
    return [
        *measure_stages(engine, options.repeats),
        *summarise_tempi(measure_tempi(engine, min(options.repeats, MAX_TEMPO_REPEATS))),
    ]


def measure_stages(engine: Engine, repeats: int) -> list[Row]:
    """Return rows about jams at 120 bpm, which have been measured since the first version."""
    runs = [run(engine, JAM_S) for _ in range(repeats)]
    note = f"{JAM_S:.0f} s of track, {BPM:g} bpm, {KEY}, context and writing included"
    factor = median(JAM_S / seconds["all"] for seconds in runs)
    rows = [Row("jam, times faster than real time", factor, "x", ">= 6", note)]
    for stage in ("generate", "vocode", "stitch and master", "write"):
        share = median(100 * seconds[stage] / seconds["all"] for seconds in runs)
        rows.append(Row(f"share of {stage}", share, "%"))
    text_ms = 1000 * median(embedding_s(f"take {take} of it") for take in range(NEW_PROMPTS))
    note = "part of generate, once for each new prompt"
    return [*rows, Row("text of a new prompt", text_ms, "ms", "", note)]


def measure_tempi(engine: Engine, repeats: int) -> dict[float, float]:
    """Return the median real-time factor at each tempo, in beats per minute.

    The tempi take turns, so that all of them see the machine equally busy.
    """
    factors: dict[float, list[float]] = {bpm: [] for bpm in TEMPI}
    for _ in range(repeats):
        for bpm, measured in factors.items():
            measured.append(measure_factor(engine, bpm))
    return {bpm: median(measured) for bpm, measured in factors.items()}


def summarise_tempi(factors: Mapping[float, float]) -> list[Row]:
    """Return a row for each tempo, and the worst and the median of them."""
    note = f"{TEMPO_JAM_S:.0f} s of track after its first clip, {TEMPO_KEY}, writing included"
    slowest = min(factors, key=lambda bpm: factors[bpm])
    return [
        *(
            Row(f"jam at {bpm:g} bpm, times faster than real time", factor, "x", "", note)
            for bpm, factor in factors.items()
        ),
        Row("the same, worst tempo", factors[slowest], "x", "", f"{slowest:g} bpm"),
        Row("the same, median of tempi", median(factors.values()), "x"),
    ]


def embedding_s(prompt: str) -> float:
    """Return the seconds that a prompt takes which was not embedded before."""
    start = time.perf_counter()
    embed_prompt(prompt)
    return time.perf_counter() - start


def run(engine: Engine, seconds: float) -> dict[str, float]:
    """Write a track of ``seconds`` to a file and return the seconds of each stage.

    The whole time is that of ``all``.
    """
    clock = Clock()
    settings = JamSettings(Prompt(PROMPT_A, 1), Prompt(PROMPT_B, 2), bpm=BPM, key=KEY)
    start = time.perf_counter()
    session = JamSession(
        TimedEngine(engine, clock), settings, vocoder=time_vocoder(engine.vocoder, clock)
    )
    total = round(seconds * session.sample_rate)
    with TrackFile(session.sample_rate, session.channels) as track:
        for block in render(session, total):
            with clock.stage("write"):
                track.write(block.start, block.samples)
    clock.spent["all"] = time.perf_counter() - start
    clock.spent["stitch and master"] = 2 * clock.spent["all"] - sum(clock.spent.values())
    return clock.spent


def measure_factor(engine: Engine, bpm: float) -> float:
    """Return the real-time factor of a jam from its first clip on, over whole clips.

    A part of a clip would count as much time as a whole one.
    """
    settings = JamSettings(Prompt(PROMPT_A, 1), Prompt(PROMPT_B, 2), bpm=bpm, key=TEMPO_KEY)
    session = JamSession(engine, settings)
    arrived: dict[int, float] = {}  # when the first block of each clip came, by its first sample
    with TrackFile(session.sample_rate, session.channels) as track:
        for block in session:
            track.write(block.start, block.samples)
            arrived.setdefault(block.clip.start_sample, time.perf_counter())
            music_s = (max(arrived) - min(arrived)) / session.sample_rate
            if music_s >= TEMPO_JAM_S:
                break
    return music_s / (arrived[max(arrived)] - arrived[min(arrived)])
