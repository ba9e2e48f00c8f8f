"""The decoders, from magnitudes to sound, by name: what ``evaluate-sound`` compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from riffusion.phase import griffin_lim_in_blocks
from riffusion.spectrogram import Spectrogram
from riffusion.waveform import Waveform

Decoder = Callable[[Spectrogram], Waveform]

# 32 fast iterations from the pseudo-inverse of the mel scale.
BASELINE = "griffin-lim"

DECODERS: Mapping[str, Decoder] = {
    BASELINE: griffin_lim_in_blocks,
}
