"""The vocoders that evaluations compare, by name."""

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
from riffusion.vocoder.live import LiveVocoder
from riffusion.vocoder.protocol import Vocoder

# An offline vocoder inverts a whole spectrogram by itself.
OfflineVocoder = Callable[[Spectrogram], Waveform]


def vocode_with_band_extension(spectrogram: Spectrogram) -> Waveform:
    """Invert by Griffin-Lim and fill the range above the highest band from below."""
    return extend_band(griffin_lim_in_blocks(spectrogram), spectrogram.params.max_hz)


def vocode_learned(spectrogram: Spectrogram) -> Waveform:
    """Invert with the shipped learned vocoder."""
    return vocode_in_blocks(load_shipped_vocoder(), spectrogram)


def vocode_live(spectrogram: Spectrogram) -> Waveform:
    """Invert with the shipped vocoder as jams of quality live use it."""
    return LiveVocoder(load_shipped_vocoder().network)(spectrogram)


def vocode_without_iterations(spectrogram: Spectrogram) -> Waveform:
    """Invert with the phases that the shipped learned vocoder predicts, without any iteration."""
    return vocode_in_blocks(
        LearnedVocoder.load(SHIPPED / "vocoder", iterations=(0, 0)), spectrogram
    )


def vocode_in_blocks(vocoder: LearnedVocoder, spectrogram: Spectrogram) -> Waveform:
    """Invert a spectrogram of any length with a learned vocoder, in bounded memory."""
    blocks = list(vocoder.blocks(spectrogram.cut, spectrogram.frames))
    return Waveform(np.concatenate(blocks, axis=1), spectrogram.params.sample_rate)


@lru_cache(maxsize=1)
def load_shipped_vocoder() -> LearnedVocoder:
    """Return the vocoder of the shipped engine, loaded once."""
    return LearnedVocoder.load(SHIPPED / "vocoder")


# The baseline is 32 fast iterations from the pseudo-inverse of the mel scale.
BASELINE = "griffin-lim"

VOCODERS: Mapping[str, OfflineVocoder] = {
    BASELINE: partial(griffin_lim_in_blocks, iterations=32, refined=False),
    "learned": vocode_learned,
    "live": vocode_live,
    "drawn": vocode_without_iterations,
    "griffin-lim-extended": vocode_with_band_extension,
}

# These continue from the sound of the clip before, as jams need it; they load when asked for.
CONTINUING_VOCODERS: Mapping[str, Callable[[], Vocoder]] = {
    BASELINE: lambda: griffin_lim,
    "learned": load_shipped_vocoder,
}
