"""Anchors are spectrograms that clips start from: clips of the library, or any audio or image.

Riffusion calls them seed images. Whatever the source, it becomes a spectrogram in the engine's own
geometry, as long as the engine's window and as loud as the clips that the engine was trained on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from riffusion.audio.waveform import INT16_SCALE, Waveform, read_audio
from riffusion.engines.clip import LeadSheet, Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import window_sheet
from riffusion.spectral.image import (
    READ_SUFFIXES,
    audio_to_image,
    from_image,
    image_to_audio,
    read_image,
)
from riffusion.spectral.spectrogram import Spectrogram, mel_spectrogram
from riffusion.spectral.tags import ImageInfo

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "anchors"
LIST = "anchors.json"
# The loudness of the clips that the shipped engine was trained on.
LEVEL_RMS = 0.1
# The names of the original's seed images stand for anchors of the same purpose. The music is not
# the same: see docs/coming-from-riffusion.md.
ORIGINALS = {
    "og_beat": "soul_beat",
    "agile": "funk_guitar",
    "marim": "marimba",
    "motorway": "night_drive",
    "vibes": "vibraphone",
}


@dataclass(frozen=True)
class Anchor:
    """A clip of the library, with the prompt, seed, tempo and key that it was generated from."""

    id: str
    prompt: str
    seed: int
    bpm: float
    key: str

    @property
    def path(self) -> Path:
        """The audio file of the anchor."""
        return FOLDER / f"{self.id}.ogg"

    @property
    def settings(self) -> JamSettings:
        """The settings of a jam with its prompt, tempo and key."""
        prompt = Prompt(self.prompt, self.seed)
        return JamSettings(prompt, prompt, bpm=self.bpm, key=self.key)

    def info(self) -> ImageInfo:
        """Return the tags of its spectrogram image."""
        return ImageInfo(prompt_a=self.prompt, seed_a=self.seed, bpm=self.bpm, harmony=self.key)

    def lead_sheet(self, engine: Engine) -> LeadSheet:
        """Return its beats and chords over a window of ``engine``."""
        return window_sheet(self.settings, engine.params, engine.frames)


@lru_cache(maxsize=1)
def library() -> tuple[Anchor, ...]:
    """Return the anchors that the package contains, in the order of their list.

    Raises
    ------
    OSError
        If the package's own files are missing.

    Examples
    --------
    >>> import riffusion
    >>> [anchor.id for anchor in riffusion.library()][:3]
    ['soul_beat', 'funk_guitar', 'marimba']
    """
    return tuple(Anchor(**entry) for entry in json.loads((FOLDER / LIST).read_text("utf-8")))


def find_anchor(name: str, what: str = "seed image") -> Anchor:
    """Return the anchor of the library with this id, or for one of the original's names.

    Raises InvalidInput that lists all ids, and calls the name ``what``. The name is looked up,
    never used as a path.
    """
    known = {anchor.id: anchor for anchor in library()}
    anchor = known.get(ORIGINALS.get(name, name))
    if anchor is None:
        hint = f"use one of {', '.join(known)} (or the original's {', '.join(ORIGINALS)})"
        raise InvalidInput(what, name, hint)
    return anchor


@lru_cache(maxsize=32)
def anchor_sound(anchor: Anchor) -> Waveform:
    """Return the sound of an anchor of the library."""
    return read_audio(anchor.path)


@lru_cache(maxsize=32)
def anchor_image(anchor: Anchor) -> Image.Image:
    """Return its spectrogram image in Riffusion's geometry, 512 rows high."""
    return audio_to_image(anchor_sound(anchor), info=anchor.info())


def read_anchor(source: str, engine: Engine) -> Spectrogram:
    """Return an anchor for the requests of an engine.

    Parameters
    ----------
    source : str
        A name of the library (see ``library``), or a file with audio or a spectrogram image.
    engine : Engine
        Determines the geometry: (channels, mel bands, frames) of its windows.

    Raises
    ------
    InvalidInput
        If ``source`` is neither a name of the library nor such a file.

    Examples
    --------
    >>> import riffusion
    >>> bells = riffusion.Prompt("church bells")
    >>> engine = riffusion.load_engine(device="cpu")
    >>> anchor = riffusion.read_anchor("marimba", engine)
    >>> request = riffusion.ClipRequest(bells, bells, anchor=anchor, strength=0.6)
    """
    if Path(source).suffix.lower() in READ_SUFFIXES:
        return fit_image(read_image(source), engine)
    return fit_sound(load_sound(source), engine)


def is_file_name(source: str) -> bool:
    """Return whether ``source`` is a file rather than a name of the library."""
    return bool(Path(source).suffix) or Path(source).is_file()


def load_sound(source: str) -> Waveform:
    """Return the sound of an anchor by name, or of a file with audio or a spectrogram image."""
    if Path(source).suffix.lower() in READ_SUFFIXES:
        return image_to_audio(read_image(source))
    if is_file_name(source):
        return read_audio(source)
    return anchor_sound(find_anchor(source))


def fit_sound(sound: Waveform, engine: Engine) -> Spectrogram:
    """Return the first window of ``sound``: (engine channels, mel bands, engine frames)."""
    return sound_window(matched_to_engine(sound, engine), engine)


def matched_to_engine(sound: Waveform, engine: Engine) -> Waveform:
    """Return ``sound`` at the engine's rate, with its channels and the loudness it expects."""
    samples = sound.resample(engine.params.sample_rate).samples
    if len(samples) != engine.channels:
        samples = np.repeat(samples.mean(axis=0, keepdims=True), engine.channels, axis=0)
    rms = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    return Waveform(
        samples * np.float32(LEVEL_RMS / rms if rms else 1.0), engine.params.sample_rate
    )


def sound_window(sound: Waveform, engine: Engine, start: int = 0) -> Spectrogram:
    """Return the window of ``sound`` from sample ``start`` on, padded with silence at the end."""
    length = engine.params.samples(engine.frames)
    samples = sound.samples[:, start : start + length]
    padded = np.pad(samples, ((0, 0), (0, length - samples.shape[1])))
    return mel_spectrogram(Waveform(padded, sound.sample_rate), engine.params)


def fit_image(image: Image.Image, engine: Engine) -> Spectrogram:
    """Return the first window of a spectrogram image for ``engine``.

    An image in the engine's own geometry is used as it is. Another one becomes sound first, so
    that every band keeps its frequency.
    """
    spectrogram = from_image(image)
    same = (engine.params, engine.channels) == (spectrogram.params, spectrogram.channels)
    if not same or spectrogram.frames < engine.frames:
        return fit_sound(image_to_audio(image), engine)
    # An image decodes to the scale of 16-bit samples.
    window = spectrogram.cut(0, engine.frames)
    return Spectrogram(window.magnitudes / INT16_SCALE, window.params)
