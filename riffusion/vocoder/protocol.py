"""The vocoder protocol: what turns mel magnitudes into a waveform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from riffusion.audio.waveform import Waveform
from riffusion.spectral.spectrogram import Spectrogram


class Vocoder(Protocol):
    """A callable that turns mel magnitudes into samples, such as a ``LearnedVocoder``."""

    def __call__(self, spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        """Return ``params.samples(frames)`` samples a channel, beginning with ``prefix``."""
        ...


@runtime_checkable
class StreamingVocoder(Vocoder, Protocol):
    """A vocoder that makes samples bit by bit and keeps what it needs to go on."""

    def stream(
        self, spectrogram: Spectrogram, *, prefix: Waveform | None
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield float32 samples (channels, n) that continue ``prefix``.

        Together with it they are ``params.samples(frames)`` a channel.
        """
        ...
