"""Loops: anchors that go round in time with a jam.

An anchor is whole bars of sound. Its spectrogram keeps no phases, so it plays at any tempo: each
frame of a window takes the anchor's frame at the same place of its bars. A mask lies over the
anchor and goes round with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffusion.audio.waveform import Waveform, decode_audio, encode_audio
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidAudio
from riffusion.jam.anchors import (
    anchor_sound,
    find_anchor,
    is_file_name,
    matched_to_engine,
    source_sound,
)
from riffusion.jam.asset import AssetRef, own_asset
from riffusion.jam.masks import (
    COLUMNS,
    Mask,
    image_mask,
    mask_picture,
    mask_rows,
    named_mask,
)
from riffusion.jam.settings import JamSettings
from riffusion.music.rhythm import BarGrid
from riffusion.spectral.image import encode_image, open_image
from riffusion.spectral.spectrogram import Spectrogram, mel_spectrogram

# Enough for a phrase, and little enough to mail.
MAX_LOOP_S = 20.0
LOOP_RATE = 44100


@dataclass(frozen=True)
class Loop:
    """An anchor as an engine sees it, (channels, mel, n), and how it repeats.

    ``beats``: its length in beats, or None where that is as many whole bars as come nearest to
    its duration. ``mask``: float32 (mel, 512), or None.
    """

    spectrogram: Spectrogram
    beats: int | None
    mask: Mask | None

    def length(self, settings: JamSettings) -> int:
        """Beats until it comes round in a jam of these settings."""
        if self.beats is not None:
            return self.beats
        bar_s = settings.beats_per_bar * 60.0 / settings.bpm
        duration_s = self.spectrogram.frames * self.spectrogram.params.frame_s
        return max(1, round(duration_s / bar_s)) * settings.beats_per_bar

    def window(
        self, beats: npt.NDArray[np.float64], settings: JamSettings
    ) -> tuple[Spectrogram, Mask | None]:
        """What sounds of it at ``beats`` (frames,) since it began, and its mask there."""
        turns = np.mod(beats / self.length(settings), 1.0)
        count = self.spectrogram.frames
        frames = np.rint(turns * count).astype(np.int64) % count
        window = Spectrogram(
            self.spectrogram.magnitudes[..., frames].contiguous(), self.spectrogram.params
        )
        if self.mask is None:
            return window, None
        columns = (turns * COLUMNS).astype(np.int64) % COLUMNS
        return window, np.ascontiguousarray(self.mask[:, columns])


def make_loop(engine: Engine, anchor: AssetRef, mask: AssetRef | None) -> Loop:
    """The loop of an anchor for ``engine``. Raises InvalidInput for unknown names."""
    sound, beats = _whole_bars(anchor)
    once = matched_to_engine(sound, engine)
    # Heard with itself before and after it, so that its ends meet.
    hop, params = engine.params.hop_length, engine.params
    count = max(1, round(once.samples.shape[1] / hop))
    margin = -(-params.n_fft // hop)
    around = np.pad(once.samples, ((0, 0), (margin * hop, margin * hop)), mode="wrap")
    heard = mel_spectrogram(Waveform(around, params.sample_rate), params)
    rows = None if mask is None else mask_rows(_picture(mask), engine)
    return Loop(heard.cut(margin, margin + count), beats, rows)


def library_anchor(name: str) -> AssetRef:
    """An anchor of the library for a jam. Raises InvalidInput that lists them."""
    return AssetRef(find_anchor(name, "anchor").id)


def library_mask(name: str) -> AssetRef:
    """A mask by name for a jam. Raises InvalidInput that lists them."""
    named_mask(name)
    return AssetRef(name)


def anchor_of(source: str) -> AssetRef:
    """A jam's anchor: a name of the library, or a file with audio or a spectrogram image."""
    return own_anchor(source_sound(source)) if is_file_name(source) else library_anchor(source)


def mask_of(source: str) -> AssetRef:
    """A jam's mask: a name, or an image file of 512 x 512."""
    if is_file_name(source):
        return own_mask(image_mask(open_image(source)))
    return library_mask(source)


def own_anchor(sound: Waveform) -> AssetRef:
    """Somebody's own sound as an anchor: its first 20 s."""
    if sound.channels > 2:
        sound = sound.mono()
    first = Waveform(sound.samples[:, : round(MAX_LOOP_S * sound.sample_rate)], sound.sample_rate)
    if not np.any(first.samples):
        raise InvalidAudio("anchor", "silence", "bring a sound")
    return own_asset(encode_audio(first.resample(LOOP_RATE), ".flac"))


def own_mask(mask: Mask) -> AssetRef:
    """Somebody's own picture as a mask."""
    return own_asset(encode_image(mask_picture(mask)))


def _whole_bars(anchor: AssetRef) -> tuple[Waveform, int | None]:
    """The sound of an anchor, and its beats. One of the library is cut to its whole bars."""
    if anchor.is_own:
        return decode_audio(anchor.data), None
    known = find_anchor(anchor.name, "anchor")
    return whole_bars(anchor_sound(known), known.settings)


def whole_bars(sound: Waveform, settings: JamSettings) -> tuple[Waveform, int]:
    """As many whole bars as ``sound``, which begins on a bar line, has, and their beats."""
    grid = BarGrid(sound.sample_rate, settings.bpm, settings.beats_per_bar)
    bars = max(1, int(sound.duration_s * settings.bpm / 60 / settings.beats_per_bar))
    cut = Waveform(sound.samples[:, : grid.bar_sample(bars)], sound.sample_rate)
    return cut, bars * settings.beats_per_bar


def _picture(mask: AssetRef) -> Mask:
    if mask.is_own:
        return image_mask(open_image(mask.data))
    return named_mask(mask.name)
