"""Measures of repetition in a song: whether a section that returns is the same.

Sections are compared by their bytes, and by the embedding of the judge of styles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riffusion.audio.track import to_pcm
from riffusion.audio.waveform import Waveform
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.protocol import Engine
from riffusion.jam.stitcher import FADE_IN_S
from riffusion.song.model import Song
from riffusion.song.placement import PlacedSection
from riffusion.song.session import CROSSFADE_S, HANDOVER_S, SongSession
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus.dataset import FRAMES
from riffusion.training.corpus.features import FloatArray
from riffusion.training.evaluation.style_judge import StyleJudge, make_judge_image

TRANSITION_S = CROSSFADE_S + HANDOVER_S  # before a boundary, where a transition may change music


@dataclass(frozen=True)
class Distances:
    """Distances between embeddings of sections of one name and of two names.

    ``within`` and ``across`` are means over all pairs of places with one and with two names.
    ``first_within`` is between the first two places of the name that returns, ``first_across``
    between the first of each name. ``furthest_within`` and ``nearest_across`` are the worst pairs.
    """

    within: float
    across: float
    first_within: float
    first_across: float
    furthest_within: float
    nearest_across: float


def choose_sections(song: Song) -> tuple[str, str]:
    """Return the names of two sections to compare.

    The first returns most often, a chorus before others; the other is a verse where there is one.
    """
    names = list(dict.fromkeys(song.order))
    repeated = max(names, key=lambda name: (song.order.count(name), name == "chorus"))
    others = [name for name in names if name != repeated]
    return repeated, max(others, key=lambda name: name == "verse")


def play_song(engine: Engine, song: Song) -> Waveform:
    """Return the sound of a song."""
    with SongSession(engine, song) as session:
        samples = np.concatenate([block.samples for block in session], axis=1)
        return Waveform(samples, session.sample_rate)


def repeats_exactly(engine: Engine, song: Song, places: Sequence[PlacedSection]) -> bool:
    """Return whether each section that returns has the same bytes, but for the transitions.

    ``places`` are those of ``song``, which is played with one step of the denoiser: that changes
    how it sounds, not whether it repeats.
    """
    wave = play_song(engine, replace(song, variation=0.0, steps=1))
    firsts: dict[tuple[str, float], PlacedSection] = {}
    return all(
        # A ramp that starts from another tempo is another take.
        _has_same_bytes(wave, firsts.setdefault((place.name, place.start_bpm), place), place)
        for place in places
    )


def _has_same_bytes(wave: Waveform, first: PlacedSection, again: PlacedSection) -> bool:
    # A walk changes as many bars as it takes, and the song fades out over its last bar.
    walked = first.section.transition.bars if first.section.transition.kind == "walk" else 0
    bars = max(walked, again.last)
    before, after = (_cut_pcm(wave, place) for place in (first, again))
    last = again.stop - again.grid.bar_sample(again.bar + again.bars - bars)
    length = min(before.shape[1], after.shape[1]) - last
    return length <= 0 or bool(np.array_equal(before[:, :length], after[:, :length]))


def measure_distances(
    judge: StyleJudge, wave: Waveform, places: Sequence[PlacedSection], repeated: str, other: str
) -> Distances:
    """Measure how far places of ``repeated`` are from each other, and from those of ``other``."""
    same, different = (
        np.stack([embed_passage(judge, wave, p.start, p.stop) for p in places if p.name == name])
        for name in (repeated, other)
    )
    within = np.linalg.norm(same[:, None] - same[None], axis=2)
    across = np.linalg.norm(same[:, None] - different[None], axis=2)
    pairs = within[np.triu_indices(len(same), 1)]
    return Distances(
        within=float(pairs.mean()),
        across=float(across.mean()),
        first_within=float(within[0, 1]),
        first_across=float(across[0, 0]),
        furthest_within=float(pairs.max()),
        nearest_across=float(across.min()),
    )


def embed_passage(
    judge: StyleJudge, wave: Waveform, start: int, stop: int
) -> npt.NDArray[np.float64]:
    """Return the mean embedding of the windows from sample ``start`` to sample ``stop``."""
    passage = Waveform(wave.samples[:, start:stop], wave.sample_rate)
    magnitudes = mel_spectrogram(passage.resample(COMPACT_PARAMS.sample_rate), COMPACT_PARAMS)
    levels = log_mel(magnitudes.magnitudes).permute(2, 0, 1).numpy()
    verdict = judge.predict(
        np.stack([make_judge_image(window) for window in split_windows(levels)])
    )
    return np.asarray(verdict.embedding.double().mean(0).numpy())


def split_windows(levels: FloatArray) -> list[FloatArray]:
    """Return all of ``levels`` (frames, ...) as windows that overlap by half.

    Short ones are repeated up to the length of a window.
    """
    last = max(0, len(levels) - FRAMES)
    starts = [*range(0, last, FRAMES // 2), last]
    return [levels[(start + np.arange(FRAMES)) % len(levels)] for start in starts]


def _cut_pcm(wave: Waveform, place: PlacedSection) -> npt.NDArray[np.int16]:
    start = place.start + round(FADE_IN_S * wave.sample_rate)
    return to_pcm(wave.samples[:, start : place.stop - round(TRANSITION_S * wave.sample_rate)])
