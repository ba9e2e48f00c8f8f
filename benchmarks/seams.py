"""Whether the joins between clips can be heard, by spectral flux and sample steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.options import BPM, KEY, PAIRS, Options
from benchmarks.report import Row
from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import Prompt
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.jam.session import JamSession, JamSettings
from riffusion.jam.stitcher import CROSSFADE_S, HANDOVER_S
from riffusion.spectral.spectrogram import SpectrogramParams, mel_spectrogram

JAM_S = 90.0
# Times from the bar line: the crossfade from one clip to the next, and the first beat, which a
# window of the transform spreads.
CROSSFADE_AT_S = (-HANDOVER_S - CROSSFADE_S, -HANDOVER_S)
DOWNBEAT_AT_S = (-0.02, 0.05)
AROUND_S = (-0.01, 0.02)  # before the crossfade and after the bar line
FLOOR = 1e-4


@dataclass(frozen=True)
class Excerpt:
    """A jam as heard, with the samples where clips begin and those of all bar lines, or beats.

    ``samples`` is (channels, n).
    """

    samples: npt.NDArray[np.float32]
    sample_rate: int
    boundaries: tuple[int, ...]
    bar_lines: tuple[int, ...]


def measure(options: Options) -> list[Row]:
    """Return medians over several jams of ``JAM_S`` seconds, with and without drums."""
    engine = load_engine(options.model, options.device)
    excerpts = [play_jam(engine, a, b, seed, options.settings) for seed, (a, b) in enumerate(PAIRS)]
    params = engine.params
    crossfades = [flux_ratio(excerpt, params, CROSSFADE_AT_S) for excerpt in excerpts]
    before_others = [
        flux_ratio(excerpt, params, CROSSFADE_AT_S, bar_lines_only=True) for excerpt in excerpts
    ]
    downbeats = [flux_ratio(excerpt, params, DOWNBEAT_AT_S) for excerpt in excerpts]
    against_others = [
        flux_ratio(excerpt, params, DOWNBEAT_AT_S, bar_lines_only=True) for excerpt in excerpts
    ]
    steps = [step_ratio(excerpt, CROSSFADE_AT_S) for excerpt in excerpts]
    note = f"{len(PAIRS)} jams of {JAM_S:.0f} s, median"
    return [
        Row("spectral flux in crossfades / elsewhere", median(crossfades), "", "<= 1.3", note),
        Row("the same / before other bars, or beats of live", median(before_others), "", "", note),
        Row("flux on first beats of clips / elsewhere", median(downbeats), "", "", note),
        Row(
            "the same / on first beats of other bars, or on other beats of live",
            median(against_others),
            "",
            "",
            note,
        ),
        Row("largest sample step at a boundary / inside a clip", max(steps), "", "<= 1", "worst"),
    ]


def play_jam(
    engine: Engine, prompt_a: str, prompt_b: str, seed: int, changes: Mapping[str, object]
) -> Excerpt:
    """Return the first ``JAM_S`` seconds of a jam, with some settings changed."""
    settings = JamSettings(Prompt(prompt_a, seed), Prompt(prompt_b, seed + 1), bpm=BPM, key=KEY)
    settings = settings.with_settings(changes)
    session = JamSession(engine, settings)
    wanted = round(JAM_S * session.sample_rate)
    pieces: list[npt.NDArray[np.float32]] = []
    boundaries: dict[int, int] = {}
    bars: set[int] = set()
    for block in session:
        pieces.append(block.samples)
        boundaries[block.clip.index] = block.clip.start_sample
        if block.start + block.samples.shape[1] >= wanted:
            break
    # Live clips begin on any beat.
    step_s = (1 if settings.quality == "live" else settings.beats_per_bar) * 60 / settings.bpm
    bars = {round(line * step_s * session.sample_rate) for line in range(int(JAM_S / step_s))}
    return Excerpt(
        np.concatenate(pieces, axis=1)[:, :wanted],
        session.sample_rate,
        tuple(sample for sample in boundaries.values() if 0 < sample < wanted),
        tuple(sorted(bars)),
    )


def spectral_flux(
    samples: npt.NDArray[np.float32], params: SpectrogramParams
) -> npt.NDArray[np.float64]:
    """Return how much louder mel bands got since the last frame in decades, (frames,).

    It is a mean over bands.

    It has one value for each frame: the flux of S. Dixon, "Onset detection revisited", DAFx 2006,
    on a logarithmic scale.
    """
    spectrogram = mel_spectrogram(Waveform(samples, params.sample_rate), params)
    level = np.log10(spectrogram.magnitudes.numpy().astype(np.float64).mean(axis=0) + FLOOR)
    rise = np.maximum(np.diff(level, axis=1, prepend=level[:, :1]), 0)
    return np.asarray(rise.mean(axis=0))


def flux_ratio(
    excerpt: Excerpt,
    params: SpectrogramParams,
    span_s: tuple[float, float],
    *,
    bar_lines_only: bool = False,
) -> float:
    """Return the median flux near clip boundaries over that of equally long stretches elsewhere.

    ``span_s`` is the stretch in seconds from the bar line on which a clip begins. With
    ``bar_lines_only``, elsewhere is the same stretch at the bar lines within clips.
    """
    flux = spectral_flux(excerpt.samples, params)
    before, after = (round(s / params.frame_s) for s in span_s)
    width = after - before + 1
    around = np.convolve(flux, np.ones(width) / width, mode="valid")

    def frames(samples: Sequence[int]) -> npt.NDArray[np.int64]:
        starts = np.array([s // params.hop_length + before for s in samples], dtype=np.int64)
        return starts[(starts >= 0) & (starts < len(around))]

    at_boundaries = frames(excerpt.boundaries)
    near = {int(f) + offset for f in at_boundaries for offset in range(-width, width + 1)}
    candidates = frames(excerpt.bar_lines) if bar_lines_only else np.arange(len(around))
    elsewhere = [int(frame) for frame in candidates if int(frame) not in near]
    return median(around[at_boundaries]) / median(around[elsewhere])


def step_ratio(excerpt: Excerpt, crossfade_at_s: tuple[float, float]) -> float:
    """Return the largest step from sample to sample around boundaries over that inside clips.

    ``crossfade_at_s`` is when clips fade over, in seconds from the bar line.
    """
    steps = np.abs(np.diff(excerpt.samples, axis=1)).max(axis=0)
    at_boundary = np.zeros(len(steps), dtype=bool)
    around_s = (crossfade_at_s[0] + AROUND_S[0], AROUND_S[1])
    before, after = (round(s * excerpt.sample_rate) for s in around_s)
    for sample in excerpt.boundaries:
        at_boundary[max(0, sample + before) : sample + after] = True
    return float(steps[at_boundary].max() / steps[~at_boundary].max())


def median(values: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """Return the median as a number of Python."""
    return float(np.median(values))
