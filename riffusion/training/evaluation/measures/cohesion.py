"""Rows about how a jam holds together: whether bars come round, and how much neighbours differ.

Bars are found from tempo and metre. All is measured in log-mel frames of the sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riffusion.engines.clip import Prompt
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.jam.loop import loop_bars
from riffusion.jam.settings import JamSettings
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.corpus.features import FloatArray
from riffusion.training.evaluation.measures.row import Measure
from riffusion.training.evaluation.samples import (
    TEMPI,
    JamRequest,
    SampleGenerator,
    SampleRequest,
    make_requests,
)

Array = npt.NDArray[np.float64]

BARS_APART = (1, 2, 4, 8)
BEATS_PER_BAR = 4
LOOP_BARS = 4  # of jams with the usual chords, and of most renders
STEPS_A_BAR = 64
BAND_STEP = 2  # every other band is correlated
RANGE_DECADES = 6  # below the loudest magnitude of the track
AUDIBLE_DB = 40  # quieter than the loudest cells by this much, a cell is masked by its neighbours
LOUDEST_PERCENTILE = 99.9
HIGH_PERCENTILE = 90

HELD_S = 40.0
WALK_BARS = 24
JAMS_A_SEED = 2  # held, and as many that walk
# The music that the rows need for each seed, in seconds, to tell how long an evaluation takes.
SECONDS_A_SEED = JAMS_A_SEED * (HELD_S + WALK_BARS * 240 / float(np.mean(TEMPI)))


@dataclass(frozen=True)
class Cohesion:
    """How a track holds together.

    ``correlations`` are those of bars so many bars apart, averaged over the track. ``step_db`` and
    ``high_step_db`` are the median and the 90th percentile of the differences between the mean
    spectra of neighbouring bars, in tenths of a decade of the magnitude (half of the decibels of
    the level). ``return_db`` is the median difference, in decibels of the level, between what is
    heard and what is heard one loop later, from the second time round on. Where a track is too
    short for a value, it is NaN.
    """

    correlations: Mapping[int, float]
    loop_bars: int
    step_db: float
    high_step_db: float
    return_db: float

    @property
    def loop_correlation(self) -> float:
        """The correlation of bars one loop apart."""
        return self.correlations[self.loop_bars]


def measure_cohesion(
    levels: FloatArray, bpm: float, beats_per_bar: int = BEATS_PER_BAR, loop_bars: int = LOOP_BARS
) -> Cohesion:
    """Measure log-mel frames of a track that begins on a bar line.

    Parameters
    ----------
    levels : array
        (frames, channels, bands): base-10 logarithms of magnitudes in frames of
        ``COMPACT_PARAMS``.
    bpm : float
        Tempo in beats per minute, the same all through.
    beats_per_bar : int
    loop_bars : int
        The length of the loop in bars.
    """
    bar_frames = 60 * beats_per_bar / bpm / COMPACT_PARAMS.frame_s
    magnitudes = 10.0 ** levels.astype(np.float64)
    bars = sample_bars(np.log10(magnitudes.mean(1)), bar_frames)
    steps = measure_steps_db(bars)
    lags = sorted({*BARS_APART, loop_bars})
    return Cohesion(
        correlations={lag: correlate_bars(bars[..., ::BAND_STEP], lag) for lag in lags},
        loop_bars=loop_bars,
        step_db=float(np.median(steps)) if len(steps) else float("nan"),
        high_step_db=float(np.percentile(steps, HIGH_PERCENTILE)) if len(steps) else float("nan"),
        return_db=measure_return_db((magnitudes**2).mean(1), bar_frames, loop_bars),
    )


def sample_bars(levels: Array, bar_frames: float) -> Array:
    """Return 64 frames of each bar but the first and the last, (bars, 64, bands).

    ``levels`` is (frames, bands). The first bar has nothing before it, and the last may fade.
    """
    kept = np.maximum(levels, levels.max() - RANGE_DECADES)
    places = _list_edges(len(levels), bar_frames)[:-1].astype(int)
    bars: Array = kept[places].reshape(-1, STEPS_A_BAR, levels.shape[1])
    return bars[1:-1]


def correlate_bars(bars: Array, lag: int) -> float:
    """Return the mean correlation of bars that are ``lag`` bars apart, NaN in a shorter track.

    ``bars`` is (bars, steps, bands). The mean of each band over the track is taken off before, so
    that a sound that stays the same does not count, only what happens in it.
    """
    if len(bars) <= lag:
        return float("nan")
    changes = bars - bars.mean((0, 1), keepdims=True)
    pairs = zip(changes, changes[lag:], strict=False)
    return float(np.mean([_correlate(one, other) for one, other in pairs]))


def measure_steps_db(bars: Array) -> Array:
    """Return the differences between the mean spectra of neighbouring bars, (bars - 1,).

    Each is the root mean square over bands, in tenths of a decade.
    """
    spectra = 10 * bars.mean(1)[:, ::BAND_STEP]
    differences: Array = np.sqrt(np.square(np.diff(spectra, axis=0)).mean(1))
    return differences


def measure_return_db(power: Array, bar_frames: float, loop_bars: int) -> float:
    """Return the median difference in dB between the audible sound and that one loop later.

    ``power`` is (frames, bands). What is compared is the mean power of each band in each
    sixty-fourth of a bar, with frames on its edges counted in parts: loops need not be whole
    frames long. A cell counts where it is at most 40 dB below the loudest, the first or the second
    time, since quieter ones are masked. The first time round is left out, as it has another
    beginning. Without a third time round there is nothing to compare: NaN.
    """
    edges = _list_edges(len(power), bar_frames)
    total = np.concatenate([np.zeros((1, power.shape[1])), np.cumsum(power, 0)])
    whole = edges.astype(int)
    following = power[np.minimum(whole, len(power) - 1)]
    cells = np.diff(total[whole] + (edges - whole)[:, None] * following, axis=0)
    level = 10 * np.log10(np.maximum(cells, 1e-12) / (bar_frames / STEPS_A_BAR))
    steps = loop_bars * STEPS_A_BAR
    first, again = level[steps:-steps], level[2 * steps :]
    if not len(again):
        return float("nan")
    threshold = np.percentile(level, LOUDEST_PERCENTILE) - AUDIBLE_DB
    audible = np.maximum(first, again) >= threshold
    return float(np.median(np.abs(again - first)[audible]))


def count_loop_bars(settings: JamSettings) -> int:
    """Return after how many bars a jam comes round: its loop, or else its chords."""
    chords = len(settings.progression())
    return loop_bars(settings, chords) or chords


def measure_jam(levels: FloatArray, settings: JamSettings) -> Cohesion:
    """Measure the log-mel frames (frames, channels, bands) of a jam with these settings."""
    loop_bars = count_loop_bars(settings)
    return measure_cohesion(levels, settings.bpm, settings.beats_per_bar, loop_bars)


def measure_renders(corpus: Corpus) -> list[Cohesion]:
    """Measure whole songs of a corpus: those in four-four with all instruments of their style."""
    return [
        measure_cohesion(corpus.frames(number, 0, song.frames), song.bpm)
        for number, song in enumerate(corpus.songs)
        if song.beats_per_bar == BEATS_PER_BAR and corpus.is_full_arrangement(song)
    ]


def measure_jams(
    generator: SampleGenerator, test: Corpus, styles: Sequence[str], seeds: int
) -> list[Measure]:
    """Measure jams that stay at a prompt and jams that walk, with whole renders as the ceiling."""
    renders = measure_renders(test)
    groups = {
        "held": make_held_requests(styles, seeds),
        "walk": make_walk_requests(styles, seeds),
    }
    rows: list[Measure] = []
    for name, asked in groups.items():
        played = generator.play(asked, f"jams, {name}")
        pairs = zip(played, asked, strict=True)
        found = [measure_jam(levels, request.settings) for levels, request in pairs]
        rows += make_rows(name, found, renders)
    return rows


def make_held_requests(styles: Sequence[str], seeds: int) -> list[JamRequest]:
    """Return requests for jams of 40 s that stay at a style, in styles from all over the list."""
    return [
        JamRequest(asked.make_jam_settings(), HELD_S) for asked in _choose_styles(styles, seeds)
    ]


def make_walk_requests(styles: Sequence[str], seeds: int) -> list[JamRequest]:
    """Return requests for jams of 24 bars that walk to the style half the list further on."""
    requests = []
    for asked in _choose_styles(styles, seeds):
        other = styles[(styles.index(asked.prompt) + len(styles) // 2) % len(styles)]
        settings = replace(
            asked.make_jam_settings(),
            prompt_b=Prompt(other, asked.seed + 1),
            path="once",
            walk_bars=WALK_BARS,
        )
        requests.append(JamRequest(settings, WALK_BARS * settings.beats_per_bar * 60 / asked.bpm))
    return requests


# The name of each value, how it is read, and what independent bars would give.
VALUES: tuple[tuple[str, Callable[[Cohesion], float], float | None], ...] = (
    ("correlation 1 bar apart", lambda found: found.correlations[1], 0.0),
    ("correlation 2 bars apart", lambda found: found.correlations[2], 0.0),
    ("correlation 4 bars apart", lambda found: found.correlations[4], 0.0),
    ("correlation 8 bars apart", lambda found: found.correlations[8], 0.0),
    ("correlation one loop apart", lambda found: found.loop_correlation, 0.0),
    ("neighbouring bars differ by, dB, median", lambda found: found.step_db, None),
    ("neighbouring bars differ by, dB, 90 %", lambda found: found.high_step_db, None),
    ("bars one loop apart differ by, dB", lambda found: found.return_db, None),
)


def make_rows(
    name: str, found: Sequence[Cohesion], renders: Sequence[Cohesion]
) -> Iterator[Measure]:
    """Yield a row for each value: its medians over the tracks that are long enough for it."""
    for label, read, chance in VALUES:
        values, usual = (collect(group, read) for group in (found, renders))
        if values:
            ceiling = float(np.median(usual)) if usual else None
            value = float(np.median(values))
            yield Measure(f"{name}: {label}", value, ceiling, chance, len(values))


def collect(group: Sequence[Cohesion], read: Callable[[Cohesion], float]) -> list[float]:
    """Return one value of each track that is long enough for it."""
    values = [read(one) for one in group]
    return [value for value in values if not np.isnan(value)]


def _choose_styles(styles: Sequence[str], seeds: int) -> list[SampleRequest]:
    count = JAMS_A_SEED * seeds
    chosen = [styles[number * len(styles) // count] for number in range(count)]
    return make_requests([(style, (style,)) for style in chosen], 1)


def _list_edges(frames: int, bar_frames: float) -> Array:
    """Return where each sixty-fourth of all whole bars begins, and the end, in frames."""
    steps = int(frames // bar_frames) * STEPS_A_BAR
    return np.minimum(np.arange(steps + 1) * bar_frames / STEPS_A_BAR, frames)


def _correlate(one: Array, other: Array) -> float:
    first, second = one - one.mean(), other - other.mean()
    norm = np.sqrt(np.square(first).sum() * np.square(second).sum() + 1e-9)
    return float((first * second).sum() / norm)
