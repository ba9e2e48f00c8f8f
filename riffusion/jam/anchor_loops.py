"""Anchor loops are anchors that repeat in time with a jam.

An anchor is whole bars of sound. Its spectrogram has no phases, so it plays at any tempo: each
frame of a window takes the frame of the anchor at the same position in its bars. A mask lies over
the anchor and repeats with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from riffusion.audio.waveform import Waveform, decode_audio, encode_audio
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidAudio
from riffusion.jam.anchors import (
    anchor_sound,
    find_anchor,
    is_file_name,
    load_sound,
    matched_to_engine,
)
from riffusion.jam.asset import AssetRef, make_upload
from riffusion.jam.masks import (
    COLUMNS,
    Mask,
    image_mask,
    mask_picture,
    mask_rows,
    named_mask,
)
from riffusion.jam.settings import JamSettings
from riffusion.music.rhythm import BarGrid, bar_duration_s, count_bars
from riffusion.spectral.image import encode_image, open_image
from riffusion.spectral.spectrogram import Spectrogram, mel_spectrogram

# A loop has room for a phrase, and a session file with it is small enough to mail.
MAX_ANCHOR_S = 20.0
# The level under which an anchor counts as silent when two are blended, relative to their peak.
FLOOR = 1e-4
ANCHOR_RATE = 44100


@dataclass(frozen=True)
class AnchorLoop:
    """An anchor in the geometry of an engine, (channels, mel bands, n), and how it repeats.

    ``beats`` is its length in beats, or None for the number of whole bars nearest to its duration.
    ``mask`` is float32 (mel bands, 512), or None.
    """

    spectrogram: Spectrogram
    beats: int | None
    mask: Mask | None

    def length(self, settings: JamSettings) -> int:
        """Return after how many beats it repeats in a jam of these settings."""
        if self.beats is not None:
            return self.beats
        bar_s = bar_duration_s(settings.bpm, settings.beats_per_bar)
        duration_s = self.spectrogram.frames * self.spectrogram.params.frame_s
        return max(1, round(duration_s / bar_s)) * settings.beats_per_bar

    def window(
        self, beats: npt.NDArray[np.float64], settings: JamSettings
    ) -> tuple[Spectrogram, Mask | None]:
        """Return its frames at positions ``beats`` (frames,) since it began, and its mask there."""
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


def blend_anchors(start: Spectrogram, end: Spectrogram, alpha: float) -> Spectrogram:
    """Return the spectrogram on the way from one to the other, each of (channels, mel, frames).

    Levels are interpolated, and so magnitudes geometrically: the ear hears levels. They are bounded
    from below, since silence has no level.
    """
    floor = FLOOR * float(max(start.magnitudes.max(), end.magnitudes.max()))
    low, high = (one.magnitudes.clamp_min(floor).log() for one in (start, end))
    if alpha in (0.0, 1.0) or floor == 0.0:
        return end if alpha == 1.0 else start
    return Spectrogram(torch.lerp(low, high, alpha).exp(), start.params)


def make_anchor_loop(engine: Engine, anchor: AssetRef, mask: AssetRef | None) -> AnchorLoop:
    """Return the loop of an anchor for ``engine``. Raises InvalidInput for unknown names."""
    sound, beats = _whole_bars(anchor)
    once = matched_to_engine(sound, engine)
    # It is analysed with itself before and after it, so that its ends meet.
    hop, params = engine.params.hop_length, engine.params
    count = max(1, round(once.samples.shape[1] / hop))
    margin = -(-params.n_fft // hop)
    around = np.pad(once.samples, ((0, 0), (margin * hop, margin * hop)), mode="wrap")
    repeated = mel_spectrogram(Waveform(around, params.sample_rate), params)
    rows = None if mask is None else mask_rows(_load_mask(mask), engine)
    return AnchorLoop(repeated.cut(margin, margin + count), beats, rows)


def library_anchor(name: str) -> AssetRef:
    """Return a reference to an anchor of the library. Raises InvalidInput that lists them."""
    return AssetRef(find_anchor(name, "anchor").id)


def library_mask(name: str) -> AssetRef:
    """Return a reference to a mask by name. Raises InvalidInput that lists them."""
    named_mask(name)
    return AssetRef(name)


def load_anchor_ref(source: str) -> AssetRef:
    """Return an anchor for ``JamSettings``.

    Parameters
    ----------
    source : str
        A name of the library (see ``library``), or a file with audio or a spectrogram image, of
        which the first 20 s are used.

    Raises
    ------
    InvalidInput
        If ``source`` is neither a name of the library nor such a file, or is silent.

    Examples
    --------
    >>> import riffusion
    >>> bells = riffusion.Prompt("church bells")
    >>> anchor = riffusion.load_anchor_ref("marimba")
    >>> settings = riffusion.JamSettings(bells, bells, anchor=anchor, strength=0.6)
    """
    return encode_anchor(load_sound(source)) if is_file_name(source) else library_anchor(source)


def load_mask_ref(source: str) -> AssetRef:
    """Return a mask for ``JamSettings``.

    Parameters
    ----------
    source : str
        A name, such as ``lower_half``, or an image file of 512 x 512 pixels: white is generated
        anew, black keeps the anchor.

    Raises
    ------
    InvalidInput
        If ``source`` is neither a name nor such a file. The message lists the names.

    Examples
    --------
    >>> import riffusion
    >>> bells = riffusion.Prompt("church bells")
    >>> anchor = riffusion.load_anchor_ref("marimba")
    >>> mask = riffusion.load_mask_ref("lower_half")
    >>> settings = riffusion.JamSettings(bells, bells, anchor=anchor, mask=mask)
    """
    if is_file_name(source):
        return encode_mask(image_mask(open_image(source)))
    return library_mask(source)


def encode_anchor(sound: Waveform) -> AssetRef:
    """Return the first 20 s of a sound as an uploaded anchor. Raises InvalidAudio for silence."""
    if sound.channels > 2:
        sound = sound.mono()
    first = Waveform(sound.samples[:, : round(MAX_ANCHOR_S * sound.sample_rate)], sound.sample_rate)
    if not np.any(first.samples):
        raise InvalidAudio("anchor", "silence", "bring a sound")
    return make_upload(encode_audio(first.resample(ANCHOR_RATE), ".flac"))


def encode_mask(mask: Mask) -> AssetRef:
    """Return a mask, float32 (512, 512), as an uploaded one."""
    return make_upload(encode_image(mask_picture(mask)))


def _whole_bars(anchor: AssetRef) -> tuple[Waveform, int | None]:
    """Return the sound of an anchor and its length in beats, None for an upload.

    An anchor of the library is cut to its whole bars.
    """
    if anchor.is_uploaded:
        return decode_audio(anchor.data), None
    known = find_anchor(anchor.name, "anchor")
    return whole_bars(anchor_sound(known), known.settings)


def whole_bars(sound: Waveform, settings: JamSettings) -> tuple[Waveform, int]:
    """Return the whole bars of a sound that begins on a bar line, and their length in beats."""
    grid = BarGrid(sound.sample_rate, settings.bpm, settings.beats_per_bar)
    bars = max(1, int(count_bars(sound.duration_s, settings.bpm, settings.beats_per_bar)))
    cut = Waveform(sound.samples[:, : grid.bar_sample(bars)], sound.sample_rate)
    return cut, bars * settings.beats_per_bar


def _load_mask(mask: AssetRef) -> Mask:
    """Return the mask that a reference stands for: float32 (512, 512)."""
    if mask.is_uploaded:
        return image_mask(open_image(mask.data))
    return named_mask(mask.name)
