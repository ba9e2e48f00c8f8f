"""The transform of the vocoders, and its cheaper twin at a lower sample rate."""

from __future__ import annotations

import numpy as np
import torch

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.jam.anchors import anchor_sound, find_anchor
from riffusion.spectral.phases import Known
from riffusion.spectral.spectrogram import RIFFUSION, mel_bank, mel_projection
from riffusion.spectral.stft import Stft, is_fast


def tones(rate: float, samples: int) -> torch.Tensor:
    """Well below 10 kHz, with a beginning and an end."""
    time = np.arange(samples) / rate
    sound = sum(np.sin(2 * np.pi * hz * time + hz) for hz in (97.0, 440.0, 3210.0, 9100.0))
    fade = np.sin(np.pi * np.arange(samples) / samples) ** 2
    return torch.from_numpy((sound * fade)[None].astype(np.float32))


def test_the_same_spectra_at_half_the_samples() -> None:
    stft = Stft(RIFFUSION)
    slow = stft.slower()
    assert (slow.hop, slow.n_fft, slow.left, slow.right) == (216, 2160, 1080, 1080)
    spectra = stft.to_frames(tones(44100.0, 100 * stft.hop))
    same = slow.to_frames(tones(44100.0 * slow.rate, 100 * slow.hop))
    assert spectra.shape == same.shape
    assert float((spectra - same).norm() / spectra.norm()) < 1e-4


def test_back_at_half_the_samples() -> None:
    slow = Stft(RIFFUSION).slower()
    sound = tones(44100.0 * slow.rate, 60 * slow.hop)
    spectra = slow.to_frames(sound)
    whole = slow.silence(spectra)
    whole[..., : slow.bins] = spectra
    back = slow.to_sound(whole, slow.envelope(spectra.shape[1]))
    inner = slice(slow.hop, 59 * slow.hop)
    assert float((back - sound)[:, inner].abs().max()) < 1e-3


def test_a_grid_without_a_lower_rate_stays() -> None:
    stft = Stft(COMPACT_PARAMS)
    assert stft.slower() is stft


def test_lengths_that_transform_fast() -> None:
    assert [n for n in range(1, 20) if is_fast(n)] == [*range(1, 7), 8, 9, 10, 12, 15, 16, 18]


def test_what_is_known_is_known_at_the_lower_rate() -> None:
    rate = Stft(RIFFUSION).slower().rate
    sound = anchor_sound(find_anchor("funk_guitar"))
    expected = torch.from_numpy(sound.resample(int(44100 * rate)).samples)
    loudness = expected.square().mean().sqrt()
    ends = []
    for length in range(20_000, 120_000, 3333):
        known = Known(torch.from_numpy(sound.samples[:, :length]), 441, (2205, 0)).at(rate)
        assert (known.place, known.reflected) == (216, (1080, 0))
        assert known.samples.shape == (2, int(length * rate))
        wrong = (known.samples - expected[:, : known.samples.shape[1]]) / loudness
        assert float(wrong[:, 40:-40].square().mean().sqrt()) < 0.01
        ends.append(wrong[:, -40:].square().mean())
    # The very end, from where the sound goes on, too.
    assert float(torch.stack(ends).mean().sqrt()) < 0.006


def test_nothing_known_stays_nothing() -> None:
    low = Known(torch.zeros(2, 0), 0, (2205, 2205)).at(Stft(RIFFUSION).slower().rate)
    assert low.samples.shape == (2, 0)
    assert low.reflected == (1080, 1080)


def test_what_bands_do_not_tell_changes_no_band() -> None:
    projection = mel_projection(COMPACT_PARAMS, 1, 900)
    noise = torch.rand(5, 900, generator=torch.Generator().manual_seed(0))
    bank = mel_bank(COMPACT_PARAMS)[:, :900]
    unprojection = noise - noise @ projection
    assert float(unprojection.norm() / noise.norm()) > 0.2
    assert float((unprojection @ bank.T).norm() / (noise @ bank.T).norm()) < 0.02
    assert torch.allclose(projection, projection.T, atol=1e-6)
