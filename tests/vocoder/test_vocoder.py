"""The learned vocoder: its laws hold for any weights; how good the shipped ones are, at the end."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.audio.waveform import Waveform
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.loading import SHIPPED, load_engine
from riffusion.errors import InvalidAudio, InvalidInput, ModelError
from riffusion.networks.weights import write_network
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram, mel_bank, mel_spectrogram
from riffusion.training.corpus.sound import render_song_sound, song_numbers
from riffusion.training.evaluation.sound_measures import log_spectral_distance
from riffusion.vocoder.bands import BandsToBins, band_to_bin
from riffusion.vocoder.learned import BLOCK_FRAMES, TILE_FRAMES, LearnedVocoder
from riffusion.vocoder.network import VocoderNetwork
from riffusion.vocoder.recurrence import unroll_phases
from riffusion.vocoder.stereo import side_over_mid
from tests.conftest import save_tiny_model

HOP = COMPACT_PARAMS.hop_length


@pytest.fixture(scope="module")
def vocoder(network: VocoderNetwork) -> LearnedVocoder:
    return LearnedVocoder(network)


@pytest.fixture(scope="module")
def shipped() -> LearnedVocoder:
    return LearnedVocoder.load(SHIPPED / "vocoder")


def music(seconds: float, channels: int = 2, seed: int = 0) -> Waveform:
    """Plucked chords, a steady bass on the left, noise bursts on the right."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * 44100)) / 44100
    phase = time % 0.5
    chord = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6, 880.0))
    plucked = chord * np.exp(-6 * phase)
    bass = np.sin(2 * np.pi * 110 * time)
    hits = rng.standard_normal(len(time)) * np.exp(-40 * ((time + 0.25) % 0.5))
    left, right = 0.1 * plucked + 0.1 * bass, 0.1 * plucked + 0.05 * hits
    return Waveform(np.stack([left, right])[:channels].astype(np.float32), 44100)


def spectrogram(seconds: float, channels: int = 2) -> Spectrogram:
    return mel_spectrogram(music(seconds, channels), COMPACT_PARAMS)


def steady(bins: int, frames: int, turns: float) -> np.ndarray:
    return np.full((frames, bins), np.exp(2j * np.pi * turns), np.complex64)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_has_the_length_of_its_frames_and_the_same_bits_again(
    vocoder: LearnedVocoder, channels: int
) -> None:
    image = spectrogram(0.6, channels)
    sound = vocoder(image)
    assert sound.samples.shape == (channels, COMPACT_PARAMS.samples(image.frames))
    assert np.array_equal(sound.samples, vocoder(image).samples)
    assert not np.array_equal(sound.samples, vocoder(image, seed=1).samples)


@settings(max_examples=8, deadline=None)
@given(heard=st.integers(1, 20000))
def test_sound_begins_with_what_was_heard(vocoder: LearnedVocoder, heard: int) -> None:
    image, before = spectrogram(0.6), music(0.6, seed=3)
    prefix = Waveform(before.samples[:, :heard], 44100)
    sound = vocoder(image, prefix=prefix)
    assert np.array_equal(sound.samples[:, :heard], prefix.samples)
    assert sound.samples.shape[1] == COMPACT_PARAMS.samples(image.frames)


@settings(max_examples=6, deadline=None)
@given(block_frames=st.integers(1, 130), seconds=st.floats(0.02, 2.5))
def test_windows_of_any_length_decode_as_the_whole_does(
    vocoder: LearnedVocoder, block_frames: int, seconds: float
) -> None:
    image = spectrogram(seconds)
    whole = vocoder(image).samples
    blocks = list(vocoder.blocks(image.cut, image.frames, block_frames=block_frames))
    joined = np.concatenate(blocks, axis=1)
    assert joined.shape == whole.shape == (2, COMPACT_PARAMS.samples(image.frames))
    assert np.abs(joined - whole).max() < 1e-4


