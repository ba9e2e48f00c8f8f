"""Windows of the corpus as training batches, with everything known about them as conditioning."""

from __future__ import annotations

import hashlib
import json
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

from riffusion.engines.clip import Controls, LeadSheet
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.features import control_features, lead_sheet_features
from riffusion.engines.compact.network import BEAT_KNOWN, CHORDS, TEMPO_SCALE, TURNS, Conditioning
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.engines.compact.prompt_encoder import prompt_encoder
from riffusion.errors import InvalidInput
from riffusion.music.harmony import parse_chords
from riffusion.spectral.log_mel import ImageScale
from riffusion.storage import writing_whole
from riffusion.training.corpus.captions import Named, named_in, scenes_of
from riffusion.training.corpus.shards import Song, open_frames, read_songs

FloatArray = npt.NDArray[np.float32]

FRAMES = 512
PATCH = 8
MAX_CONTEXT = 44  # patches: what a jam shows at its slowest hop
STATISTICS_WINDOWS = 500
# Deviation of the balance in the image: half the loudness's, because much of it is the noise of
# reverberation, which no network can or need predict.
BALANCE_DEVIATION = 0.5
NOT_FINITE = "has frames that are no numbers: render the shard again"
# Of what counts as an onset: in eighths of the bands, in tens of dB, in frames.
ONSET_PARTS, MIN_RISE, ONSET_SLOT = 8, 0.2, 5

# Noise on the embedding of a caption, at most, in its own deviations: wordings that nobody wrote
# lie between and around those that somebody did.
CAPTION_NOISE = 0.7
READ_AT_ONCE = 4096

# How often each part is left out, so that guidance and partial control work.
DROP_PROMPT = 0.1
DROP_TEMPO = 0.3
DROP_CONTROL = 0.5
DROP_BEAT = 0.15
DROP_CHORDS = 0.3
SHOW_CONTEXT = 0.4
# How often a caption is the name of the style and nothing else: the commonest of prompts. Whoever
# types it wants the band: what only a part of the band plays has captions that say so.
BARE_STYLE = 0.3
WHOLE_BANDS = ("band", "no lead")
# How much oftener than others the songs of an emphasised style are drawn.
EMPHASIS = 3
# Of the windows with a context, how many go on with another song from the bar line: a jam whose
# prompt changes continues music of another kind, and must follow the new prompt.
CHANGE_SONG = 0.3


@dataclass(frozen=True)
class Window:
    """One training example. ``frames`` (512, 2, bands) log-mel; ``context`` are given."""

    frames: FloatArray
    caption: int
    bpm: float
    lead_sheet: torch.Tensor
    controls: torch.Tensor
    context: int
    prompt_known: bool
    tempo_known: bool
    named: Named
    pitched: bool


@dataclass(frozen=True)
class Batch:
    """``images`` (windows, 2, bands, 512), standardised, their conditioning, what their captions
    name, and ``pitched`` (windows,), 0 where only drums play."""

    images: torch.Tensor
    conditioning: Conditioning
    named: tuple[Named, ...]
    pitched: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return replace(
            self,
            images=self.images.to(device),
            conditioning=self.conditioning.to(device),
            pitched=self.pitched.to(device),
        )


@dataclass(frozen=True)
class Statistics:
    """The scale of log-mel images, and sorted samples that turn a measure into a rank."""

    scale: ImageScale
    density: FloatArray
    brightness: FloatArray
    drums: FloatArray


