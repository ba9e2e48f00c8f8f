"""The short-time Fourier transform that the vocoders share."""

from __future__ import annotations

import math

import torch

from riffusion.spectrogram import SpectrogramParams, mel_bank

SEAM_S = 0.005
TINY = 1e-12


class Stft:
    """A short-time Fourier transform (channels, frames, bins) and its least-squares inverse.

    It is the cheapest one that sees what ``params`` saw: zero padding to a multiple of the window
    only interpolates, so every ``every``-th bin of the padded transform is enough. The sound spans
    all windows, from ``left`` samples before the centre of the first frame to ``right`` samples
    after that of the last; a window cut out of music goes on there, so nothing is mirrored.
    """

    def __init__(self, params: SpectrogramParams) -> None:
        padded = params.n_fft % params.win_length == 0
        self.n_fft = params.win_length if padded else params.n_fft
        self.every = params.n_fft // self.n_fft
        self.hop = params.hop_length
        # Above the highest band there is nothing: those bins need no work.
        self.bins = -(-mel_bank(params).shape[1] // self.every)
        self.window = torch.hann_window(params.win_length)
        self.left = params.window_left
        self.right = params.win_length - self.left
        seam = max(1, round(SEAM_S * params.sample_rate))
        self.seam = 0.5 + 0.5 * torch.cos(torch.pi * torch.arange(1, seam + 1) / (seam + 1))

    def to_frames(self, sound: torch.Tensor) -> torch.Tensor:
        """(channels, samples) to complex (channels, frames, bins)."""
        framed = sound.unfold(-1, len(self.window), self.hop) * self.window
        spectrum: torch.Tensor = torch.fft.rfft(framed, n=self.n_fft)[..., : self.bins]
        return spectrum

    def to_sound(self, spectrum: torch.Tensor, envelope: torch.Tensor) -> torch.Tensor:
        """The inverse, with the ``envelope`` of as many frames."""
        framed = torch.fft.irfft(spectrum, n=self.n_fft)[..., : len(self.window)]
        return self._overlap_add(framed * self.window) / envelope

    def envelope(self, frames: int) -> torch.Tensor:
        """The sum of the squared windows that cover each sample."""
        squared = self.window.square().expand(1, frames, -1)
        return self._overlap_add(squared).clamp_min(TINY)

    def _overlap_add(self, framed: torch.Tensor) -> torch.Tensor:
        channels, frames, length = framed.shape
        pieces = math.ceil(length / self.hop)
        out = framed.new_zeros(channels, frames + pieces - 1, self.hop)
        for piece in range(pieces):
            part = framed[:, :, piece * self.hop : (piece + 1) * self.hop]
            out[:, piece : piece + frames, : part.shape[2]] += part
        return out.view(channels, -1)[:, : (frames - 1) * self.hop + length]
