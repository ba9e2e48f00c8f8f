"""The decoders, from magnitudes to sound, by name: what evaluations compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial

import numpy as np

from riffusion.audio.waveform import Waveform
from riffusion.engines.loading import SHIPPED
from riffusion.spectral.band_extension import extend_band
from riffusion.spectral.griffin_lim import griffin_lim, griffin_lim_in_blocks
from riffusion.spectral.spectrogram import Spectrogram
from riffusion.vocoder.learned import LearnedVocoder
from riffusion.vocoder.protocol import Vocoder

Decoder = Callable[[Spectrogram], Waveform]


def griffin_lim_extended(spectrogram: Spectrogram) -> Waveform:
    """Griffin-Lim, and above the highest band a copy of what lies below."""
    return extend_band(griffin_lim_in_blocks(spectrogram), spectrogram.params.max_hz)


def learned(spectrogram: Spectrogram) -> Waveform:
    """The shipped learned vocoder."""
    return in_blocks(shipped_vocoder(), spectrogram)


def drawn(spectrogram: Spectrogram) -> Waveform:
    """What the network of the shipped vocoder draws as it is, phases not settled."""
    return in_blocks(LearnedVocoder.load(SHIPPED / "vocoder", iterations=(0, 0)), spectrogram)


def in_blocks(vocoder: LearnedVocoder, spectrogram: Spectrogram) -> Waveform:
    """All of a spectrogram by a learned vocoder, in memory that does not grow."""
    blocks = list(vocoder.blocks(spectrogram.cut, spectrogram.frames))
    return Waveform(np.concatenate(blocks, axis=1), spectrogram.params.sample_rate)


@lru_cache(maxsize=1)
def shipped_vocoder() -> LearnedVocoder:
    """The vocoder of the shipped engine, loaded once."""
    return LearnedVocoder.load(SHIPPED / "vocoder")


# 32 fast iterations from the pseudo-inverse of the mel scale.
BASELINE = "griffin-lim"

DECODERS: Mapping[str, Decoder] = {
    BASELINE: partial(griffin_lim_in_blocks, iterations=32, refined=False),
    "learned": learned,
    "drawn": drawn,
    "griffin-lim-extended": griffin_lim_extended,
}

# Those that go on from what was heard, as jams need it; loaded when asked for.
VOCODERS: Mapping[str, Callable[[], Vocoder]] = {
    BASELINE: lambda: griffin_lim,
    "learned": shipped_vocoder,
}