class Corpus:
    """Songs of one split, memory-mapped, with their captions embedded."""

    def __init__(
        self,
        folder: Path,
        split: str,
        scale: ImageScale | None = None,
        emphasis: Sequence[str] = (),
    ) -> None:
        """``scale`` of the images; without one, that of this split. Windows come oftener from
        songs in the styles of ``emphasis``: InvalidInput where there is none in one of them."""
        entries = [(path, song) for path, song in read_songs(folder) if song.split == split]
        shards = groupby(entries, key=itemgetter(0))
        arrays = {path: open_frames(path, [song for _, song in group]) for path, group in shards}
        self.songs: list[Song] = [song for _, song in entries]
        self._draws = emphasised([song.style for song in self.songs], emphasis)
        self._bands = {song.style for song in self.songs if song.arrangement in WHOLE_BANDS}
        self._arrays = [arrays[path] for path, _ in entries]
        self._captions, self.embeddings = embedded_captions(folder)
        rng = np.random.default_rng(0)
        measured = self._measure(rng)
        self.statistics = measured if scale is None else replace(measured, scale=scale)

    def plain_captions(self) -> torch.Tensor:
        """Vectors of the captions that name what sounds, (captions, 384): all but scenes."""
        scenes = {scene for song in self.songs for scene in scenes_of(song.style)}
        rows = [row for caption, row in self._captions.items() if caption not in scenes]
        return self.embeddings[rows].float()

    def adapt_captions(self, adapter: PromptAdapter) -> None:
        """Take captions for what ``adapter`` makes of them, as the model will be asked."""
        parts = torch.split(self.embeddings.float(), READ_AT_ONCE)
        self.embeddings = torch.cat([adapter(part).half() for part in parts])

    def is_whole(self, song: Song) -> bool:
        """Whether it is all of what its style plays: the band, where there is one."""
        return is_whole(song, song.style in self._bands)

    def frames(self, song: int, start: int, count: int) -> FloatArray:
        """``count`` frames of a song from ``start`` on, (count, 2, bands); the last is held."""
        about = self.songs[song]
        stop = min(start + count, about.frames)
        cut = self._arrays[song][about.offset + start : about.offset + stop].astype(np.float32)
        missing = count - len(cut)
        return np.pad(cut, ((0, missing), (0, 0), (0, 0)), mode="edge") if missing else cut

    def window(self, rng: np.random.Generator) -> Window:
        """A random window with randomly dropped conditioning."""
        song = self._draws[int(rng.integers(len(self._draws)))]
        about = self.songs[song]
        start = int(rng.integers(max(1, about.frames - FRAMES)))
        frames = self.frames(song, start, FRAMES)
        sheet = self.lead_sheet(about, start, FRAMES)
        context = 0
        if rng.random() < SHOW_CONTEXT:
            context = PATCH * int(rng.integers(1, MAX_CONTEXT + 1))
        prompt_known = bool(rng.random() >= DROP_PROMPT)
        if context and prompt_known and rng.random() < CHANGE_SONG:
            frames, sheet = self._with_other_past(rng, song, context)
        if not np.isfinite(frames).all():
            raise InvalidInput("song", f"{about.style} at {about.offset}", NOT_FINITE)
        features = lead_sheet_features(sheet, FRAMES)
        if rng.random() < DROP_BEAT:
            features[:, TURNS] = features[:, BEAT_KNOWN] = 0
        if rng.random() < DROP_CHORDS:
            features[:, CHORDS] = 0
        caption = caption_of(about, about.style in self._bands, rng)
        return Window(
            frames,
            self._captions[caption],
            about.bpm,
            features,
            self._controls(about, frames[context:], rng),
            context,
            prompt_known,
            bool(rng.random() >= DROP_TEMPO),
            named_in(caption, about.style, about.lead),
            bool(about.programs),
        )

    def cuts(
        self, rng: np.random.Generator, songs: npt.NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A random window of each of ``songs``: (songs, 2, bands, 512) standardised images, and
        the features of their lead sheets (songs, 512, 17)."""
        frames, sheets = [], []
        for number in songs.tolist():
            about = self.songs[number]
            start = int(rng.integers(max(1, about.frames - FRAMES)))
            frames.append(self.frames(number, start, FRAMES))
            sheet = self.lead_sheet(about, start, FRAMES)
            sheets.append(lead_sheet_features(sheet, FRAMES))
        return self._image(frames), torch.stack(sheets)

    def _image(self, frames: Sequence[FloatArray]) -> torch.Tensor:
        levels = torch.from_numpy(np.stack(frames))
        return self.statistics.scale.image(levels.permute(0, 2, 3, 1))

    def _with_other_past(
        self, rng: np.random.Generator, song: int, context: int
    ) -> tuple[FloatArray, LeadSheet]:
        """A song from one of its bar lines on, after ``context`` frames of another song that end
        on a bar line of its own."""
        about, other = self.songs[song], int(rng.integers(len(self.songs)))
        past = self.songs[other]
        start = self._bar_line(rng, about, 0, about.frames - FRAMES)
        end = self._bar_line(rng, past, context, past.frames)
        frames = np.concatenate(
            [self.frames(other, end - context, context), self.frames(song, start, FRAMES - context)]
        )
        before = self.lead_sheet(past, end - context, context)
        after = self.lead_sheet(about, start, FRAMES - context)
        beats = np.concatenate([before.beats - before.beats[-1], after.beats - after.beats[0]])
        chroma = np.concatenate([before.chroma, after.chroma])
        return frames, LeadSheet(beats, about.beats_per_bar, chroma)

    @staticmethod
    def _bar_line(rng: np.random.Generator, song: Song, least: int, most: int) -> int:
        """A random frame on a bar line of ``song`` from ``least`` to ``most``."""
        bar = song.beats_per_bar * 60.0 / song.bpm / COMPACT_PARAMS.frame_s
        first, last = int(np.ceil(least / bar)), int(max(least, most) / bar)
        return min(song.frames, round(int(rng.integers(first, max(first, last) + 1)) * bar))

    @staticmethod
    def lead_sheet(song: Song, start: int, count: int) -> LeadSheet:
        """Beat and chord of ``count`` frames of a song from ``start`` on."""
        seconds = (start + np.arange(count, dtype=np.float64)) * COMPACT_PARAMS.frame_s
        beats: npt.NDArray[np.float64] = seconds * (song.bpm / 60.0)
        bars = np.floor(beats / song.beats_per_bar + 1e-6).astype(int)
        chroma = np.stack([_chroma(chord) for chord in song.chords])
        return LeadSheet(beats, song.beats_per_bar, chroma[np.clip(bars, 0, len(chroma) - 1)])

    def _controls(self, song: Song, frames: FloatArray, rng: np.random.Generator) -> torch.Tensor:
        """Controls of what sounds in the window itself: of a whole song they hardly differ within
        a style, and a network that knows the style learns nothing from them."""
        known = rng.random(3) >= DROP_CONTROL
        statistics = self.statistics
        ranks = (
            _rank(density(frames), statistics.density),
            _rank(brightness(frames), statistics.brightness),
            0.2 + 0.8 * _rank(drumming(frames), statistics.drums) if song.drum_hits_per_s else 0.0,
        )
        values = [rank if use else None for rank, use in zip(ranks, known, strict=True)]
        return control_features(Controls(*values))

    def _measure(self, rng: np.random.Generator) -> Statistics:
        dense, bright, drums = [], [], []
        sums = []  # of the loudness, its square and the balance's square
        for _ in range(STATISTICS_WINDOWS):
            song = int(rng.integers(len(self.songs)))
            start = int(rng.integers(max(1, self.songs[song].frames - FRAMES)))
            frames = self.frames(song, start, FRAMES)
            dense.append(density(frames))
            bright.append(brightness(frames))
            if self.songs[song].drum_hits_per_s:
                drums.append(drumming(frames))
            loudness, balance = frames.mean(1), (frames[:, 0] - frames[:, 1]) / 2
            sums.append((loudness.mean(), (loudness**2).mean(), (balance**2).mean()))
        mean, square, balance_square = (float(value) for value in np.mean(sums, 0))
        scale = ImageScale(
            round(mean, 4),
            round(math.sqrt(square - mean**2), 4),
            round(math.sqrt(balance_square) / BALANCE_DEVIATION, 4),
        )
        return Statistics(scale, _sorted(dense), _sorted(bright), _sorted(drums))

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """``size`` random windows."""
        windows = [self.window(rng) for _ in range(size)]
        images = self._image([window.frames for window in windows])
        conditioning = conditioning_of(windows, self._disturbed(windows, rng))
        pitched = torch.tensor([float(window.pitched) for window in windows])
        return Batch(images, conditioning, tuple(window.named for window in windows), pitched)

    def _disturbed(self, windows: Sequence[Window], rng: np.random.Generator) -> torch.Tensor:
        """Embeddings of the captions, (windows, 384), with noise of random strength."""
        text = self.embeddings[[window.caption for window in windows]].float()
        strength = CAPTION_NOISE * rng.random((len(windows), 1), np.float32)
        noise = rng.standard_normal(tuple(text.shape), np.float32)
        return text + torch.from_numpy(strength * noise)


def conditioning_of(windows: Sequence[Window], text: torch.Tensor) -> Conditioning:
    """The conditioning of a batch of windows, their captions embedded as ``text``."""
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


def emphasised(styles: Sequence[str], emphasis: Sequence[str]) -> list[int]:
    """The numbers of songs, by their styles: each once, those of emphasised styles oftener."""
    for style in emphasis:
        if style not in styles:
            legal = f"use some of {', '.join(sorted(set(styles)))}"
            raise InvalidInput("style to emphasise", style, legal)
    return [n for n, s in enumerate(styles) for _ in range(EMPHASIS if s in emphasis else 1)]


def is_whole(song: Song, has_band: bool) -> bool:
    """Not where it is a solo or drums alone in a style that has a band."""
    return song.arrangement in WHOLE_BANDS or not has_band


def caption_of(song: Song, has_band: bool, rng: np.random.Generator) -> str:
    """One of the song's captions, or, of what is whole, the bare name of its style."""
    bare = is_whole(song, has_band) and rng.random() < BARE_STYLE
    return song.style if bare else str(rng.choice(song.captions))


def brightness(frames: FloatArray) -> float:
    """Centre of mass of the energy over the mel bands, of (frames, channels, bands), in bands."""
    magnitudes = np.power(10.0, frames)
    bands = np.arange(frames.shape[-1])
    return float((magnitudes @ bands).sum() / magnitudes.sum())


def density(frames: FloatArray) -> float:
    """Onsets a second of (frames, channels, bands): peaks of the rise of any eighth of the bands
    that stand out, at most one in each 50 ms."""
    rise = np.maximum(0.0, np.diff(frames.mean(1), axis=0))
    parts = rise.reshape(len(rise), ONSET_PARTS, -1).mean(2)
    peaks = (parts[1:-1] > parts[:-2]) & (parts[1:-1] >= parts[2:]) & (parts[1:-1] > MIN_RISE)
    slots = np.unique(np.flatnonzero(peaks.any(1)) // ONSET_SLOT)
    return len(slots) / (len(frames) * COMPACT_PARAMS.frame_s)


def drumming(frames: FloatArray) -> float:
    """Mean rise in the highest third of the bands of (frames, channels, bands): cymbals, snares
    and sticks."""
    treble = frames.mean(1)[:, -(frames.shape[-1] // 3) :]
    return float(np.maximum(0.0, np.diff(treble, axis=0)).mean())


def embedded_captions(folder: Path) -> tuple[dict[str, int], torch.Tensor]:
    """Every caption's row, and the rows, float16 (captions, 384); made once a corpus."""
    songs = [song for _, song in read_songs(folder)]
    captions = sorted({caption for song in songs for caption in (song.style, *song.captions)})
    key = hashlib.sha256(json.dumps(captions).encode()).hexdigest()[:16]
    cache = folder / f"captions-{key}.npy"
    if not cache.exists():
        embedded = prompt_encoder()(captions).to(torch.float16).numpy()
        with writing_whole(cache) as file:
            np.save(file, embedded)
    return {caption: row for row, caption in enumerate(captions)}, torch.from_numpy(np.load(cache))


@lru_cache(maxsize=1024)
def _chroma(chord: str) -> FloatArray:
    return parse_chords(chord)[0].chroma()


def _rank(value: float, ordered: FloatArray) -> float:
    return float(np.searchsorted(ordered, value)) / max(1, len(ordered))


def _sorted(values: Sequence[float]) -> FloatArray:
    return np.sort(np.asarray(values, np.float32))
