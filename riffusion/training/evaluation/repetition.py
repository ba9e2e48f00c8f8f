"""Whether what comes back in a song is the same, or nearer to itself than to what is another."""

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
from riffusion.training.corpus.dataset import FRAMES, FloatArray
from riffusion.training.evaluation.judge import Judge, impression

WINDOW_S = CROSSFADE_S + HANDOVER_S  # what a transition may change


@dataclass(frozen=True)
class Distances:
    """Between embeddings of sections: of one name (``within``), and of two names (``across``).

    Both are means over all pairs. ``first_within`` is between the first two places of the name
    that comes back, ``first_across`` between the first of each name. ``furthest_within`` and
    ``nearest_across`` are the worst pairs.
    """

    within: float
    across: float
    first_within: float
    first_across: float
    furthest_within: float
    nearest_across: float


def compared(song: Song) -> tuple[str, str]:
    """The section that comes back most often, a chorus first, and another one, a verse first."""
    names = list(dict.fromkeys(song.order))
    repeated = max(names, key=lambda name: (song.order.count(name), name == "chorus"))
    others = [name for name in names if name != repeated]
    return repeated, max(others, key=lambda name: name == "verse")


def played(engine: Engine, song: Song) -> Waveform:
    """The sound of a song."""
    with SongSession(engine, song) as session:
        samples = np.concatenate([block.samples for block in session], axis=1)
        return Waveform(samples, session.sample_rate)


def comes_back_exactly(engine: Engine, song: Song, places: Sequence[PlacedSection]) -> bool:
    """Whether each section that returns has the same bytes, but for the transition window.

    ``places`` are those of ``song``, which is played with one step of the denoiser: that decides
    how it sounds, not whether it comes back.
    """
    wave = played(engine, replace(song, variation=0.0, steps=1))
    firsts: dict[str, PlacedSection] = {}
    return all(
        _same(wave, firsts.setdefault(place.name, place), place, song.beats_per_bar)
        for place in places
    )


def _same(wave: Waveform, first: PlacedSection, again: PlacedSection, beats: int) -> bool:
    bar = round(beats * 60 / first.grid.bpm * wave.sample_rate)
    # A walk takes its bars where it leads elsewhere, and the song fades out over its last bar.
    walked = first.section.transition.bars if first.section.transition.kind == "walk" else 0
    bars = max(walked, again.last)
    before, after = (_pcm(wave, place) for place in (first, again))
    length = min(before.shape[1], after.shape[1]) - bars * bar
    return length <= 0 or bool(np.array_equal(before[:, :length], after[:, :length]))


def distances(
    judge: Judge, wave: Waveform, places: Sequence[PlacedSection], repeated: str, other: str
) -> Distances:
    """How far places of ``repeated`` are from each other, and from those of ``other``."""
    same, different = (
        np.stack([embedding(judge, wave, p.start, p.stop) for p in places if p.name == name])
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


def embedding(judge: Judge, wave: Waveform, start: int, stop: int) -> npt.NDArray[np.float64]:
    """What the judge hears from one sample to another: the mean of its windows."""
    heard = Waveform(wave.samples[:, start:stop], wave.sample_rate)
    magnitudes = mel_spectrogram(heard.resample(COMPACT_PARAMS.sample_rate), COMPACT_PARAMS)
    levels = log_mel(magnitudes.magnitudes).permute(2, 0, 1).numpy()
    verdict = judge.listen(np.stack([impression(window) for window in windows(levels)]))
    return np.asarray(verdict.embedding.double().mean(0).numpy())


def windows(levels: FloatArray) -> list[FloatArray]:
    """All of (frames, ...) ``levels`` as windows that half overlap; too few are repeated."""
    last = max(0, len(levels) - FRAMES)
    starts = [*range(0, last, FRAMES // 2), last]
    return [levels[(start + np.arange(FRAMES)) % len(levels)] for start in starts]


def _pcm(wave: Waveform, place: PlacedSection) -> npt.NDArray[np.int16]:
    start = place.start + round(FADE_IN_S * wave.sample_rate)
    return to_pcm(wave.samples[:, start : place.stop - round(WINDOW_S * wave.sample_rate)])
