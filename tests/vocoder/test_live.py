"""The live vocoder: it is the learned one in fewer operations, and a stream is the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.loading import SHIPPED
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.jam.stitcher import Stitcher
from riffusion.spectral.phases import Known
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram, mel_bank, mel_spectrogram
from riffusion.spectral.stft import Stft
from riffusion.training.corpus.sound import render_song_sound, song_numbers
from riffusion.training.evaluation.sound_measures import log_spectral_distance
from riffusion.vocoder.band_stereo import fit_channels
from riffusion.vocoder.chained import ChainedGriffinLim, SynthesisWindow
from riffusion.vocoder.inference import InferenceNetwork
from riffusion.vocoder.learned import LearnedVocoder
from riffusion.vocoder.live import LiveVocoder
from riffusion.vocoder.network import VocoderNetwork
from riffusion.vocoder.recurrence import unroll_phases
from riffusion.vocoder.recurrence_fast import unroll_block

HOP = COMPACT_PARAMS.hop_length
BAR = 88200


@pytest.fixture(scope="module")
def vocoder(network: VocoderNetwork) -> LiveVocoder:
    return LiveVocoder(network)


def music(seconds: float, channels: int = 2) -> Waveform:
    time = np.arange(round(seconds * 44100)) / 44100
    chord = sum(np.sin(2 * np.pi * f * time) for f in (110.0, 277.2, 329.6, 880.0))
    hits = np.random.default_rng(0).standard_normal(len(time)) * np.exp(-40 * (time % 0.5))
    left, right = 0.1 * chord * np.exp(-4 * (time % 0.5)), 0.05 * chord + 0.05 * hits
    return Waveform(np.stack([left, right])[:channels].astype(np.float32), 44100)


def spectrogram(seconds: float, channels: int = 2) -> Spectrogram:
    return mel_spectrogram(music(seconds, channels), COMPACT_PARAMS)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [2, 20, 70, 150])
def test_sound_has_the_length_of_its_frames_and_the_same_bits_again(
    vocoder: LiveVocoder, channels: int, frames: int
) -> None:
    image = spectrogram(2.0, channels).cut(0, frames)
    sound = vocoder(image)
    assert sound.samples.shape == (channels, COMPACT_PARAMS.samples(frames))
    assert np.array_equal(sound.samples, vocoder(image).samples)
    assert not np.array_equal(sound.samples, vocoder(image, seed=1).samples)


@settings(max_examples=8, deadline=None)
@given(heard=st.integers(1, 40000))
def test_a_stream_continues_what_was_heard(vocoder: LiveVocoder, heard: int) -> None:
    image = spectrogram(1.0)
    prefix = Waveform(music(1.0).samples[:, :heard], 44100)
    sound = vocoder(image, prefix=prefix).samples
    assert np.array_equal(sound[:, :heard], prefix.samples)
    streamed = np.concatenate([*vocoder.stream(image, prefix=prefix)], 1)
    assert np.array_equal(sound[:, heard:], streamed)
    assert sound.shape[1] == COMPACT_PARAMS.samples(image.frames)


def test_the_first_samples_come_before_the_network_has_read_the_rest(vocoder: LiveVocoder) -> None:
    image = spectrogram(5.0)
    first, *rest = vocoder.stream(image)
    assert 0.2 * 44100 < first.shape[1] < 0.7 * 44100
    image.magnitudes[:, :, 200:] = 0.0
    assert np.array_equal(next(vocoder.stream(image)), first)
    assert len(rest) > 4


@settings(max_examples=8, deadline=None)
@given(first=st.integers(40, 100), block=st.integers(4, 90), channels=st.integers(1, 2))
def test_blocks_of_any_length_iterate_as_the_whole_does(
    first: int, block: int, channels: int
) -> None:
    stft, frames = Stft(COMPACT_PARAMS), 180
    synthesis, known = SynthesisWindow(stft), Known(torch.zeros(channels, 0), 0)
    generator = torch.Generator().manual_seed(0)
    shape = (1, frames, stft.bins)
    mid = torch.randn(shape, generator=generator, dtype=torch.complex64)
    gains = 1 + 0.3 * torch.randn((channels, *shape[1:]), generator=generator).to(mid.dtype)

    def run(cuts: list[int]) -> torch.Tensor:
        chain = ChainedGriffinLim(stft, synthesis, known, (3, 2), 0.99)
        parts = zip([0, *cuts], [*cuts, frames], strict=True)
        done = [chain(mid[:, a:b], gains[:, a:b], b == frames) for a, b in parts]
        return torch.cat(done, 1)

    whole, blocks = run([]), run([*range(first, frames, block)])
    assert whole.shape == blocks.shape == (channels, (frames - 1) * HOP + len(stft.window))
    inside = slice(len(stft.window), -len(stft.window))
    assert torch.allclose(blocks[:, inside], whole[:, inside], atol=1e-4)


def test_without_iterations_the_samples_are_the_inverse_transform() -> None:
    stft = Stft(COMPACT_PARAMS)
    samples = torch.from_numpy(music(1.0).samples)
    frames = stft.to_frames(samples)
    known = Known(torch.zeros(2, 0), 0)
    chain = ChainedGriffinLim(stft, SynthesisWindow(stft), known, (0, 0), 0.99)
    gains = frames / (frames.mean(0, keepdim=True) + 1e-9)
    sound = chain(frames.mean(0, keepdim=True), gains, True)
    inside = slice(HOP, sound.shape[1] - HOP)
    edges = stft.to_sound(frames, stft.envelope(frames.shape[1]))
    assert torch.allclose(sound[:, inside], edges[:, inside], atol=1e-3)


def test_inference_computes_what_the_network_does(network: VocoderNetwork) -> None:
    generator = torch.Generator().manual_seed(0)
    levels = torch.randn(2, 128, 90, generator=generator) - 2
    inside = slice(10, 80)
    with torch.inference_mode():
        wanted = network(levels[None], inside)
        fast = InferenceNetwork(network, torch.float32)
        got = fast.predict(fast.features(levels, inside), slice(0, 70))
    assert torch.allclose(got.mid.log10(), wanted.middle[0].mT, atol=1e-4)
    assert torch.allclose(got.sides, wanted.sides[0].mT, atol=1e-4)
    assert torch.allclose(got.advance, torch.complex(*wanted.advance[0].mT), atol=1e-4)
    assert torch.allclose(got.slope, torch.complex(*wanted.slope[0].mT), atol=1e-4)


def test_whole_blocks_unroll_as_frames_do() -> None:
    rng = np.random.default_rng(0)

    def noise(frames: int) -> np.ndarray:
        return rng.standard_normal((frames, 50, 2)).astype(np.float32).view(np.complex64)[..., 0]

    sizes = np.abs(noise(20))
    advance, slope, before = 0.5 * noise(20), 0.3 * noise(20), noise(1)[0]
    wanted = unroll_phases(sizes, advance, slope, before)
    assert np.allclose(unroll_block(sizes, advance, slope, before), wanted, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_have_the_levels_they_were_predicted_from(
    network: VocoderNetwork, channels: int
) -> None:
    mel = spectrogram(1.0, channels).magnitudes.mT
    bank, spread = mel_bank(COMPACT_PARAMS).T, network.spread.T
    start = 10 ** ((mel.mean(0).clamp(min=1e-4).log10() - network.weight) @ spread)
    sides = torch.full((mel.shape[1], 128), -0.5)
    mid, gains = fit_channels(start, sides, mel, bank, spread, torch.ones(spread.shape[1]))
    made = (mid * gains.abs()) @ bank
    loud = mel > 0.01 * mel.max()
    assert (20 * (made[loud] / mel[loud]).log10()).abs().mean() < 1.0


def test_what_cannot_be_played_is_refused_at_once(vocoder: LiveVocoder) -> None:
    with pytest.raises(InvalidInput, match="griffin_lim"):
        vocoder.stream(Spectrogram(torch.ones(1, 512, 60), RIFFUSION))
    with pytest.raises(InvalidAudio, match="prefix"):
        vocoder.stream(spectrogram(0.5), prefix=Waveform(np.zeros((1, 10), np.float32), 44100))


def test_silence_is_silent(vocoder: LiveVocoder) -> None:
    silence = Spectrogram(torch.zeros(2, 128, 60), COMPACT_PARAMS)
    assert np.abs(vocoder(silence).samples).max() < 1e-6


def test_the_shipped_one_is_as_near_to_the_source_as_the_learned_one() -> None:
    song = render_song_sound(next(song_numbers("test")), seed=0).samples[:, 8 * 44100 :]
    source = Waveform(song[:, : 399 * HOP], 44100)
    image = mel_spectrogram(source, COMPACT_PARAMS)
    learned = LearnedVocoder.load(SHIPPED / "vocoder")
    sounds = learned(image), LiveVocoder(learned.network)(image)
    fine, live = (log_spectral_distance(source.samples, w.samples, 44100) for w in sounds)
    assert live < 1.03 * fine


def clip(seed: int) -> Spectrogram:
    image = spectrogram(5.2)
    noise = torch.rand(image.magnitudes.shape, generator=torch.Generator().manual_seed(seed))
    return Spectrogram((image.magnitudes * noise)[:, :, :512], COMPACT_PARAMS)


def test_a_track_of_streams_is_the_same_after_going_back(vocoder: LiveVocoder) -> None:
    def played(stitcher: Stitcher, order: list[tuple[int, int]]) -> np.ndarray:
        pieces = []
        for line, seed in order:
            stitcher.push(line, max(0, line // HOP - 104), clip(seed))
            pieces.append(stitcher.play_to(line + BAR))
        return np.concatenate(pieces, 1)

    straight, back = (Stitcher(COMPACT_PARAMS, 2, 512, vocoder) for _ in range(2))
    wanted = played(straight, [(0, 0), (BAR, 1), (2 * BAR, 2)])
    first = played(back, [(0, 0), (BAR, 3), (2 * BAR, 4)])
    resumed = back.rewind(BAR)
    again = played(back, [(BAR, 1), (2 * BAR, 2)])
    assert np.array_equal(np.concatenate([first[:, :resumed], again], 1), wanted)


def test_ready_audio_changes_nothing(vocoder: LiveVocoder) -> None:
    one, other = (Stitcher(COMPACT_PARAMS, 2, 512, vocoder) for _ in range(2))
    one.push(0, 0, clip(0))
    whole = one.play_to(2 * BAR)
    other.push(0, 0, clip(0))
    ready = other.play_ready(2 * BAR)
    assert 0 < ready.shape[1] < BAR
    rest = [other.play_to(BAR), other.play_to(2 * BAR)]
    assert np.array_equal(np.concatenate([ready, *rest], 1), whole)
