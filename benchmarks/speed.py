"""Real-time factor of jams: seconds of music per second of computing, over tempi and qualities.

Where the time goes is in ``benchmarks.profile``, what the machine could do in
``benchmarks.arithmetic``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from benchmarks.arithmetic import count_clip_gflop, measure_products, summarise_limit
from benchmarks.options import BPM, KEY, PROMPT_A, PROMPT_B, Options
from benchmarks.profile import STAGES, profile_jam
from benchmarks.report import Row
from riffusion.audio.track import TrackFile
from riffusion.engines.clip import Prompt
from riffusion.engines.compact.prompt_encoder import embed_prompt
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.jam.session import JamSession, JamSettings, render

JAM_S = 60.0
WARM_UP_S = 10.0
NEW_PROMPTS = 20
# How many beats fit into a clip, and so how much of a clip is new music, depends on the tempo. At
# 117 bpm a bar of 2.05 s is the only one in a window of 5.12 s: for whole bars that is the worst.
TEMPI = tuple(sorted({*(float(bpm) for bpm in range(60, 181, 5)), 117.0}))
FINE_TEMPI = (60.0, 100.0, 117.0, 120.0, 180.0)
PAGE = {"key": "Cm", "loop": "chords", "variation": 0.3}
PAGE_BPM = 100.0
TEMPO_JAM_S = 30.0
MAX_TEMPO_REPEATS = 2
MAX_SAMPLES = 600 * 44100  # more than any of these jams needs
QUALITIES = ("live", "fine")
TARGETS = {"median": ">= 30", "worst": ">= 20", "ratio": ">= 4", "pair": ">= 13"}

Factors = dict[tuple[str, float], list[float]]


def measure(options: Options) -> list[Row]:
    """Return real-time factors over tempi, of two jams at once, the profile and the limit."""
    engine = load_engine(options.model, options.device)
    profile_jam(engine, WARM_UP_S, BPM, KEY)
    repeats = min(options.repeats, MAX_TEMPO_REPEATS)
    pairs = [measure_pair(engine, PAGE_BPM) for _ in range(repeats)]
    return [
        *summarise_tempi(measure_tempi(engine, repeats)),
        *summarise_pairs(pairs),
        *measure_profile(engine, options.repeats),
        *measure_limit(engine, options.repeats),
    ]


def measure_tempi(engine: Engine, repeats: int) -> Factors:
    """Return the real-time factors of each quality and tempo, in beats per minute.

    Tempi and qualities take turns, so that all of them see the machine equally busy.
    """
    cases = [
        (quality, bpm)
        for bpm in TEMPI
        for quality in QUALITIES
        if quality == "live" or bpm in FINE_TEMPI
    ]
    factors: Factors = {case: [] for case in cases}
    for _ in range(repeats):
        for (quality, bpm), measured in factors.items():
            measured.append(measure_factor(engine, bpm, quality))
    return factors


def summarise_tempi(factors: Mapping[tuple[str, float], Sequence[float]]) -> list[Row]:
    """Return a row for each quality and tempo, the median and the worst, and the ratios."""
    note = f"{TEMPO_JAM_S:.0f} s of track or more after its first clip, {PAGE['key']}, writing too"
    medians = {case: median(measured) for case, measured in factors.items()}
    rows = [
        Row(f"{quality} jam at {bpm:g} bpm, times faster than real time", factor, "x", "", note)
        for (quality, bpm), factor in medians.items()
    ]
    live = {bpm: factor for (quality, bpm), factor in medians.items() if quality == "live"}
    slowest = min(live, key=lambda bpm: live[bpm])
    rows += [
        Row("live, worst tempo", live[slowest], "x", TARGETS["worst"], f"{slowest:g} bpm"),
        Row("live, median of tempi", median(live.values()), "x", TARGETS["median"]),
    ]
    fine = {bpm: factor for (quality, bpm), factor in medians.items() if quality == "fine"}
    if ratios := {bpm: live[bpm] / factor for bpm, factor in fine.items()}:
        note = "the same run, in turns"
        rows += [
            Row(f"live over fine at {bpm:g} bpm", ratio, "x", "", note)
            for bpm, ratio in ratios.items()
        ]
        rows.append(Row("live over fine, least", min(ratios.values()), "x", TARGETS["ratio"]))
    return rows


def measure_factor(
    engine: Engine, bpm: float, quality: str = "live", start: threading.Barrier | None = None
) -> float:
    """Return the real-time factor of a jam from its first clip on, over whole rounds of its loop.

    A part of a clip would count as much time as a whole one, and clips of a round differ. With a
    barrier ``start`` the jam begins when all of its threads do.
    """
    settings = JamSettings(Prompt(PROMPT_A, 1), Prompt(PROMPT_B, 2), bpm=bpm).with_settings(
        {**PAGE, "quality": quality}
    )
    session = JamSession(engine, settings)
    bars = len(settings.progression())
    arrived: dict[int, float] = {}  # when the first block of each clip came, by its first sample
    if start is not None:
        start.wait()
    with TrackFile(session.sample_rate, session.channels) as track:
        for block in render(session, MAX_SAMPLES):
            track.write(block.start, block.samples)
            clip = block.clip
            arrived.setdefault(clip.start_sample, time.perf_counter())
            music_s = (clip.start_sample - min(arrived)) / session.sample_rate
            if music_s >= TEMPO_JAM_S and clip.beat == 0 and clip.bar % bars == 0:
                break
    session.close()
    return music_s / (arrived[max(arrived)] - arrived[min(arrived)])


def measure_pair(engine: Engine, bpm: float) -> tuple[float, float]:
    """Return the real-time factors of two jams that two threads play at once."""
    start = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        jams = [pool.submit(measure_factor, engine, bpm, "live", start) for _ in range(2)]
        first, second = (jam.result() for jam in jams)
    return first, second


def summarise_pairs(pairs: Sequence[tuple[float, float]]) -> list[Row]:
    """Return a row for the slower one of two jams at once, and one for how equal they are."""
    note = f"{PAGE_BPM:g} bpm, two threads, one engine, median of {len(pairs)}"
    slower = median(min(pair) for pair in pairs)
    share = median(min(pair) / max(pair) for pair in pairs)
    return [
        Row("two jams at once, the slower one", slower, "x", TARGETS["pair"], note),
        Row("the slower one over the faster one", share, "", "", note),
    ]


def measure_profile(engine: Engine, repeats: int) -> list[Row]:
    """Return rows about jams at 120 bpm, which have been measured since the first version."""
    runs = [profile_jam(engine, JAM_S, BPM, KEY) for _ in range(repeats)]
    note = f"{JAM_S:.0f} s of track, {BPM:g} bpm, {KEY}, first clip and writing included"
    factor = median(JAM_S / seconds["all"] for seconds in runs)
    rows = [Row("jam, times faster than real time", factor, "x", "", note)]
    note = "of the time that passed; stages of two threads add up to more"
    for stage in STAGES:
        share = median(100 * seconds[stage] / seconds["all"] for seconds in runs)
        rows.append(Row(f"share of {stage}", share, "%", "", note))
    text_ms = 1000 * median(embedding_s(f"take {take} of it") for take in range(NEW_PROMPTS))
    note = "part of denoise, once for each new prompt"
    return [*rows, Row("text of a new prompt", text_ms, "ms", "", note)]


def measure_limit(engine: Engine, repeats: int) -> list[Row]:
    """Return rows about the arithmetic of this machine, and how much of it clips reach."""
    gflop = {quality: count_clip_gflop(engine, quality) for quality in QUALITIES}
    seconds = {quality: time_clip_s(engine, quality, repeats) for quality in QUALITIES}
    return summarise_limit(measure_products(), gflop, seconds)


def time_clip_s(engine: Engine, quality: str, repeats: int) -> float:
    """Return the median seconds in which a clip of the default settings is denoised."""
    settings = JamSettings(Prompt(PROMPT_A, 1), Prompt(PROMPT_B, 2)).changed({"quality": quality})
    request, taken = settings.request(0.5, 1, 2), []
    for _ in range(repeats):
        start = time.perf_counter()
        engine.generate([request])
        taken.append(time.perf_counter() - start)
    return median(taken)


def embedding_s(prompt: str) -> float:
    """Return the seconds that a prompt takes which was not embedded before."""
    start = time.perf_counter()
    embed_prompt(prompt)
    return time.perf_counter() - start
