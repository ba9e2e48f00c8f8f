"""The songs of one split of a corpus: frames, captions, lead sheets and statistics.

``windows`` cuts training examples from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from riffusion.engines.clip import LeadSheet
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.errors import InvalidInput
from riffusion.music.harmony import parse_chords
from riffusion.spectral.log_mel import ImageScale
from riffusion.training.corpus.caption_embeddings import embed_captions
from riffusion.training.corpus.captions import load_scenes
from riffusion.training.corpus.features import (
    FloatArray,
    measure_brightness,
    measure_density,
    measure_drumming,
)
from riffusion.training.corpus.shards import Song, open_frames, read_songs

FRAMES = 512  # of a window
STATISTICS_WINDOWS = 500
# The balance between left and right gets half the deviation of the loudness in the image, because
# much of it is the noise of reverberation, which no network can or need predict.
BALANCE_DEVIATION = 0.5
ADAPTED_AT_ONCE = 4096  # captions
# These arrangements have all the instruments of their style.
FULL_ARRANGEMENTS = ("band", "no lead")
# Songs of an emphasised style are drawn this many times as often as others.
EMPHASIS = 3


@dataclass(frozen=True)
class Statistics:
    """The scale of log-mel images, and sorted samples of each feature.

    The place of a measured value among the samples is its rank, from 0 to 1.
    """

    scale: ImageScale
    density: FloatArray
    brightness: FloatArray
    drums: FloatArray


class Corpus:
    """The songs of one split, memory-mapped, with embedded captions and statistics."""

    def __init__(
        self,
        folder: Path,
        split: str,
        scale: ImageScale | None = None,
        emphasis: Sequence[str] = (),
    ) -> None:
        """Open the songs of ``split`` in ``folder``.

        ``scale`` is that of the images; it is measured on this split where it is None. Songs in
        the styles of ``emphasis`` are drawn three times as often as others. Raises InvalidInput
        where the corpus is missing or damaged, or has no song in a style of ``emphasis``.
        """
        entries = [(path, song) for path, song in read_songs(folder) if song.split == split]
        shards = groupby(entries, key=itemgetter(0))
        arrays = {path: open_frames(path, [song for _, song in group]) for path, group in shards}
        self.songs: list[Song] = [song for _, song in entries]
        self._draws = repeat_emphasised([song.style for song in self.songs], emphasis)
        self._styles_with_bands = {
            song.style for song in self.songs if song.arrangement in FULL_ARRANGEMENTS
        }
        self._arrays = [arrays[path] for path, _ in entries]
        self._captions, self.embeddings = embed_captions(folder)
        measured = _measure_statistics(self)
        self.statistics = measured if scale is None else replace(measured, scale=scale)

    def draw_song(self, rng: np.random.Generator) -> int:
        """Return the number of a random song; emphasised styles come more often."""
        return self._draws[int(rng.integers(len(self._draws)))]

    def caption_row(self, caption: str) -> int:
        """Return the row of a caption in ``embeddings``."""
        return self._captions[caption]

    def plain_captions(self) -> torch.Tensor:
        """Return the embeddings, (captions, 384), of all captions but those that are scenes."""
        scenes = {scene for song in self.songs for scene in load_scenes(song.style)}
        rows = [row for caption, row in self._captions.items() if caption not in scenes]
        return self.embeddings[rows].float()

    def adapt_captions(self, adapter: PromptAdapter) -> None:
        """Replace the embeddings by what ``adapter`` makes of them.

        The model gets its prompts through the same adapter when it plays.
        """
        parts = torch.split(self.embeddings.float(), ADAPTED_AT_ONCE)
        self.embeddings = torch.cat([adapter(part).half() for part in parts])

    def has_band(self, style: str) -> bool:
        """Return whether any song of the style is arranged for its whole band."""
        return style in self._styles_with_bands

    def is_full_arrangement(self, song: Song) -> bool:
        """Return whether a song has all the instruments of its style."""
        return is_full_arrangement(song, self.has_band(song.style))

    def frames(self, song: int, start: int, count: int) -> FloatArray:
        """Return ``count`` log-mel frames of a song from ``start`` on, (count, 2, bands).

        The last frame is repeated where the song ends sooner.
        """
        about = self.songs[song]
        stop = min(start + count, about.frames)
        cut = self._arrays[song][about.offset + start : about.offset + stop].astype(np.float32)
        missing = count - len(cut)
        return np.pad(cut, ((0, missing), (0, 0), (0, 0)), mode="edge") if missing else cut

    def draw_start(self, rng: np.random.Generator, song: int) -> int:
        """Return a random first frame of a window of a song."""
        return int(rng.integers(max(1, self.songs[song].frames - FRAMES)))

    @staticmethod
    def lead_sheet(song: Song, start: int, count: int) -> LeadSheet:
        """Return beat and chord of ``count`` frames of a song from ``start`` on."""
        seconds = (start + np.arange(count, dtype=np.float64)) * COMPACT_PARAMS.frame_s
        beats: npt.NDArray[np.float64] = seconds * (song.bpm / 60.0)
        bars = np.floor(beats / song.beats_per_bar + 1e-6).astype(int)
        chroma = np.stack([_chroma(chord) for chord in song.chords])
        return LeadSheet(beats, song.beats_per_bar, chroma[np.clip(bars, 0, len(chroma) - 1)])

    def standardise(self, frames: Sequence[FloatArray]) -> torch.Tensor:
        """Return windows of frames, (frames, 2, bands) each, as images (n, 2, bands, frames)."""
        levels = torch.from_numpy(np.stack(frames))
        return self.statistics.scale.image(levels.permute(0, 2, 3, 1))


def _measure_statistics(corpus: Corpus) -> Statistics:
    """Measure random windows of all songs."""
    rng = np.random.default_rng(0)
    dense, bright, drums = [], [], []
    sums = []  # of the loudness, its square and the balance's square
    for _ in range(STATISTICS_WINDOWS):
        song = int(rng.integers(len(corpus.songs)))
        frames = corpus.frames(song, corpus.draw_start(rng, song), FRAMES)
        dense.append(measure_density(frames))
        bright.append(measure_brightness(frames))
        if corpus.songs[song].drum_hits_per_s:
            drums.append(measure_drumming(frames))
        loudness, balance = frames.mean(1), (frames[:, 0] - frames[:, 1]) / 2
        sums.append((loudness.mean(), (loudness**2).mean(), (balance**2).mean()))
    mean, square, balance_square = (float(value) for value in np.mean(sums, 0))
    scale = ImageScale(
        round(mean, 4),
        round(math.sqrt(square - mean**2), 4),
        round(math.sqrt(balance_square) / BALANCE_DEVIATION, 4),
    )
    return Statistics(scale, _sorted(dense), _sorted(bright), _sorted(drums))


def repeat_emphasised(styles: Sequence[str], emphasis: Sequence[str]) -> list[int]:
    """Return the numbers of songs to draw from: once each, three times in emphasised styles.

    ``styles`` has the style of each song. Raises InvalidInput where it lacks one of ``emphasis``.
    """
    for style in emphasis:
        if style not in styles:
            hint = f"use some of {', '.join(sorted(set(styles)))}"
            raise InvalidInput("style to emphasise", style, hint)
    return [n for n, s in enumerate(styles) for _ in range(EMPHASIS if s in emphasis else 1)]


def is_full_arrangement(song: Song, has_band: bool) -> bool:
    """Return False for a solo or drums alone in a style that ``has_band``, else True."""
    return song.arrangement in FULL_ARRANGEMENTS or not has_band


@lru_cache(maxsize=1024)
def _chroma(chord: str) -> FloatArray:
    return parse_chords(chord)[0].chroma()


def _sorted(values: Sequence[float]) -> FloatArray:
    return np.sort(np.asarray(values, np.float32))