@settings(max_examples=4, deadline=None)
@given(block_frames=st.integers(1, 250))
def test_blocks_go_on_where_one_reading_of_the_network_ends(
    vocoder: LearnedVocoder, block_frames: int
) -> None:
    image = spectrogram(5.5)
    assert image.frames > 2 * TILE_FRAMES
    whole, blocks = (
        np.concatenate(list(vocoder.blocks(image.cut, image.frames, block_frames=each)), axis=1)
        for each in (TILE_FRAMES, block_frames)
    )
    assert whole.shape == (2, COMPACT_PARAMS.samples(image.frames))
    assert np.abs(blocks - whole).max() < 1e-4
    assert np.abs(vocoder(image).samples - whole).max() < 1e-4


@pytest.mark.parametrize("iterations", [(0, 0), (3, 0), (0, 3), (1, 1)])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_iterations_of_a_stream_are_those_of_the_whole(
    network: VocoderNetwork, iterations: tuple[int, int], channels: int
) -> None:
    image = spectrogram(1.2, channels)
    vocoder = LearnedVocoder(network, iterations=iterations)
    joined = np.concatenate(list(vocoder.blocks(image.cut, image.frames, block_frames=50)), axis=1)
    assert np.abs(joined - vocoder(image).samples).max() < 1e-4
    assert not np.allclose(joined, LearnedVocoder(network)(image).samples, atol=1e-3)


def test_what_was_heard_goes_on_over_more_than_one_reading(vocoder: LearnedVocoder) -> None:
    image, heard = spectrogram(4.0), music(0.5, seed=3)
    sound = vocoder(image, prefix=heard)
    assert sound.samples.shape == (2, COMPACT_PARAMS.samples(image.frames))
    assert np.array_equal(sound.samples[:, : heard.samples.shape[1]], heard.samples)


def test_a_phase_that_advances_evenly_is_a_steady_tone() -> None:
    bins, frames = 6, 40
    sizes = np.zeros((frames, bins), np.float32)
    sizes[:, 3] = 2.0
    before = np.zeros(bins, np.complex64)
    before[3] = 2.0
    spectra = unroll_phases(sizes, steady(bins, frames, 0.3), steady(bins, frames, 0.0), before)
    expected = 2 * np.exp(2j * np.pi * 0.3 * np.arange(1, frames + 1))
    assert np.abs(spectra[:, 3] - expected).max() < 1e-3


def test_a_bin_follows_its_neighbour_where_its_own_past_says_nothing() -> None:
    bins, frames = 2, 5
    sizes = np.array([[3.0, 1.0]] * frames, np.float32)
    advance = steady(bins, frames, 0.1)
    advance[:, 1] = 0.0
    spectra = unroll_phases(sizes, advance, steady(bins, frames, 0.25), np.ones(bins, np.complex64))
    assert np.allclose(spectra[:, 1], spectra[:, 0] * 1j / 3, atol=1e-5)


def test_a_hit_out_of_silence_is_sharp() -> None:
    """Phases that were random agree with those of their neighbours on where it lies."""
    bins, rng = 1025, np.random.default_rng(0)
    before = 1e-6 * np.exp(2j * np.pi * rng.random(bins)).astype(np.complex64)
    size = np.ones((1, bins), np.float32)
    unknown = np.full((1, bins), 0.3, np.complex64)
    spectrum = unroll_phases(size, unknown, steady(bins, 1, 100 / 2048), before)[0]
    steps = np.angle(spectrum[1:] / spectrum[:-1] / steady(bins, 1, 100 / 2048)[0, 1:])
    assert np.median(np.abs(steps)) < 0.8  # 1.6 is chance


def test_left_and_right_are_as_loud_as_the_levels_say() -> None:
    spread = BandsToBins(band_to_bin(COMPACT_PARAMS)[0])
    mel = torch.ones(2, 3, 128)
    mel[0, :, 64:] = 2.0  # the upper half is twice as loud on the left
    side = side_over_mid(mel, torch.full((3, 128), -0.5), spread)
    left, right = (1 + side).abs(), (1 - side).abs()
    ratio = (left / right).mean(0)
    low, high = slice(10, 100), slice(600, 900)
    assert torch.allclose(ratio[low], torch.ones(90), atol=1e-3)
    assert torch.allclose(ratio[high], torch.full((300,), 2.0), atol=1e-2)


