"""Training examples: random windows of songs, with conditioning that is dropped at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from riffusion.engines.clip import Controls, LeadSheet
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.features import control_features, lead_sheet_features
from riffusion.engines.compact.network import BEAT_KNOWN, CHORDS, TEMPO_SCALE, TURNS, Conditioning
from riffusion.errors import InvalidInput
from riffusion.training.corpus.captions import CaptionLabels, find_labels
from riffusion.training.corpus.dataset import FRAMES, Corpus, Statistics, is_full_arrangement
from riffusion.training.corpus.features import (
    FloatArray,
    measure_brightness,
    measure_density,
    measure_drumming,
)
from riffusion.training.corpus.shards import Song

PATCH = 8
MAX_CONTEXT = 44  # patches, which is what a jam shows at its slowest hop
NOT_FINITE = "has frames that are no numbers: render the shard again"

# The largest noise on the embedding of a caption, in its own deviations. The network then also
# knows wordings between and around those in the corpus.
CAPTION_NOISE = 0.7

# Each part of the conditioning is dropped with this probability, so that guidance and partial
# control work.
DROP_PROMPT = 0.1
DROP_TEMPO = 0.3
DROP_CONTROL = 0.5
DROP_BEAT = 0.15
DROP_CHORDS = 0.3
SHOW_CONTEXT = 0.4
# A caption is the bare name of the style with this probability, since that is the commonest
# prompt. Whoever types it wants the whole band: parts of a band have captions that say so.
BARE_STYLE = 0.3
# This share of the windows with a context goes on with another song from the bar line: a jam whose
# prompt changes continues music of another kind, and must follow the new prompt.
CHANGE_SONG = 0.3


@dataclass(frozen=True)
class Window:
    """One training example.

    ``frames`` is float32 (512, 2, bands) log-mel, of which the first ``context`` frames are given;
    ``caption`` is a row of the embeddings of the corpus; ``lead_sheet`` is (512, 17) and
    ``controls`` (6,) features; ``pitched`` is False where only drums play. After the
    context come the frames of ``song`` that begin ``context`` frames after ``begin``.
    """

    frames: FloatArray
    caption: int
    bpm: float
    lead_sheet: torch.Tensor
    controls: torch.Tensor
    context: int
    prompt_known: bool
    tempo_known: bool
    labels: CaptionLabels
    pitched: bool
    song: int
    begin: int


@dataclass(frozen=True)
class Batch:
    """A batch of windows.

    ``images`` is float32 (windows, 2, bands, 512), standardised; ``labels`` has what each caption
    names; ``pitched`` is (windows,), 0 where only drums play. ``songs`` and ``begins`` say which
    frames of the corpus the windows are.
    """

    images: torch.Tensor
    conditioning: Conditioning
    labels: tuple[CaptionLabels, ...]
    pitched: torch.Tensor
    songs: tuple[int, ...]
    begins: tuple[int, ...]

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on another device."""
        return replace(
            self,
            images=self.images.to(device),
            conditioning=self.conditioning.to(device),
            pitched=self.pitched.to(device),
        )


def draw_batch(corpus: Corpus, rng: np.random.Generator, size: int) -> Batch:
    """Return ``size`` random windows as one batch."""
    windows = [draw_window(corpus, rng) for _ in range(size)]
    images = corpus.standardise([window.frames for window in windows])
    conditioning = make_conditioning(windows, _embed_with_noise(corpus, windows, rng))
    pitched = torch.tensor([float(window.pitched) for window in windows])
    return Batch(
        images,
        conditioning,
        tuple(window.labels for window in windows),
        pitched,
        tuple(window.song for window in windows),
        tuple(window.begin for window in windows),
    )


def draw_window(corpus: Corpus, rng: np.random.Generator) -> Window:
    """Return a random window with randomly dropped conditioning.

    Raises InvalidInput where a frame is not finite.
    """
    song = corpus.draw_song(rng)
    about = corpus.songs[song]
    start = corpus.draw_start(rng, song)
    frames = corpus.frames(song, start, FRAMES)
    sheet = corpus.lead_sheet(about, start, FRAMES)
    context = 0
    if rng.random() < SHOW_CONTEXT:
        context = PATCH * int(rng.integers(1, MAX_CONTEXT + 1))
    prompt_known = bool(rng.random() >= DROP_PROMPT)
    if context and prompt_known and rng.random() < CHANGE_SONG:
        start, frames, sheet = splice_songs(corpus, rng, song, context)
    if not np.isfinite(frames).all():
        raise InvalidInput("song", f"{about.style} at {about.offset}", NOT_FINITE)
    features = lead_sheet_features(sheet, FRAMES)
    if rng.random() < DROP_BEAT:
        features[:, TURNS] = features[:, BEAT_KNOWN] = 0
    if rng.random() < DROP_CHORDS:
        features[:, CHORDS] = 0
    caption = draw_caption(about, corpus.has_band(about.style), rng)
    return Window(
        frames,
        corpus.caption_row(caption),
        about.bpm,
        features,
        _draw_controls(corpus.statistics, about, frames[context:], rng),
        context,
        prompt_known,
        bool(rng.random() >= DROP_TEMPO),
        find_labels(caption, about.style, about.lead),
        bool(about.programs),
        song,
        start,
    )


