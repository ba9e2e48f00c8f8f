"""Distances between the sound of a vocoder and the sound that its spectrogram was made from.

All functions take samples (channels, n) of one shape: ``source`` and ``made``, at ``rate`` Hz. They
return None where a source has nothing to measure: mono has no width, and silence no attack.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import butter, sosfilt

from riffusion.audio.waveform import Waveform
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import SpectrogramParams, mel_spectrogram

Samples = npt.NDArray[np.float32]

RESOLUTIONS = (512, 1024, 2048, 4096)
LSD_FFT = 2048
HIGHEST_HZ = 20000.0
HIGH_BAND_HZ = 10000.0
QUIETEST = 1e-4  # full scale is 1, so a bin under -80 dB counts as silent
SILENT_ENERGY = 1e-10  # a mean square of -100 dB
NARROWEST = 1e-4  # a source with less side over mid energy than -40 dB counts as mono

HIT_BAND_HZ = 1000.0
ENVELOPE_STEP_S = 0.00025
ENVELOPE_WINDOW_S = 0.001
HIT_RISE = 0.1  # before a hit, the envelope is below this share of its peak
HIT_LOUDNESS = 0.1  # a hit is at least this share as loud as the loudest
BEFORE_HIT_S, AFTER_HIT_S, APART_S = 0.06, 0.03, 0.1
RISE_FROM, RISE_TO = 0.1, 0.9
MAX_ATTACK_S = 0.02  # slower attacks are no drum hits


def multi_resolution_stft(source: Samples, made: Samples) -> float:
    """Return the multi-resolution STFT distance.

    It is spectral convergence plus the mean absolute difference of the logarithms, averaged over
    four window lengths: R. Yamamoto, E. Song and J.-M. Kim, "Parallel WaveGAN", ICASSP 2020,
    equations 4 to 6. Windows have 512 to 4096 samples, a quarter apart; bins under -80 dB of full
    scale count as -80 dB.
    """
    distances = []
    for size in RESOLUTIONS:
        wanted, got = _magnitudes(source, size), _magnitudes(made, size)
        convergence = (wanted - got).norm() / wanted.norm().clamp_min(QUIETEST)
        logarithms = (wanted.log() - got.log()).abs().mean()
        distances.append(float(convergence + logarithms))
    return float(np.mean(distances))


def log_spectral_distance(source: Samples, made: Samples, rate: int) -> float:
    """Return the log-spectral distance up to 20 kHz in dB.

    It is the root mean square over the bins of a frame, then the mean over frames: A. H. Gray and
    J. D. Markel, "Distance measures for speech processing", IEEE TASSP 24, 1976. Windows have 2048
    samples; bins under -80 dB of full scale count as -80 dB.
    """
    highest = int(HIGHEST_HZ * LSD_FFT / rate) + 1
    wanted, got = (_magnitudes(sound, LSD_FFT)[:, :highest] for sound in (source, made))
    difference = 20 * (wanted.log10() - got.log10())
    return float(difference.square().mean(1).sqrt().mean())


def mel_distance(source: Waveform, made: Waveform, params: SpectrogramParams) -> float:
    """Return the mean absolute difference of the log-mel spectrograms in ``params``, in dB."""
    wanted, got = (log_mel(mel_spectrogram(sound, params).magnitudes) for sound in (source, made))
    return float(20 * (wanted - got).abs().mean())


def width_ratio(source: Samples, made: Samples) -> float | None:
    """Return the side to mid energy of ``made`` over that of ``source``; 0 is mono."""
    if len(source) != 2:
        return None
    wanted, got = _side_to_mid(source), _side_to_mid(made)
    return got / wanted if wanted > NARROWEST else None


def _side_to_mid(samples: Samples) -> float:
    left, right = samples
    return _energy(left - right) / max(_energy(left + right), SILENT_ENERGY)


def mono_sum_db(source: Samples, made: Samples) -> float | None:
    """Return how much louder the mono sum is than the source's in dB; it may cancel."""
    if len(source) != 2:
        return None
    return _compare_energy_db(source.mean(0), made.mean(0))