def test_silence_is_silent(vocoder: LearnedVocoder) -> None:
    silence = Spectrogram(torch.zeros(2, 128, 60), COMPACT_PARAMS)
    assert np.abs(vocoder(silence).samples).max() < 1e-6


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Spectrogram(torch.ones(1, 512, 60), RIFFUSION), "griffin_lim"),
        (Spectrogram(torch.ones(2, 128, 1), COMPACT_PARAMS), "at least two"),
        (Spectrogram(torch.ones(3, 128, 60), COMPACT_PARAMS), "one or two"),
        (Spectrogram(torch.full((2, 128, 60), torch.nan), COMPACT_PARAMS), "finite"),
        (Spectrogram(torch.full((2, 128, 60), torch.inf), COMPACT_PARAMS), "finite"),
    ],
    ids=["other grid", "one frame", "three channels", "nan", "infinity"],
)
def test_what_cannot_be_played_is_refused(
    vocoder: LearnedVocoder, image: Spectrogram, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        vocoder(image)


def test_a_million_frames_are_begun_at_once_and_read_bit_by_bit(vocoder: LearnedVocoder) -> None:
    image, asked = spectrogram(1.0), []

    def cut(start: int, stop: int) -> Spectrogram:
        asked.append((start, stop))
        places = torch.arange(start, stop) % image.frames
        return Spectrogram(image.magnitudes[:, :, places], COMPACT_PARAMS)

    blocks = list(islice(vocoder.blocks(cut, 1_000_000), 3))
    # All but the first are whole: it waits for what shares samples with its end.
    assert [block.shape[1] for block in blocks[1:]] == 2 * [BLOCK_FRAMES * HOP]
    assert 0 < blocks[0].shape[1] < BLOCK_FRAMES * HOP
    assert max(stop - start for start, stop in asked) < TILE_FRAMES + 50
    assert asked[-1][1] < 3 * TILE_FRAMES + 50


def test_a_damaged_frame_far_into_an_image_is_refused(vocoder: LearnedVocoder) -> None:
    image = spectrogram(4.0)
    image.magnitudes[0, 50, 350] = torch.nan
    with pytest.raises(InvalidInput, match="finite"):
        list(vocoder.blocks(image.cut, image.frames))


def test_music_between_silences_makes_no_bursts(shipped: LearnedVocoder) -> None:
    mel = spectrogram(3.0).magnitudes
    mel[:, :, :100] = 0.0
    mel[:, :, 200:] = 0.0
    sound = shipped(Spectrogram(mel, COMPACT_PARAMS)).samples
    reach = COMPACT_PARAMS.win_length
    outside = np.concatenate([sound[:, : 100 * HOP - reach], sound[:, 200 * HOP + reach :]], 1)
    assert np.abs(outside).max() < 1e-3
    assert 0.5 < np.abs(sound).max() / np.abs(music(3.0).samples).max() < 2.0


@pytest.mark.parametrize("silent", [20, 60])
def test_music_begins_after_what_was_heard_was_silent(shipped: LearnedVocoder, silent: int) -> None:
    mel = spectrogram(1.5).magnitudes
    mel[:, :, :silent] = 0.0
    image = Spectrogram(mel, COMPACT_PARAMS)
    prefix = Waveform(np.zeros((2, silent * HOP), np.float32), 44100)
    sounds = (shipped(image, prefix=prefix).samples, shipped(image).samples)
    loud = [np.std(sound[:, (silent + 10) * HOP :]) for sound in sounds]
    assert loud[0] == pytest.approx(loud[1], rel=0.2)
    assert loud[1] > 0.02


@pytest.mark.parametrize("prefix", [(2, 10, 48000), (1, 10, 44100), (2, 44100, 44100)])
def test_a_prefix_that_does_not_fit_is_refused(
    vocoder: LearnedVocoder, prefix: tuple[int, int, int]
) -> None:
    channels, samples, rate = prefix
    heard = Waveform(np.zeros((channels, samples), np.float32), rate)
    with pytest.raises(InvalidAudio, match="prefix"):
        vocoder(spectrogram(0.5), prefix=heard)


def test_an_engine_brings_its_vocoder(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model", channels=2)
    assert load_engine(str(folder), "cpu").vocoder is griffin_lim
    write_network(VocoderNetwork(width=8, hidden=8, depth=1), folder / "vocoder", exact=True)
    assert isinstance(load_engine(str(folder), "cpu").vocoder, LearnedVocoder)
    (folder / "vocoder" / "diffusion_pytorch_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelError, match="vocoder"):
        load_engine(str(folder), "cpu")


def side_share(sound: Waveform) -> float:
    left, right = sound.samples
    return float(((left - right) ** 2).sum() / ((left + right) ** 2).sum())


def test_the_shipped_vocoder_is_nearer_to_the_source_than_griffin_lim(
    shipped: LearnedVocoder,
) -> None:
    song = render_song_sound(next(song_numbers("test")), seed=0).samples[:, 8 * 44100 :]
    source = Waveform(song[:, : 399 * HOP], 44100)
    image = mel_spectrogram(source, COMPACT_PARAMS)
    ours, theirs = shipped(image), griffin_lim(image)
    far = [log_spectral_distance(source.samples, w.samples, 44100) for w in (ours, theirs)]
    assert far[0] < 0.95 * far[1]
    assert 0.5 < side_share(ours) / side_share(source) < 2.0
    assert side_share(theirs) / side_share(source) < 0.5
    mono = [10 * np.log10(np.mean(w.samples.mean(0) ** 2)) for w in (ours, source)]
    assert abs(mono[0] - mono[1]) < 1.0


def pitch_hz(sound: Waveform, about_hz: float) -> float:
    """The strongest frequency within a semitone of ``about_hz``, to 0.1 Hz."""
    middle = sound.samples.mean(0)[22050:-22050]
    size = 1 << 19
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), size))
    bins_hz = np.fft.rfftfreq(size, 1 / 44100)
    near = (bins_hz > about_hz / 1.06) & (bins_hz < about_hz * 1.06)
    return float(bins_hz[near][spectrum[near].argmax()])


