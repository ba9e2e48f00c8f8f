"""Samples, audio files, and what happens to files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from riffusion.audio.waveform import (
    Waveform,
    encode_audio,
    read_audio,
    read_ending,
    write_audio,
)
from riffusion.errors import InvalidAudio, StorageError
from riffusion.storage import write_whole
from tests.full_disk import files_of_at_most

REUSED_FOLDER = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def sine(hz: float, seconds: float = 1.0, rate: int = 44100, channels: int = 1) -> Waveform:
    t = np.arange(int(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * hz * t)
    return Waveform(np.tile(tone, (channels, 1)).astype(np.float32), rate)


def strongest_hz(waveform: Waveform) -> float:
    spectrum = np.abs(np.fft.rfft(waveform.samples[0]))
    return float(spectrum.argmax() / waveform.duration_s)


@pytest.mark.parametrize(
    ("samples", "rate", "says"),
    [
        (np.zeros(5, np.float32), 44100, "two axes"),
        (np.zeros((1, 2, 3), np.float32), 44100, "two axes"),
        (np.zeros((1, 0), np.float32), 44100, "at least one sample"),
        (np.zeros((0, 5), np.float32), 44100, "at least one sample"),
        (np.array([[0.0, np.nan]]), 44100, "finite"),
        (np.array([[np.inf, 0.0]]), 44100, "finite"),
        (np.array([[0, 32767]], np.int16), 44100, "divide 16-bit samples"),
        (np.zeros((1, 5), np.float32), 0, "Hz"),
        (np.zeros((1, 5), np.float32), -44100, "Hz"),
        (np.zeros((1, 5), np.float32), 44100.5, "whole number"),
        (np.zeros((1, 5), np.float32), True, "whole number"),
        (np.zeros((1, 5), np.float32), 10**9, "Hz"),
    ],
)
def test_bad_arrays_are_refused(samples: np.ndarray, rate: int, says: str) -> None:
    with pytest.raises(InvalidAudio, match=says):
        Waveform(samples, rate)


def test_a_waveform_is_float32_and_knows_its_size() -> None:
    waveform = Waveform(np.zeros((2, 22050), np.float64), 44100)
    assert waveform.samples.dtype == np.float32
    assert (waveform.channels, waveform.duration_s) == (2, 0.5)


def test_mono_is_the_mean_of_the_channels() -> None:
    waveform = Waveform(np.array([[1.0, 0.5], [0.0, -0.5]], np.float32), 44100)
    assert waveform.mono().samples.tolist() == [[0.5, 0.0]]


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
def test_resampling_keeps_pitch_duration_and_level(rate: int) -> None:
    there = sine(1000, channels=2).resample(rate)
    assert there.sample_rate == rate
    assert abs(there.duration_s - 1) < 1e-3
    assert abs(strongest_hz(there) - 1000) < 2
    inside = there.samples[:, rate // 10 : -rate // 10]
    assert abs(np.sqrt(2) * inside.std() - 0.5) < 0.005


def test_resampling_to_no_rate_is_refused() -> None:
    for rate in (0, -1, 10**9):
        with pytest.raises(InvalidAudio, match="Hz"):
            sine(440).resample(rate)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@given(
    pcm=hnp.arrays(np.int16, st.tuples(st.integers(1, 2), st.integers(1, 300))),
    rate=st.sampled_from([8000, 22050, 44100, 48000]),
)
@REUSED_FOLDER
def test_what_16_bits_hold_comes_back_bit_for_bit(
    tmp_path: Path, suffix: str, pcm: np.ndarray, rate: int
) -> None:
    waveform = Waveform((pcm / 32768).astype(np.float32), rate)
    path = tmp_path / f"sound{suffix}"
    write_audio(waveform, path)
    back = read_audio(path)
    assert back.sample_rate == rate
    assert np.array_equal(back.samples, waveform.samples)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_formats_keep_the_sound(tmp_path: Path, suffix: str, channels: int) -> None:
    waveform = sine(440, channels=channels)
    write_audio(waveform, tmp_path / f"sound{suffix}")
    back = read_audio(tmp_path / f"sound{suffix}")
    assert back.samples.shape == waveform.samples.shape
    middle = slice(4410, -4410)
    noise = back.samples[:, middle] - waveform.samples[:, middle]
    assert noise.std() < 0.03 * waveform.samples.std()


def test_opus_files_are_read(tmp_path: Path) -> None:
    waveform = sine(440, rate=48000)
    soundfile.write(tmp_path / "a.opus", waveform.samples.T, 48000, format="OGG", subtype="OPUS")
    assert abs(strongest_hz(read_audio(tmp_path / "a.opus")) - 440) < 2


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
def test_samples_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path, suffix: str) -> None:
    quiet = sine(440)
    write_audio(Waveform(6 * quiet.samples, 44100), tmp_path / f"loud{suffix}")
    back = read_audio(tmp_path / f"loud{suffix}").samples
    clipped = np.clip(6 * quiet.samples, -1, 1)
    middle = slice(4410, -4410)
    assert np.abs(back - clipped)[:, middle].mean() < 0.02
    assert np.abs(back).max() < 1.3


def test_writing_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio, match=r"\.wav, \.flac, \.mp3, \.ogg"):
        write_audio(sine(440), tmp_path / "sound.xyz")


@pytest.mark.parametrize(
    ("waveform", "suffix"),
    [
        (sine(440, rate=96000), ".mp3"),
        (sine(440, channels=3), ".mp3"),
        (sine(9, channels=9), ".flac"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(waveform: Waveform, suffix: str) -> None:
    with pytest.raises(InvalidAudio, match="cannot hold"):
        encode_audio(waveform, suffix)


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        ("empty.wav", b"", "0 bytes"),
        ("text.wav", b"these are words, not sound\n" * 20, "not audio we can read"),
        ("text.mp3", b"these are words, not sound\n" * 20, "not audio we can read"),
        ("picture.flac", b"\x89PNG\r\n\x1a\n" + bytes(100), "not audio we can read"),
        ("noname", b"\0" * 1000, "not audio we can read"),
        ("header.wav", encode_audio(sine(440), ".wav")[:20], "not audio we can read"),
        ("nothing.wav", encode_audio(sine(440), ".wav")[:44], "at least one sample"),
    ],
)
def test_files_that_are_no_audio(tmp_path: Path, name: str, contents: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(InvalidAudio, match=says):
        read_audio(tmp_path / name)


def test_a_missing_file_and_a_folder_are_no_audio(tmp_path: Path) -> None:
    for path in (tmp_path / "not there.wav", tmp_path):
        with pytest.raises(InvalidAudio, match="no such file"):
            read_audio(path)


def test_a_file_with_nan_samples_is_refused(tmp_path: Path) -> None:
    bad = np.array([0.0, np.nan, 0.5], np.float32)
    soundfile.write(tmp_path / "nan.wav", bad, 44100, subtype="FLOAT")
    with pytest.raises(InvalidAudio, match="finite"):
        read_audio(tmp_path / "nan.wav")


def test_an_absurd_length_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    flac = bytearray(encode_audio(sine(440, 0.1), ".flac"))
    # STREAMINFO ends in 36 bits of sample count and 16 bytes of MD5: claim nine days.
    flac[22:26] = (2**32 - 1).to_bytes(4, "big")
    (tmp_path / "endless.flac").write_bytes(flac)
    with pytest.raises(InvalidAudio, match="use at most 9070 s"):
        read_audio(tmp_path / "endless.flac")


def test_an_absurdly_large_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(2 * 10**9)  # a hole: takes no disk
    with pytest.raises(InvalidAudio, match=r"2\.0 GB"):
        read_audio(tmp_path / "huge.wav")


@given(
    start=st.sampled_from([b"", *(encode_audio(sine(440, 0.05), s) for s in (".wav", ".flac"))]),
    cut=st.integers(0, 2000),
    noise=st.binary(max_size=200),
    suffix=st.sampled_from([".wav", ".flac", ".ogg", ".mp3", ".aiff", ""]),
)
@REUSED_FOLDER
def test_damaged_files_never_raise_anything_but_invalid_audio(
    tmp_path: Path, start: bytes, cut: int, noise: bytes, suffix: str
) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(start[:cut] + noise + start[cut + len(noise) :])
    try:
        samples = read_audio(path).samples
    except InvalidAudio:
        return
    assert np.isfinite(samples).all()


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "track.wav"
    write_whole(path, b"what was there")
    with files_of_at_most(1000), pytest.raises(StorageError, match="free some space"):
        write_audio(sine(440), path)
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="choose another folder"):
        write_audio(sine(440), tmp_path / "nowhere" / "track.wav")


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
def test_only_the_ending_of_a_file_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sound{suffix}"
    low, high = sine(440, 3.0), sine(880, 2.0)
    write_audio(Waveform(np.concatenate([low.samples, high.samples], axis=1), 44100), path)
    ending, begins_s = read_ending(path, 1.5)
    assert ending.duration_s == pytest.approx(1.5, abs=1e-3)
    assert begins_s + ending.duration_s == pytest.approx(read_audio(path).duration_s, abs=1e-3)
    assert strongest_hz(ending) == pytest.approx(880, abs=2)
    whole, begins_s = read_ending(path, 60.0)
    assert (whole.duration_s, begins_s) == (read_audio(path).duration_s, 0.0)