def high_band_db(source: Samples, made: Samples, rate: int) -> float | None:
    """Return how much more energy there is above 10 kHz than in the source, in dB."""
    high = butter(8, HIGH_BAND_HZ, "highpass", fs=rate, output="sos")
    return _compare_energy_db(sosfilt(high, source), sosfilt(high, made))


def attack_times(source: Samples, made: Samples, rate: int) -> list[tuple[float, float]]:
    """Return the attack time of each drum hit in seconds, in the source and in ``made``.

    It is the time the envelope takes from 10 % to 90 % of its rise, as IEC 60469 defines the rise
    time of a pulse. The envelope is the amplitude above 1 kHz of all channels together, smoothed
    over 1 ms. A hit is a peak of the source's envelope that nothing within 100 ms exceeds, reached
    within 20 ms, from under a tenth of it, and at least a tenth as loud as the loudest.
    """
    step = round(ENVELOPE_STEP_S * rate)
    wanted, got = _measure_envelope(source, rate, step), _measure_envelope(made, rate, step)
    pairs = []
    for hit in _find_hits(wanted, rate / step):
        attack = _measure_attack_s(wanted, hit, rate / step)
        if attack <= MAX_ATTACK_S:
            pairs.append((attack, _measure_attack_s(got, hit, rate / step)))
    return pairs


def _measure_envelope(samples: Samples, rate: int, step: int) -> npt.NDArray[np.float64]:
    """Return the amplitude above 1 kHz, one value for each ``step`` samples."""
    # The filter is causal, since one that looks ahead would soften every attack before it begins.
    high = butter(2, HIT_BAND_HZ, "highpass", fs=rate, output="sos")
    power = np.square(sosfilt(high, samples.astype(np.float64))).mean(0)
    window = np.hanning(round(ENVELOPE_WINDOW_S * rate) + 2)
    smooth = np.convolve(power, window / window.sum(), "same")
    return np.asarray(np.sqrt(np.maximum(smooth[::step], 0.0)))


def _find_hits(envelope: npt.NDArray[np.float64], per_s: float) -> Iterator[int]:
    """Yield the indices of the peaks of drum hits."""
    before, after, apart = (round(s * per_s) for s in (BEFORE_HIT_S, AFTER_HIT_S, APART_S))
    loudest = float(envelope.max(initial=0.0))
    if loudest < QUIETEST:
        return
    place = before
    while place < len(envelope) - apart:
        near = envelope[max(0, place - apart) : place + apart]
        if envelope[place] < HIT_LOUDNESS * loudest or envelope[place] < near.max():
            place += 1
            continue
        if envelope[place - before : place].min() < HIT_RISE * envelope[place]:
            yield place
        place += after


def _measure_attack_s(envelope: npt.NDArray[np.float64], hit: int, per_s: float) -> float:
    """Return the seconds of the rise to the highest point near ``hit``."""
    before, after = round(BEFORE_HIT_S * per_s), round(AFTER_HIT_S * per_s)
    around = envelope[max(0, hit - before) : hit + after]
    peak = int(around.argmax())
    rise = around[: peak + 1]
    base = float(rise.min())
    low, high = (base + share * (rise[-1] - base) for share in (RISE_FROM, RISE_TO))
    start = int(np.flatnonzero(rise <= low)[-1])
    end = start + int(np.flatnonzero(rise[start:] >= high)[0])
    return (end - start) / per_s


def _magnitudes(samples: Samples, size: int) -> torch.Tensor:
    """Return STFT magnitudes (channels, bins, frames), 1 for a sine at full scale.

    They are at least ``QUIETEST``.
    """
    window = torch.hann_window(size)
    spectrum = torch.stft(
        torch.from_numpy(np.ascontiguousarray(samples)),
        size,
        size // 4,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    return (spectrum.abs() * (2 / window.sum())).clamp_min(QUIETEST)


def _energy(samples: npt.NDArray[np.floating]) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


def _compare_energy_db(
    source: npt.NDArray[np.floating], made: npt.NDArray[np.floating]
) -> float | None:
    wanted = _energy(source)
    if wanted < SILENT_ENERGY:
        return None
    return 10 * float(np.log10(max(_energy(made), SILENT_ENERGY) / wanted))
