"""The track on disk is what was played, splices included, whatever happens to the disk."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from riffusion.audio.mastering import Samples
from riffusion.audio.recording import Recording
from riffusion.audio.track import Pcm, TrackFile, to_pcm
from riffusion.audio.waveform import Waveform, read_audio
from riffusion.errors import InvalidAudio, InvalidImage, InvalidInput, StorageError
from riffusion.spectral.image import ImageInfo, read_image, read_info, to_image
from riffusion.spectral.spectrogram import RIFFUSION, mel_spectrogram
from riffusion.spectral.track_image import write_track_image
from tests.full_disk import files_of_at_most

RATE = 44100


def noise(samples: int, channels: int = 1, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((channels, samples)) * 0.2).astype(np.float32)


def tone(samples: int) -> Samples:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(samples) / RATE))[None].astype(np.float32)


def as_floats(pcm: Pcm) -> Samples:
    return (pcm / 32768).astype(np.float32)


@given(
    st.integers(1, 2),
    st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1)), min_size=1, max_size=20),
)
def test_a_track_is_what_was_written_last(channels: int, writes: list[tuple[int, float]]) -> None:
    expected = np.zeros((channels, 0), np.int16)
    with TrackFile(RATE, channels) as track:
        for seed, (samples, place) in enumerate(writes):
            start = round(place * track.length)
            block = noise(samples, channels, seed)
            track.write(start, block)
            expected = np.concatenate([expected[:, :start], to_pcm(block)], axis=1)
        assert track.length == expected.shape[1]
        assert np.array_equal(track.read(0, track.length), expected)
        middle = track.length // 2
        assert np.array_equal(track.read(middle, 10**9), expected[:, middle:])
        assert track.read(track.length + 5, track.length + 9).shape == (channels, 0)


def test_duration() -> None:
    with TrackFile(RATE, 1) as track:
        assert track.duration_s == 0
        track.write(0, noise(RATE // 2))
        assert track.duration_s == 0.5


def test_rounding_is_to_the_nearest_and_clips() -> None:
    samples = np.array([[0.0, 0.5, -1.0, 1.0, 2.0, -2.0, 0.4 / 32768, 0.6 / 32768]], np.float32)
    assert to_pcm(samples).tolist() == [[0, 16384, -32768, 32767, 32767, -32768, 0, 1]]


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=100))
def test_16_bit_samples_survive_as_floats(values: list[int]) -> None:
    pcm = np.array([values], np.int16)
    assert np.array_equal(to_pcm(as_floats(pcm)), pcm)


@pytest.mark.parametrize("start", [-1, 101])
def test_a_block_that_would_leave_a_gap(start: int) -> None:
    with TrackFile(RATE, 1) as track:
        track.write(0, noise(100))
        with pytest.raises(InvalidInput, match="without gaps"):
            track.write(start, noise(10))
        assert track.length == 100


def test_a_block_of_another_shape() -> None:
    with TrackFile(RATE, 2) as track, pytest.raises(InvalidAudio, match="block shape"):
        track.write(0, noise(100, 1))


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_exports_hold_the_track_to_the_bit(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    path = tmp_path / f"track{suffix}"
    with TrackFile(RATE, channels) as track:
        track.write(0, noise(3 * RATE + 17, channels))
        track.export(path)
        pcm, rate = soundfile.read(path, dtype="int16", always_2d=True)
        assert rate == RATE
        assert np.array_equal(pcm.T, track.read(0, track.length))
        track.export(path, start=RATE, stop=2 * RATE)
        part, _ = soundfile.read(path, dtype="int16", always_2d=True)
        assert np.array_equal(part.T, track.read(RATE, 2 * RATE))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def two_tones(samples: int) -> Samples:
    """440 Hz left, 660 Hz right and softer."""
    time = np.arange(samples) / RATE
    sides = [0.5 * np.sin(2 * np.pi * 440 * time), 0.3 * np.sin(2 * np.pi * 660 * time)]
    return np.stack(sides).astype(np.float32)


def likeness(heard: Samples, master: Samples) -> float:
    """The largest normalised correlation of two signals over all shifts in time."""
    length = heard.shape[-1] + master.shape[-1]
    cross = np.fft.irfft(np.fft.rfft(heard, length) * np.fft.rfft(master, length).conj(), length)
    return float(cross.max() / np.sqrt(np.sum(heard**2) * np.sum(master**2)))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
@pytest.mark.parametrize("channels", [1, 2])
def test_files_sound_like_the_master_on_each_side(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    sound = two_tones(3 * RATE + 17)[:channels]
    with TrackFile(RATE, channels) as track:
        track.write(0, sound)
        track.export(tmp_path / f"track{suffix}")
    with Recording(tmp_path / f"growing{suffix}", RATE, channels, sound.shape[1]) as recording:
        for block in np.split(sound, [10_000, 70_000], axis=1):
            recording.write(block)
    for name in ("track", "growing"):
        heard = read_audio(tmp_path / f"{name}{suffix}")
        assert heard.channels == channels
        for side in range(channels):
            assert likeness(heard.samples[side], sound[side]) > 0.99


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".OGG"])
def test_lossy_exports_sound_like_the_track(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"track{suffix}"
    sound = tone(2 * RATE)
    with TrackFile(RATE, 1) as track:
        track.write(0, sound)
        track.export(path)
    heard = read_audio(path)
    assert heard.sample_rate == RATE
    assert heard.duration_s == pytest.approx(2, abs=0.1)
    spectrum = np.abs(np.fft.rfft(heard.samples[0, :RATE]))
    assert np.argmax(spectrum) == 440
    assert np.sqrt(np.mean(heard.samples**2)) == pytest.approx(0.3 / 2**0.5, rel=0.1)


@pytest.mark.parametrize("name", ["track", "track.txt", "track.aiff"])
def test_an_unknown_format_is_told_the_known_ones(tmp_path: Path, name: str) -> None:
    with TrackFile(RATE, 1) as track, pytest.raises(InvalidAudio, match=r"\.wav, \.flac"):
        track.export(tmp_path / name)


def test_the_image_is_that_of_the_whole_sound(tmp_path: Path) -> None:
    path = tmp_path / "track.png"
    with TrackFile(RATE, 1) as track:
        track.write(0, tone(RATE))
        track.write(RATE // 2, noise(RATE))
        write_track_image(track, path, ImageInfo(prompt_a="bells", seed_a=7))
        heard = as_floats(track.read(0, track.length))
    image = read_image(path)
    assert image.size == (RIFFUSION.frames(heard.shape[1]), 512)
    expected = to_image(mel_spectrogram(Waveform(heard, RATE)))
    assert np.array_equal(np.asarray(image), np.asarray(expected))
    info = read_info(image)
    assert info is not None
    assert (info.prompt_a, info.seed_a) == ("bells", 7)


def test_an_image_too_long_is_refused_and_a_part_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("riffusion.spectral.long_image.MAX_COLUMNS", 6000)
    with TrackFile(RATE, 1) as track:
        track.write(0, noise(61 * RATE))
        with pytest.raises(InvalidImage, match="at most 6000; make several"):
            write_track_image(track, tmp_path / "track.png")
        write_track_image(track, tmp_path / "track.png", start=60 * RATE)
    assert read_image(tmp_path / "track.png").width == 101


def test_nothing_played_is_nothing_to_save(tmp_path: Path) -> None:
    with TrackFile(RATE, 1) as track:
        with pytest.raises(InvalidInput, match="nothing has been played"):
            track.export(tmp_path / "track.wav")
        with pytest.raises(InvalidInput, match="nothing has been played"):
            write_track_image(track, tmp_path / "track.png")
    assert not list(tmp_path.iterdir())


def write_all(track: TrackFile, blocks: list[Samples]) -> None:
    for block in blocks:
        track.write(track.length, block)


def test_a_full_disk_keeps_what_was_written_and_the_block_can_come_again(tmp_path: Path) -> None:
    blocks = [noise(10_000, seed=seed) for seed in range(8)]
    with TrackFile(RATE, 1, tmp_path) as track:
        with files_of_at_most(70_000), pytest.raises(StorageError, match="free some space"):
            write_all(track, blocks)
        assert track.length == 30_000  # three blocks of 20 kB, and a half that does not count
        assert np.array_equal(track.read(0, 10**9), to_pcm(np.concatenate(blocks[:3], axis=1)))
        track.export(tmp_path / "rescued.wav")
        write_all(track, blocks[3:])
        assert np.array_equal(track.read(0, 10**9), to_pcm(np.concatenate(blocks, axis=1)))
    assert read_audio(tmp_path / "rescued.wav").duration_s == 30_000 / RATE


def test_a_splice_that_meets_a_full_disk_keeps_what_was_before_it(tmp_path: Path) -> None:
    old, new = noise(30_000, seed=1), noise(20_000, seed=2)
    with TrackFile(RATE, 1, tmp_path) as track:
        track.write(0, old)
        with files_of_at_most(70_000), pytest.raises(StorageError, match="could not write"):
            track.write(20_000, new)
        assert track.length == 20_000
        track.write(20_000, new)
        expected = to_pcm(np.concatenate([old[:, :20_000], new], axis=1))
        assert np.array_equal(track.read(0, 10**9), expected)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
def test_an_export_to_a_full_disk_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"track{suffix}"
    path.write_bytes(b"the last export")
    with TrackFile(RATE, 1) as track:
        track.write(0, noise(20 * RATE))
        with files_of_at_most(50_000), pytest.raises(StorageError, match="could not write"):
            track.export(path)
        assert path.read_bytes() == b"the last export"
        assert list(tmp_path.iterdir()) == [path]
        track.export(path)
        assert read_audio(path).duration_s == pytest.approx(20, abs=0.1)


def test_an_export_to_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with TrackFile(RATE, 1) as track:
        track.write(0, noise(RATE))
        with pytest.raises(StorageError, match="could not write"):
            track.export(tmp_path / "missing" / "track.wav")


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not write a new track"):
        TrackFile(RATE, 1, tmp_path / "missing")


def test_the_file_goes_away_when_the_track_is_closed(tmp_path: Path) -> None:
    with TrackFile(RATE, 1, tmp_path) as track:
        track.write(0, noise(1000))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="closed"):
        track.read(0, 10)


def test_memory_does_not_grow_with_the_track(tmp_path: Path) -> None:
    block = noise(RATE)
    with TrackFile(RATE, 1) as track:
        tracemalloc.start()
        for second in range(120):
            track.write(second * RATE, block)
        track.export(tmp_path / "track.flac")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert track.duration_s == 120
    assert peak < 3_000_000  # the track is 10 MB


def test_a_reader_never_sees_beyond_the_end() -> None:
    with TrackFile(RATE, 1) as track:
        track.write(0, noise(1000))
        track.write(500, noise(100))
        assert track.length == 600
        assert track.read(0, 1000).shape == (1, 600)


def test_temporary_files_go_where_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageError, match="TMPDIR"):
        TrackFile(RATE, 1)
