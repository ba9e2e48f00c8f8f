"""Band extension: a guess of the sound above the highest band of a spectrogram.

Spectral band replication: M. Dietz, L. Liljeryd, K. Kjörling and O. Kunz, "Spectral Band
Replication, a Novel Approach in Audio Coding", AES 112, 2002. The octave below the edge is copied
upwards, and its envelope continues above the edge as steeply as it falls below. Copied phases
advance as the new frequency requires, so that attacks stay attacks. The added sound was never in
the spectrogram, so it is an option.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt

from riffusion.audio.waveform import Waveform

Samples = npt.NDArray[np.float32]

SIZE, HOP = 2048, 512
OVERLAP = SIZE - HOP
HANN_SQUARED_SUM = 1.5  # of windows a quarter apart
HIGHEST_HZ = 20000.0
FIT_BELOW = 0.95  # of the edge: the last mel bands already fall off
SLOPES_DB = (-36.0, -6.0)  # per octave: what music does
TINY = 1e-9


def extend_band(sound: Waveform, edge_hz: float) -> Waveform:
    """Return ``sound``, which has nothing above ``edge_hz``, extended up to 20 kHz."""
    blocks = list(extended_blocks([sound.samples], sound.sample_rate, edge_hz))
    return Waveform(np.concatenate(blocks, axis=1), sound.sample_rate)


def extended_blocks(
    blocks: Iterable[Samples], sample_rate: int, edge_hz: float
) -> Iterator[Samples]:
    """Yield ``extend_band`` of at least one block (channels, n), in bounded memory.

    As many samples come out as went in, a little later; their cuts change rounding errors only.
    """
    band = (edge_hz, min(HIGHEST_HZ, sample_rate / 2))
    if band[0] >= band[1]:
        yield from blocks
        return
    coming = iter(blocks)
    first = next(coming)
    silence = np.zeros((len(first), SIZE), np.float32)
    # The first frames begin in the silence before the sound.
    heard, unfinished, early = silence[:, :OVERLAP], silence[:, :OVERLAP], OVERLAP
    for block in chain([first], coming):
        heard = np.concatenate([heard, block], axis=1)
        done, unfinished = _extended(heard, unfinished, sample_rate, band)
        heard = heard[:, done.shape[1] :]
        yield done[:, early:]
        early = max(0, early - done.shape[1])
    rest = heard.shape[1]
    done, _ = _extended(np.concatenate([heard, silence], axis=1), unfinished, sample_rate, band)
    yield done[:, early:rest]


def _extended(
    heard: Samples, unfinished: Samples, sample_rate: int, band: tuple[float, float]
) -> tuple[Samples, Samples]:
    """Return the part of ``heard`` that whole frames cover, extended, and the rest of the overlap.

    ``unfinished`` (channels, ``OVERLAP``) is the rest that the call before returned.
    """
    frames = (heard.shape[1] - OVERLAP) // HOP
    if frames < 1:
        return heard[:, :0], unfinished
    done = frames * HOP
    added = _high_band(heard[:, : done + OVERLAP], sample_rate, *band)
    added[:, :OVERLAP] += unfinished
    whole = heard[:, :done] + added[:, :done]
    return whole.astype(np.float32), added[:, done:].astype(np.float32)


def _high_band(
    samples: Samples, sample_rate: int, edge_hz: float, top_hz: float
) -> npt.NDArray[np.float64]:
    """Return the sound to add to ``samples`` (channels, OVERLAP + frames * HOP)."""
    window = np.hanning(SIZE + 1)[:-1]
    framed = np.lib.stride_tricks.sliding_window_view(samples, SIZE, axis=1)[:, ::HOP]
    spectrum = np.fft.rfft(framed * window, axis=-1)
    edge, top = (round(hz / sample_rate * SIZE) for hz in (edge_hz, top_hz))
    places = np.arange(edge, min(top, SIZE // 2))
    # Copied from within the octave below the edge, by a multiple of four bins: so far apart, bins
    # turn by whole turns from frame to frame, and the copy needs no other phases.
    width = max(4, edge // 2 // 4 * 4)
    sources = places - width * ((places - edge) // width + 1)
    octaves = np.log2(places / sources)
    slopes = _slopes_db(np.abs(spectrum), round(edge * FIT_BELOW))
    high = np.zeros_like(spectrum)
    high[..., places] = spectrum[..., sources] * 10 ** (slopes * octaves / 20)
    pieces = np.fft.irfft(high, SIZE, axis=-1) * window / HANN_SQUARED_SUM
    added = np.zeros(samples.shape)
    for frame in range(pieces.shape[1]):
        added[:, frame * HOP : frame * HOP + SIZE] += pieces[:, frame]
    return added


def _slopes_db(magnitudes: npt.NDArray[np.float64], edge: int) -> npt.NDArray[np.float64]:
    """Return the slopes in dB per octave below bin ``edge``, (channels, frames, 1).

    They are those of least-squares lines through the levels of the bins in the octave and a half
    below the edge, within the limits of music.
    """
    bins = np.arange(max(1, round(edge / 2**1.5)), edge)
    octaves = np.log2(bins)
    centred = octaves - octaves.mean()
    levels = 20 * np.log10(magnitudes[..., bins] + TINY)
    slopes = levels @ centred / np.sum(centred**2)
    return np.asarray(np.clip(slopes, *SLOPES_DB)[..., np.newaxis])
