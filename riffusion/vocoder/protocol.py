"""The vocoder protocol: what turns mel magnitudes into a waveform."""

from __future__ import annotations

from typing import Protocol

from riffusion.audio.waveform import Waveform
from riffusion.spectral.spectrogram import Spectrogram


class Vocoder(Protocol):
    """A callable that turns mel magnitudes into samples, such as a ``LearnedVocoder``."""

    def __call__(self, spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        """Return ``params.samples(frames)`` samples a channel, beginning with ``prefix``."""
        ...
