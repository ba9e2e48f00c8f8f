"""The short-time Fourier transform (STFT) that the vocoders share."""

from __future__ import annotations

import math
from copy import copy
from fractions import Fraction

import torch

from riffusion.spectral.spectrogram import SpectrogramParams, mel_bank

SEAM_S = 0.005
TINY = 1e-12
# The bins over which a Hann window spreads a sine, and a little more.
SPREAD_BINS = 4


class Stft:
    """A short-time Fourier transform (channels, frames, bins) and its least-squares inverse.

    It is the cheapest transform with the information of ``params``: zero padding to a multiple of
    the window only interpolates, so every ``stride``-th bin of the padded transform is enough. The
    sound spans all windows, from ``left`` samples before the centre of the first frame to ``right``
    samples after that of the last; a window cut out of music goes on there, so nothing is mirrored.
    """

    def __init__(self, params: SpectrogramParams) -> None:
        padded = params.n_fft % params.win_length == 0
        self.n_fft = params.win_length if padded else params.n_fft
        self.stride = params.n_fft // self.n_fft
        self.hop = params.hop_length
        # Above the highest band there is nothing: those bins need no work.
        self.bins = -(-mel_bank(params).shape[1] // self.stride)
        self.window = torch.hann_window(params.win_length)
        self.left = params.window_left
        self.right = params.win_length - self.left
        self.rate = Fraction(1)
        seam = max(1, round(SEAM_S * params.sample_rate))
        self.seam = 0.5 + 0.5 * torch.cos(torch.pi * torch.arange(1, seam + 1) / (seam + 1))

    def slower(self) -> Stft:
        """Return the same transform at the lowest convenient sample rate that holds all bins.

        Its spectra are the same and its sound is resampled by ``rate``. The transform returns
        itself where there is no lower rate.
        """
        lengths = (self.n_fft, len(self.window), self.left, self.right)
        for hop in range(1, self.hop):
            n_fft = self.n_fft * hop // self.hop
            whole = all(length * hop % self.hop == 0 for length in lengths)
            if whole and n_fft // 2 + 1 >= self.bins + SPREAD_BINS and is_fast(n_fft):
                return self._at(Fraction(hop, self.hop))
        return self

    def _at(self, rate: Fraction) -> Stft:
        slow = copy(self)
        slow.rate = rate
        slow.hop, slow.n_fft = int(self.hop * rate), int(self.n_fft * rate)
        slow.left, slow.right = int(self.left * rate), int(self.right * rate)
        # Fewer samples are as loud together.
        slow.window = torch.hann_window(int(len(self.window) * rate)) / float(rate)
        return slow

    def to_frames(self, sound: torch.Tensor) -> torch.Tensor:
        """Return the spectra, complex (channels, frames, bins), of (channels, samples)."""
        framed = sound.unfold(-1, len(self.window), self.hop) * self.window
        spectrum: torch.Tensor = torch.fft.rfft(framed, n=self.n_fft)[..., : self.bins]
        return spectrum

    def to_sound(self, spectrum: torch.Tensor, envelope: torch.Tensor) -> torch.Tensor:
        """Return the sound (channels, samples) of spectra, given the ``envelope`` of its frames."""
        return self.windowed(spectrum).div_(envelope)

    def windowed(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Return the sum of the inverse transforms of all frames, windowed again."""
        framed = torch.fft.irfft(spectrum, n=self.n_fft)[..., : len(self.window)]
        return self.overlap_add(framed.mul_(self.window))

    def silence(self, like: torch.Tensor) -> torch.Tensor:
        """Return zeros (channels, frames, all bins) for the channels and frames of ``like``."""
        return torch.zeros(*like.shape[:-1], self.n_fft // 2 + 1, dtype=torch.complex64)

    def envelope(self, frames: int) -> torch.Tensor:
        """Return the divisor (1, samples) of ``windowed``: ``squared``, but nowhere zero."""
        return self.squared(torch.ones(1, frames)).clamp_min_(TINY)

    def squared(self, counted: torch.Tensor) -> torch.Tensor:
        """Return the sum of the squared windows that cover each sample, (channels, samples).

        ``counted`` (channels, frames) is 1 for frames that count and 0 for others.
        """
        return self.overlap_add(counted[..., None] * self.window.square())

    def overlap_add(self, framed: torch.Tensor) -> torch.Tensor:
        """Return the sum (channels, samples) of frames (channels, frames, window length)."""
        channels, frames, length = framed.shape
        pieces = math.ceil(length / self.hop)
        out = framed.new_zeros(channels, frames + pieces - 1, self.hop)
        for piece in range(pieces):
            part = framed[:, :, piece * self.hop : (piece + 1) * self.hop]
            out[:, piece : piece + frames, : part.shape[2]] += part
        return out.view(channels, -1)[:, : (frames - 1) * self.hop + length]


def power(spectrum: torch.Tensor) -> torch.Tensor:
    """Return squared magnitudes, faster than by ``abs``."""
    squares = torch.view_as_real(spectrum).square()
    return squares[..., 0] + squares[..., 1]


def is_fast(length: int) -> bool:
    """Return whether transforms of this length are fast: no prime factors but 2, 3 and 5."""
    for factor in (2, 3, 5):
        while length % factor == 0:
            length //= factor
    return length == 1