def cut_windows(
    corpus: Corpus, rng: np.random.Generator, songs: npt.NDArray[np.int64]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a random window of each of ``songs``, without dropping anything.

    The first tensor holds standardised images (songs, 2, bands, 512), the second the features of
    their lead sheets (songs, 512, 17).
    """
    frames, sheets = [], []
    for number in songs.tolist():
        start = corpus.draw_start(rng, number)
        frames.append(corpus.frames(number, start, FRAMES))
        sheet = corpus.lead_sheet(corpus.songs[number], start, FRAMES)
        sheets.append(lead_sheet_features(sheet, FRAMES))
    return corpus.standardise(frames), torch.stack(sheets)


def splice_songs(
    corpus: Corpus, rng: np.random.Generator, song: int, context: int
) -> tuple[int, FloatArray, LeadSheet]:
    """Return a window in which ``song`` follows ``context`` frames of another, random song.

    The frames (512, 2, bands) change songs where both have a bar line. The beats of the returned
    lead sheet count from that bar line. The first number is the frame of ``song`` at which the
    window would begin without the other one.
    """
    about, other = corpus.songs[song], int(rng.integers(len(corpus.songs)))
    past = corpus.songs[other]
    start = _draw_bar_line(rng, about, 0, about.frames - FRAMES)
    end = _draw_bar_line(rng, past, context, past.frames)
    frames = np.concatenate(
        [
            corpus.frames(other, end - context, context),
            corpus.frames(song, start, FRAMES - context),
        ]
    )
    before = corpus.lead_sheet(past, end - context, context)
    after = corpus.lead_sheet(about, start, FRAMES - context)
    beats = np.concatenate([before.beats - before.beats[-1], after.beats - after.beats[0]])
    chroma = np.concatenate([before.chroma, after.chroma])
    return start - context, frames, LeadSheet(beats, about.beats_per_bar, chroma)


def _draw_bar_line(rng: np.random.Generator, song: Song, least: int, most: int) -> int:
    """Return a random frame on a bar line of ``song`` from ``least`` to ``most``."""
    bar = song.beats_per_bar * 60.0 / song.bpm / COMPACT_PARAMS.frame_s
    first, last = int(np.ceil(least / bar)), int(max(least, most) / bar)
    return min(song.frames, round(int(rng.integers(first, max(first, last) + 1)) * bar))


def draw_caption(song: Song, has_band: bool, rng: np.random.Generator) -> str:
    """Return a caption of the song, at times the bare name of its style where it plays in full."""
    bare = is_full_arrangement(song, has_band) and rng.random() < BARE_STYLE
    return song.style if bare else str(rng.choice(song.captions))


def _draw_controls(
    statistics: Statistics, song: Song, frames: FloatArray, rng: np.random.Generator
) -> torch.Tensor:
    """Return the features (6,) of the controls of ``frames``, each dropped at random.

    They are measured in the window itself: over whole songs they hardly differ within a style, and
    a network that knows the style learns nothing from them.
    """
    known = rng.random(3) >= DROP_CONTROL
    ranks = (
        _rank(measure_density(frames), statistics.density),
        _rank(measure_brightness(frames), statistics.brightness),
        0.2 + 0.8 * _rank(measure_drumming(frames), statistics.drums)
        if song.drum_hits_per_s
        else 0.0,
    )
    values = [rank if use else None for rank, use in zip(ranks, known, strict=True)]
    return control_features(Controls(*values))


def _embed_with_noise(
    corpus: Corpus, windows: Sequence[Window], rng: np.random.Generator
) -> torch.Tensor:
    """Return embeddings of the captions, (windows, 384), with noise of random strength."""
    text = corpus.embeddings[[window.caption for window in windows]].float()
    strength = CAPTION_NOISE * rng.random((len(windows), 1), np.float32)
    noise = rng.standard_normal(tuple(text.shape), np.float32)
    return text + torch.from_numpy(strength * noise)


def make_conditioning(windows: Sequence[Window], text: torch.Tensor) -> Conditioning:
    """Return the conditioning of windows whose embedded captions are ``text``, (windows, 384)."""
    prompt_known = torch.tensor([[float(w.prompt_known)] for w in windows])
    tempo_known = [float(w.tempo_known) for w in windows]
    tempo = [[w.bpm / TEMPO_SCALE * k, k] for w, k in zip(windows, tempo_known, strict=True)]
    frames = torch.arange(FRAMES)
    return Conditioning(
        text * prompt_known,
        prompt_known,
        torch.tensor(tempo),
        torch.stack([w.controls for w in windows]),
        torch.stack([w.lead_sheet for w in windows]),
        torch.stack([(frames < w.context).float() for w in windows]),
    )


def _rank(value: float, ordered: FloatArray) -> float:
    return float(np.searchsorted(ordered, value)) / max(1, len(ordered))
