"""The original's commands between audio and images, and those that cut clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from riffusion.cli.main import main
from riffusion.compat.files import slugify
from riffusion.spectral.image import from_image, read_image
from tests.compat.command_line import refused, tones


def test_audio_to_image_to_audio(
    capsys: pytest.CaptureFixture[str], song: Path, tmp_path: Path
) -> None:
    image, back = tmp_path / "song.jpg", tmp_path / "back.wav"
    options = ("--stereo", "--step-size-ms", "20", "--num-frequencies", "256", "--device", "cuda")
    assert main(["audio-to-image", "--audio", str(song), "--image", str(image), *options]) == 0
    spectrogram = from_image(read_image(image))
    params = spectrogram.params
    assert (spectrogram.channels, spectrogram.frames) == (2, 76)
    assert (params.sample_rate, params.hop_length, params.mel_bands) == (22050, 441, 256)
    assert main(["print-exif", "--image", str(image)]) == 0
    told = capsys.readouterr().out
    assert "SAMPLE_RATE          =           22050\n" in told
    assert "NUM_FREQUENCIES      =             256\n" in told
    assert main(["image-to-audio", "--image", str(image), "--audio", str(back)]) == 0
    assert capsys.readouterr().out == f"Wrote {back} (1.50 seconds)\n"
    sound, _ = soundfile.read(back)
    notes = np.abs(np.fft.rfft(sound, axis=0)).argmax(axis=0) / 1.5
    np.testing.assert_allclose(notes, (440, 660), atol=15)


def test_sample_clips_is_seeded(song: Path, tmp_path: Path) -> None:
    names = []
    for folder in ("a", "b"):
        target = tmp_path / folder / "deep"
        options = ("--num-clips", "3", "--duration-ms", "500", "--mono", "--seed", "1")
        arguments = ["--audio", str(song), "--output-dir", str(target), *options]
        assert main(["sample-clips", *arguments, "--extension", "flac"]) == 0
        names.append(sorted(path.name for path in target.iterdir()))
        for path in target.iterdir():
            assert soundfile.info(path).frames == 11025
            assert soundfile.info(path).channels == 1
    assert names[0] == names[1]
    assert len(names[0]) == 3
    assert len({name.split("_")[3] for name in names[0]}) == 3, "each clip begins elsewhere"
    assert names[0][0].startswith("clip_0_start_")
    assert names[0][0].endswith("_ms_duration_500_ms.flac")


def test_batches_leave_out_what_is_no_audio(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source, clips, images = (tmp_path / name for name in ("in", "clips", "images"))
    source.mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        tones(source / name, 0.8)
    (source / "notes.txt").write_text("not audio")
    (source / "index.json").write_text("{}")
    common = ("--audio-dir", str(source), "--num-threads", "2")
    cutting = ("--num-clips-per-file", "2", "--duration-ms", "300", "--extension", "wav")
    assert main(["sample-clips-batch", *common, "--output-dir", str(clips), *cutting]) == 0
    told = capsys.readouterr().out
    assert "Left out notes.txt" in told
    assert "Wrote 6 files" in told
    one = ("--limit", "1", "--glob", "b*", "--seed", "4")
    only = tmp_path / "only"
    assert main(["sample-clips-batch", *common, "--output-dir", str(only), *cutting, *one]) == 0
    assert all(path.name.startswith("b_") for path in only.iterdir())
    listed = ["--audio-dir", str(clips), "--output-dir", str(images), "--limit", "2"]
    assert main(["audio-to-images-batch", *listed, "--image-extension", "png", "--no-mono"]) == 0
    assert len(list(images.iterdir())) == 2
    for path in images.iterdir():
        assert from_image(read_image(path)).channels == 2


@pytest.mark.parametrize(("option", "channels"), [("--no-mono", 2), ("--mono", 1)])
def test_a_batch_draws_mono_recordings_in_stereo_unless_told_otherwise(
    tmp_path: Path, option: str, channels: int
) -> None:
    sounds, images = tmp_path / "in", tmp_path / "images"
    sounds.mkdir()
    soundfile.write(sounds / "a.wav", 0.3 * np.sin(np.arange(44100) / 10), 44100)
    folders = ("--audio-dir", str(sounds), "--output-dir", str(images))
    assert main(["audio-to-images-batch", *folders, option]) == 0
    (path,) = images.iterdir()
    assert from_image(read_image(path)).channels == channels


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("audio-to-image", "--image", "x.gif"), "end it in .png"),
        (("audio-to-image", "--image", "x.png", "--num-frequencies", "0"), "mel_bands is 0"),
        (("audio-to-image", "--image", "x.png", "--power-for-image", "0.5"), "0.25"),
        (("sample-clips", "--output-dir", "d", "--duration-ms", "9000"), "shorter than a clip"),
        (("sample-clips", "--output-dir", "d", "--duration-ms", "0"), "use 1 or more"),
        (("sample-clips", "--output-dir", "d", "--num-clips", "0"), "use 1 or more"),
        (("sample-clips", "--output-dir", "d", "--extension", "exe"), "use one of wav"),
        (("sample-clips",), "required: --output-dir"),
    ],
)
def test_wrong_options_are_told(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    song: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refused(capsys, *arguments, "--audio", song)


@pytest.mark.parametrize("pattern", ["../*", "/etc/*"])
def test_a_glob_stays_in_its_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pattern: str
) -> None:
    folders = ("--audio-dir", tmp_path, "--output-dir", tmp_path / "out")
    assert "inside the folder" in refused(capsys, "sample-clips-batch", *folders, "--glob", pattern)
    missing = ("--audio-dir", tmp_path / "none", "--output-dir", tmp_path / "out")
    assert "is no folder" in refused(capsys, "audio-to-images-batch", *missing)


@pytest.mark.parametrize(
    ("text", "name"),
    [("../../etc", "etc"), ("ジャズ", "ジャズ"), ("///", "clip"), ("a" * 99, "a" * 60)],
)
def test_prompts_make_harmless_file_names(text: str, name: str) -> None:
    assert slugify(text) == name
