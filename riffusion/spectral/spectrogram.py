"""Spectrogram: magnitudes on a mel scale, with the parameters that they were made with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torchaudio.functional import melscale_fbanks

from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidAudio, InvalidInput

BLOCK_FRAMES = 256
RIDGE = 1e-9
# Filters that see only some bins overlap less evenly, and some see no bin at all.
COARSE_RIDGE = 1e-3
FAINT = 1e-9
# The most that a damaged image may ask for without using up all memory.
MAX_PARAMS = {
    "sample_rate": 384000,
    "hop_length": 65536,
    "win_length": 65536,
    "n_fft": 65536,
    "mel_bands": 2048,
}


@dataclass(frozen=True)
class SpectrogramParams:
    """The time and frequency grid of a mel spectrogram. Defaults are Riffusion's geometry.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    hop_length, win_length, n_fft : int
        Samples from frame to frame, of the window, and of the transform; each at most the next.
    mel_bands : int
        The number of bands.
    min_hz, max_hz : float
        The range of the bands, at most half the sample rate.
    mel_scale : "htk" or "slaney"
        The formula of the mel scale.
    mel_norm : "slaney" or None
        Whether filters are normalised to the same area.

    Raises
    ------
    InvalidInput
        For values that do not fit together.

    Examples
    --------
    >>> import riffusion
    >>> params = riffusion.SpectrogramParams()
    >>> params.frame_s, params.frames(44100), params.samples(512)
    (0.01, 101, 225351)
    """

    sample_rate: int = 44100
    hop_length: int = 441
    win_length: int = 4410
    n_fft: int = 17640
    mel_bands: int = 512
    min_hz: float = 0.0
    max_hz: float = 10000.0
    mel_scale: Literal["htk", "slaney"] = "htk"
    mel_norm: Literal["slaney"] | None = None

    def __post_init__(self) -> None:
        for name, most in MAX_PARAMS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise InvalidInput(name, value, f"use a whole number from 1 to {most}")
        if not self.hop_length <= self.win_length <= self.n_fft:
            lengths = (self.hop_length, self.win_length, self.n_fft)
            raise InvalidInput("hop_length, win_length, n_fft", lengths, "each at most the next")
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate / 2:
            hint = f"use 0 <= min < max <= {self.sample_rate / 2}, half the sample rate"
            raise InvalidInput("min_hz, max_hz", (self.min_hz, self.max_hz), hint)

    @property
    def frame_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.hop_length / self.sample_rate

    @property
    def window_left(self) -> int:
        """The samples of a window before its centre, as torch.stft places short windows."""
        return self.n_fft // 2 - (self.n_fft - self.win_length) // 2

    def frames(self, samples: int) -> int:
        """Return the frames of ``samples`` samples: the STFT is centred, so one more than hops."""
        return samples // self.hop_length + 1

    def samples(self, frames: int) -> int:
        """Return the samples that ``frames`` frames decode to."""
        return self.hop_length * (frames - 1)


RIFFUSION = SpectrogramParams()


@dataclass(frozen=True)
class Spectrogram:
    """Mel magnitudes and the parameters that they were made with.

    Parameters
    ----------
    magnitudes : torch.Tensor, (channels, mel, frames)
        float32, linear (not logarithmic).
    params : SpectrogramParams
        The time and frequency grid.

    Raises
    ------
    InvalidInput
        For a shape that does not fit ``params``.

    Examples
    --------
    >>> import torch
    >>> import riffusion
    >>> silence = riffusion.Spectrogram(torch.zeros(1, 512, 100), riffusion.SpectrogramParams())
    >>> silence.channels, silence.frames
    (1, 100)
    """

    magnitudes: torch.Tensor
    params: SpectrogramParams

    def __post_init__(self) -> None:
        if self.magnitudes.ndim != 3 or self.magnitudes.shape[1] != self.params.mel_bands:
            raise InvalidInput(
                "spectrogram shape",
                tuple(self.magnitudes.shape),
                f"needs (channels, {self.params.mel_bands} mel bands, frames)",
            )

    @property
    def channels(self) -> int:
        return self.magnitudes.shape[0]

    @property
    def frames(self) -> int:
        return self.magnitudes.shape[2]

    def peak(self) -> float:
        """Return the largest magnitude. Raises InvalidInput where one is NaN or infinite."""
        if not bool(torch.isfinite(self.magnitudes).all()):
            raise InvalidInput("spectrogram", "NaN or infinity", "magnitudes must be finite")
        return float(self.magnitudes.max())

    def cut(self, start: int, stop: int) -> Spectrogram:
        """Return the frames from ``start`` to ``stop`` (not included)."""
        return Spectrogram(self.magnitudes[:, :, start:stop], self.params)


def mel_spectrogram(waveform: Waveform, params: SpectrogramParams = RIFFUSION) -> Spectrogram:
    """Return the magnitudes of a waveform on the mel scale.

    The window is a Hann window, frames are centred and the ends of the sound are reflected.

    Parameters
    ----------
    waveform : Waveform
        The sound, at the sample rate of ``params``.
    params : SpectrogramParams
        The time and frequency grid.

    Returns
    -------
    Spectrogram
        (channels, mel, ``params.frames(samples)``) magnitudes of samples from -1 to 1.

    Raises
    ------
    InvalidAudio
        Where the sample rates differ: resample first.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> waveform = riffusion.Waveform(np.zeros((2, 44100)), 44100)
    >>> riffusion.mel_spectrogram(waveform).magnitudes.shape
    torch.Size([2, 512, 101])
    """
    if waveform.sample_rate != params.sample_rate:
        hint = f"needs {params.sample_rate} Hz here; call .resample({params.sample_rate}) first"
        raise InvalidAudio("sample rate", waveform.sample_rate, hint)
    samples = waveform.samples
    blocks = mel_blocks(lambda start, stop: samples[:, start:stop], samples.shape[1], params)
    return Spectrogram(torch.cat(list(blocks), dim=2), params)


def mel_blocks(
    read: Callable[[int, int], npt.NDArray[np.float32]],
    samples: int,
    params: SpectrogramParams = RIFFUSION,
) -> Iterator[torch.Tensor]:
    """Yield the mel spectrogram of ``samples`` samples in blocks, in bounded memory.

    ``read(start, stop)`` returns a part of the samples, (channels, stop - start). Blocks are
    (channels, mel, at most 256 frames); together they are ``mel_spectrogram`` of the whole, bit for
    bit.
    """
    hop, win = params.hop_length, params.win_length
    window = torch.hann_window(win)
    bank = mel_bank(params)
    frames = params.frames(samples)
    for first in range(0, frames, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, frames) - 1
        wanted = _reflected(np.arange(first * hop, last * hop + win) - params.window_left, samples)
        start = int(wanted.min())
        block = np.asarray(read(start, int(wanted.max()) + 1), dtype=np.float32)
        framed = torch.from_numpy(block[:, wanted - start]).unfold(-1, win, hop)
        # Zeros behind the window instead of around it turn phases only.
        spectrum = torch.fft.rfft(framed * window, n=params.n_fft)[..., : bank.shape[1]]
        yield (spectrum.abs() @ bank.T).transpose(1, 2).contiguous()


def linear_magnitudes(spectrogram: Spectrogram, stride: int = 1) -> torch.Tensor:
    """Return the magnitudes of bins, (channels, n_fft // 2 + 1, frames), from those of mel bands.

    With ``stride`` only each ``stride``-th bin is returned. This is the least-squares solution by
    the pseudo-inverse of the filter bank, with negative values set to zero.
    """
    inverse = _inverse_mel_bank(spectrogram.params, stride)
    return (inverse @ spectrogram.magnitudes.to(inverse)).relu_()


@lru_cache(maxsize=8)
def mel_projection(params: SpectrogramParams, stride: int, bins: int) -> torch.Tensor:
    """Return the projection (bins, bins) of magnitudes on what the mel bands determine.

    It is symmetric and for the first ``bins`` of each ``stride``-th bin. The rest,
    ``magnitudes - magnitudes @ projection``, can be anything without changing a band.
    """
    filters = mel_bank(params)[:, ::stride][:, :bins].double()
    gram = filters @ filters.T
    gram.diagonal().add_(COARSE_RIDGE * gram.diagonal().mean())
    projection = filters.T @ torch.cholesky_solve(filters, torch.linalg.cholesky(gram))
    return _without_faint(projection)


def band_centres_hz(params: SpectrogramParams) -> npt.NDArray[np.float64]:
    """Return the mean frequency in Hz of each mel band's filter, rising, float64 (mel,)."""
    bank = mel_bank(params).double().numpy()
    bins_hz = np.arange(bank.shape[1]) * params.sample_rate / params.n_fft
    weight = bank.sum(axis=1)
    used = weight > 0
    bands = np.arange(params.mel_bands)
    centres = bank[used] @ bins_hz / weight[used]
    # A band so narrow that no bin falls into it lies between its neighbours.
    return np.asarray(np.interp(bands, bands[used], centres))


@lru_cache(maxsize=8)
def mel_bank(params: SpectrogramParams) -> torch.Tensor:
    """Return the triangular filters (mel, bins), without the bins above the last filter."""
    bank: torch.Tensor = melscale_fbanks(
        params.n_fft // 2 + 1,
        params.min_hz,
        params.max_hz,
        params.mel_bands,
        params.sample_rate,
        params.mel_norm,
        params.mel_scale,
    )
    used = int(bank.any(dim=1).nonzero().max()) + 1
    return bank[:used].T.contiguous()


@lru_cache(maxsize=8)
def _inverse_mel_bank(params: SpectrogramParams, stride: int) -> torch.Tensor:
    """Return each ``stride``-th row of the pseudo-inverse (bins, mel) of the filter bank."""
    bank = mel_bank(params)
    inverse = torch.zeros(params.n_fft // 2 + 1, params.mel_bands, dtype=torch.float64)
    filters = bank.double()
    # B+ = B' (B B')^-1. The ridge is for bands so narrow that no bin falls into them.
    gram = filters @ filters.T
    gram.diagonal().add_(RIDGE * gram.diagonal().mean())
    inverse[: bank.shape[1]] = torch.cholesky_solve(filters, torch.linalg.cholesky(gram)).T
    return _without_faint(inverse[::stride])


def _without_faint(matrix: torch.Tensor) -> torch.Tensor:
    """Return float32 with tiny values set to 0, because processors are slow with them."""
    return torch.where(matrix.abs() < FAINT, 0.0, matrix).float().contiguous()


def _reflected(positions: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Return positions within 0 to ``length``, mirrored at the ends as often as it takes."""
    period = max(1, 2 * (length - 1))
    positions = positions % period
    return np.minimum(positions, period - positions) if length > 1 else positions * 0
