"""A judge of harmony, which estimates the chord at each time and the key from sound alone.

It is a convolutional network over a logarithmic frequency axis that is folded to pitch classes, and
every layer treats all transpositions alike (as in Korzeniowski and Widmer, "Genre-agnostic key
classification with convolutional neural networks", 2018). It is trained on renders of the training
split, whose chords are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.music.harmony import Mode
from riffusion.spectral.spectrogram import band_centres_hz
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.corpus.features import FloatArray
from riffusion.training.corpus.shards import Song, find_key
from riffusion.training.evaluation.judge_training import (
    CENTRE,
    SPREAD,
    CoarseSongs,
    pool_levels,
    train_network,
)
from riffusion.training.precision import choose_autocast

FRAMES_EACH = 10
BINS = 36  # per octave
OCTAVES = 6
LOWEST_HZ = 65.406 * 2 ** (-1 / 36)  # the middle of three bins is a semitone of C2
WIDTH, DEEP = 16, 32
BATCH = 16
LENGTHS = (51, 100, 200)  # of training windows, in tenths of a second
RATE = 3e-3
KEY_WEIGHT = 0.3


def make_log_frequency_bank() -> torch.Tensor:
    """Return the share of each mel band in each bin by linear interpolation, (mel, bins)."""
    centres = np.log2(band_centres_hz(COMPACT_PARAMS))
    places = np.log2(LOWEST_HZ) + np.arange(OCTAVES * BINS) / BINS
    rows = [np.interp(places, centres, row) for row in np.eye(len(centres))]
    return torch.from_numpy(np.stack(rows)).float()


@dataclass(frozen=True)
class Harmony:
    """The estimated harmony of a clip.

    ``chords`` (tenths of a second, 12) has the probability that a pitch class (C first) belongs to
    the chord; ``keys`` (24,) has that of each key, the major ones first.
    """

    chords: FloatArray
    keys: FloatArray

    @property
    def key(self) -> tuple[int, Mode]:
        """Return tonic (0 is C) and mode of the likeliest key."""
        best = int(self.keys.argmax())
        return best % 12, "minor" if best >= 12 else "major"

    @property
    def tonic(self) -> int:
        """Return the likeliest tonic of either mode."""
        return int(self.keys.reshape(2, 12).sum(0).argmax())

    def find_transposition(self, asked: FloatArray) -> int:
        """Return by how many semitones up the asked chords, (frames, 12), fit best."""
        wanted = asked[FRAMES_EACH // 2 :: FRAMES_EACH][: len(self.chords)]
        centred = wanted - wanted.mean(1, keepdims=True)
        fits = [float((np.roll(centred, by, 1) * self.chords).sum()) for by in range(12)]
        return int(np.argmax(fits))


class HarmonyJudge(nn.Module):
    """Maps log-mel images (batch, tenths, mel) to logits of chords and keys.

    Chords are (batch, tenths, 12), C first; keys are (batch, 24), the major keys first.
    """

    bank: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bank", make_log_frequency_bank(), persistent=False)
        self.partials = nn.Sequential(
            nn.Conv2d(1, WIDTH, (7, 3), padding=(3, 1)),
            nn.BatchNorm2d(WIDTH),
            nn.ELU(),
            nn.Conv2d(WIDTH, 24, (3, 1), stride=(3, 1)),
            nn.BatchNorm2d(24),
            nn.ELU(),
            nn.Conv2d(24, DEEP, (25, 1), padding=(12, 0)),
            nn.BatchNorm2d(DEEP),
            nn.ELU(),
            nn.Conv2d(DEEP, DEEP, (13, 3), padding=(6, 1)),
            nn.BatchNorm2d(DEEP),
            nn.ELU(),
        )
        # The octave of a tone shows whether it is the bass.
        self.fold = nn.Conv2d(DEEP * OCTAVES, 48, 1)
        self.mixed = nn.Conv2d(48, 48, (12, 5), padding=(0, 2))
        self.chord = nn.Conv2d(48, 1, 1)
        self.phrase = nn.Conv2d(48, 48, (12, 5), padding=(0, 4), dilation=(1, 2))
        self.key = nn.Conv1d(96, 2, 12)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        levels = ((images - CENTRE) / SPREAD) @ self.bank
        levels = levels - levels.mean(2, keepdim=True)
        tones = self.partials(levels.transpose(1, 2)[:, None])
        batch, channels, _, tenths = tones.shape
        folded = tones.reshape(batch, channels * OCTAVES, 12, tenths)
        features = F.elu(self.fold(folded))
        features = features + F.elu(self.mixed(_wrap_pitch_classes(features)))
        chords = self.chord(features)[:, 0].transpose(1, 2)
        phrase = F.elu(self.phrase(_wrap_pitch_classes(features)))
        summary = torch.cat([phrase.mean(3), phrase.amax(3)], 1)
        keys = self.key(_wrap_pitch_classes(summary[..., None])[..., 0])
        return chords, keys.flatten(1)

    @torch.inference_mode()
    def predict(self, levels: FloatArray) -> Harmony:
        """Return the estimated harmony of log-mel frames (frames, channels, bands)."""
        image = torch.from_numpy(pool_levels(levels, FRAMES_EACH, 1))
        chords, keys = self(image[None])
        return Harmony(chords[0].sigmoid().numpy(), keys[0].softmax(0).numpy())


def _wrap_pitch_classes(features: torch.Tensor) -> torch.Tensor:
    """Pitch classes go round: repeat the first eleven behind the last."""
    return torch.cat([features, features[:, :, :11]], 2)


def train_harmony_judge(corpus: Corpus, steps: int, seed: int = 1) -> HarmonyJudge:
    """Train a judge on random windows of ``corpus``, which should be its training split."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pitched = [number for number, song in enumerate(corpus.songs) if song.programs]
    songs = CoarseSongs.read(corpus, pitched, FRAMES_EACH, 1)
    judge = HarmonyJudge()

    def loss() -> torch.Tensor:
        length = int(rng.choice(LENGTHS))
        windows, origins = songs.draw(rng, BATCH, length)
        chords = torch.from_numpy(
            np.stack([_chroma(corpus, number, start, length) for number, start in origins])
        )
        keys = torch.tensor([find_key_class(corpus.songs[number]) for number, _ in origins])
        with choose_autocast("cpu"):
            chord_logits, key_logits = judge(windows)
        chord_error = F.binary_cross_entropy_with_logits(chord_logits.float(), chords)
        return chord_error + KEY_WEIGHT * F.cross_entropy(key_logits.float(), keys)

    music_s = BATCH * np.mean(LENGTHS) * FRAMES_EACH * COMPACT_PARAMS.frame_s
    train_network(judge, loss, steps, RATE, "training the judge of harmony", float(music_s))
    return judge


def find_key_class(song: Song) -> int:
    """Return the index of a song's key among the classes of the judge."""
    tonic, mode = find_key(song)
    return tonic + 12 * (mode == "minor")


def _chroma(corpus: Corpus, number: int, start: int, length: int) -> FloatArray:
    sheet = corpus.lead_sheet(corpus.songs[number], start, length * FRAMES_EACH)
    return sheet.chroma[FRAMES_EACH // 2 :: FRAMES_EACH]