def test_notes_keep_their_pitch_and_their_level(shipped: LearnedVocoder) -> None:
    time = np.arange(200 * HOP) / 44100
    cents, levels_db = [], []
    for pitch in range(52, 86, 6):
        hz = 440 * 2 ** ((pitch - 69) / 12)
        note = sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 7)) * 0.1
        source = Waveform(np.stack([note, note]).astype(np.float32), 44100)
        sound = shipped(mel_spectrogram(source, COMPACT_PARAMS))
        cents.append(1200 * np.log2(pitch_hz(sound, hz) / hz))
        levels_db.append(20 * np.log10(np.std(sound.samples) / np.std(source.samples)))
    assert np.median(np.abs(cents)) < 12
    assert np.abs(levels_db).max() < 1.5


def test_what_was_heard_goes_on_in_phase(shipped: LearnedVocoder) -> None:
    image = spectrogram(1.5)
    whole = shipped(image)
    heard = 70 * HOP
    prefix = Waveform(whole.samples[:, :heard], 44100)
    following = slice(heard, heard + 4410)
    for seed in (1, 2):
        gone_on = shipped(image, prefix=prefix, seed=seed).samples[0, following]
        assert np.corrcoef(gone_on, whole.samples[0, following])[0, 1] > 0.9


def test_a_curve_over_bins_is_that_of_the_matrix() -> None:
    spread = band_to_bin(COMPACT_PARAMS)[0]
    bands = torch.randn(2, 5, 128, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(BandsToBins(spread)(bands), bands @ spread.T, atol=1e-6)


def test_the_bank_and_the_curves_over_it_agree() -> None:
    spread, weight = band_to_bin(COMPACT_PARAMS)
    bank = mel_bank(COMPACT_PARAMS)
    flat = bank @ (10 ** (spread @ -weight))
    assert torch.allclose(spread.sum(1), torch.ones(len(spread)))
    assert (20 * flat.log10()).abs().mean() < 1.0
