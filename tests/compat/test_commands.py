"""The original's commands and the playground's tasks, on a tiny real model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from riffusion.audio.waveform import Waveform
from riffusion.cli.main import main
from riffusion.compat.files import slugify
from riffusion.compat.restyle import count_samples, plan_windows, restyle
from riffusion.compat.tasks import curve_alpha
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine
from riffusion.jam.anchors import library, matched_to_engine
from riffusion.spectral.image import from_image, read_image, read_info
from riffusion.spectral.spectrogram import Spectrogram

RATE = 44100


@pytest.fixture
def model(tiny_model_folder: Path) -> tuple[str, ...]:
    return ("--model", str(tiny_model_folder), "--device", "cpu")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A second and a half of two tones, stereo, at 22050 Hz."""
    return tones(tmp_path / "song.wav", 1.5)


def tones(path: Path, seconds: float) -> Path:
    rate = 22050
    time = np.arange(int(seconds * rate)) / rate
    sides = [0.3 * np.sin(2 * np.pi * hz * time) for hz in (440, 660)]
    soundfile.write(path, np.stack(sides, axis=1), rate)
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 2) -> str:
    assert main([str(argument) for argument in arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line


# --- the original's six --------------------------------------------------------------------------


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


# --- the playground's tasks ----------------------------------------------------------------------


def test_text_to_audio_from_a_seed_image(
    capsys: pytest.CaptureFixture[str], model: tuple[str, ...], tmp_path: Path
) -> None:
    audio, image = tmp_path / "clip.mp3", tmp_path / "clip.jpg"
    options = ("--negative-prompt", "drums", "--num-inference-steps", "2", "--seed", "3")
    files = ("--audio", str(audio), "--image", str(image), "--seed-image", "marim")
    assert main(["text-to-audio", "--prompt", "church bells", *options, *files, *model]) == 0
    assert soundfile.info(audio).duration == pytest.approx(5.11, abs=0.06)
    info = read_info(read_image(image))
    assert info is not None
    assert (info.prompt_a, info.seed_a) == ("church bells", 3)
    assert "Wrote" in capsys.readouterr().out


def test_a_batch_in_the_original_s_format(model: tuple[str, ...], tmp_path: Path) -> None:
    batch, folder = tmp_path / "batch.json", tmp_path / "out"
    params = {"checkpoint": "riffusion/riffusion-model-v1", "num_inference_steps": 1,
              "guidance": 7.0, "width": 512}  # fmt: skip
    entries = [{"prompt": "Church bells/../x", "negative_prompt": "drums", "seed": 100}]
    batch.write_text(json.dumps({"params": [params], "entries": entries}))
    options = ("--batch", str(batch), "--num-seeds", "2", "--output-dir", str(folder))
    assert main(["text-to-audio", *options, *model]) == 0
    index = json.loads((folder / "index.json").read_text())["entries"]
    assert [entry["seed"] for entry in index] == [100, 101]
    for entry in index:
        assert entry["prompt"] == "Church bells/../x"
        assert soundfile.info(folder / entry["audio_path"]).duration > 5
        assert read_image(folder / entry["image_path"]).height == 512
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize("at_once", ["1", "3"])
def test_a_batch_is_made_with_its_scheduler_and_width(
    tiny_stable_folder: Path, tmp_path: Path, at_once: str
) -> None:
    sets = [
        {"num_inference_steps": 2, "width": 64, "scheduler": name}
        for name in ("DPMSolverMultistepScheduler", "DDIM", "ddim")
    ]
    entries = [{"prompt": "bells"}]
    (tmp_path / "batch.json").write_text(json.dumps({"params": sets, "entries": entries}))
    options = ("--batch", str(tmp_path / "batch.json"), "--output-dir", str(tmp_path / "out"))
    model = ("--model", str(tiny_stable_folder), "--device", "cpu", "--batch-size", at_once)
    assert main(["text-to-audio", *options, *model]) == 0
    index = json.loads((tmp_path / "out" / "index.json").read_text())["entries"]
    assert [entry["scheduler"] for entry in index] == ["dpm++", "ddim", "ddim"]
    images = [read_image(tmp_path / "out" / entry["image_path"]) for entry in index]
    assert {image.size for image in images} == {(64, 512)}
    first, second, third = (np.asarray(image).tobytes() for image in images)
    assert first != second == third


def test_a_scheduler_for_the_shipped_engine_is_refused(
    capsys: pytest.CaptureFixture[str], model: tuple[str, ...], tmp_path: Path
) -> None:
    content = {"params": {"scheduler": "DDIM"}, "entries": [{"prompt": "bells"}]}
    (tmp_path / "batch.json").write_text(json.dumps(content))
    options = ("--batch", tmp_path / "batch.json", "--output-dir", tmp_path / "out")
    message = refused(capsys, "text-to-audio", *options, *model)
    assert "those are for Stable Diffusion checkpoints" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no batch"),
        ("[]", "is no batch"),
        ("[" * 100_000, "is no batch"),
        ('{"params": {}}', "entries"),
        ('{"params": {"guidance": "much"}, "entries": []}', "params"),
        ('{"params": {}, "entries": [{"prompt": ""}]}', "prompt is ''"),
        ('{"params": {"scheduler": "LMS"}, "entries": [{"prompt": "x"}]}', "scheduler is 'LMS'"),
        ('{"params": {"width": 0.5}, "entries": [{"prompt": "x"}]}', "params"),
        ('{"params": {"num_inference_steps": 0}, "entries": [{"prompt": "x"}]}', "steps is 0"),
    ],
)
def test_a_batch_that_is_none_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "batch.json").write_text(text)
    options = ("--batch", tmp_path / "batch.json", "--output-dir", tmp_path / "out")
    assert says in refused(capsys, "text-to-audio", *options)
    assert not (tmp_path / "out").exists()


def test_audio_to_audio_is_as_long_as_the_recording(model: tuple[str, ...], tmp_path: Path) -> None:
    song, out = tones(tmp_path / "long.wav", 11.3), tmp_path / "out.wav"
    walk = ("--prompt-a", "jazz", "--prompt-b", "techno", "--denoising", "0.4")
    options = ("--num-inference-steps", "1", "--start-time-s", "0.8", "--denoising-b", "0.9")
    files = ("--audio", str(song), "--output", str(out))
    assert main(["audio-to-audio", *files, *walk, *options, *model]) == 0
    sound, rate = soundfile.read(out)
    assert (len(sound), rate) == (round(10.5 * RATE), RATE)
    seconds = sound[: 10 * RATE].reshape(10, RATE)
    assert (np.abs(seconds).max(axis=1) > 0.01).all(), "no second is silent"


def test_interpolation_lasts_as_long_as_its_clips(
    model: tuple[str, ...], tmp_path: Path, tiny_engine: Engine
) -> None:
    out = tmp_path / "walk.flac"
    walk = ("--prompt-a", "church bells", "--prompt-b", "jazz", "--seed-image", "night_drive")
    options = ("--num-interpolation-steps", "2", "--num-inference-steps", "1")
    assert main(["interpolation", *walk, *options, "--output", str(out), *model]) == 0
    assert soundfile.info(out).frames == count_samples(tiny_engine, 2)


@pytest.mark.parametrize("seconds", [0.01, 3.0, 5.07, 5.08, 9.2, 60.0])
def test_windows_cover_a_recording_without_gaps(tiny_engine: Engine, seconds: float) -> None:
    length = round(seconds * RATE)
    cover = plan_windows(tiny_engine, length)
    assert cover[0].start == 0
    assert cover[-1].stop == length
    assert [p.stop for p in cover[:-1]] == [p.start for p in cover[1:]]
    for window in cover:
        assert window.first_frame * 441 <= window.start
        assert window.stop <= (window.first_frame + tiny_engine.frames) * 441
        assert (window.start // 441 - window.first_frame) % tiny_engine.context_step == 0
    assert [window.progress for window in cover] == sorted(window.progress for window in cover)


def test_what_is_kept_whole_comes_back_without_seams(tiny_engine: Engine) -> None:
    """Strength 0 returns the source: a steady tone stays steady over every seam."""
    tone = 0.3 * np.sin(2 * np.pi * 441 * np.arange(12 * RATE) / RATE)
    source = matched_to_engine(Waveform(tone[np.newaxis].astype(np.float32), RATE), tiny_engine)

    def ask(share: float, anchor: Spectrogram) -> ClipRequest:
        prompt = Prompt("x", 0)
        return ClipRequest(prompt, prompt, anchor=anchor, strength=0.0, steps=1)

    sound = np.concatenate(list(restyle(tiny_engine, source, ask)), axis=1)[0]
    assert len(sound) == 12 * RATE
    steady = sound[RATE : 11 * RATE]
    level = np.sqrt(np.mean(steady.reshape(-1, 2205) ** 2, axis=1))
    assert level.min() > 0.5 * level.max()
    assert np.abs(np.diff(steady)).max() < 2 * np.quantile(np.abs(np.diff(steady)), 0.99)


def test_the_curve_of_the_walk_is_the_original_s() -> None:
    alphas = np.linspace(0, 1, 9)
    np.testing.assert_allclose([curve_alpha(a, 1.0) for a in alphas], alphas)
    for power in (0.5, 2.0, 3.0):
        shifted = alphas * 2 - 1
        expected = (np.abs(shifted) ** power * np.sign(shifted) + 1) / 2
        np.testing.assert_allclose([curve_alpha(a, power) for a in alphas], expected)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("text-to-audio", "--audio", "x.wav"), "either --prompt or --batch"),
        (("text-to-audio", "--prompt", "x"), "--audio clip.wav"),
        (("text-to-audio", "--prompt", "x", "--audio", "x.exe"), "end it in .wav"),
        (("text-to-audio", "--prompt", "", "--audio", "x.wav"), "prompt is ''"),
        (
            ("text-to-audio", "--prompt", "x", "--audio", "x.wav", "--denoising", "2"),
            "denoising is 2.0",
        ),
        (("interpolation", "--prompt-a", "x", "--output", "x.wav"), "required: --prompt-b"),
    ],
)
def test_tasks_refuse_before_any_model_is_loaded(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refused(capsys, *arguments, "--model", tmp_path / "none")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--num-interpolation-steps", "0"), "use a whole number from 1"),
        (("--alpha-power", "0"), "--alpha-power is 0.0"),
        (("--seed-image", "nope"), "use one of soul_beat"),
        (("--seed-image", "none.wav"), "no such file"),
        (("--guidance", "99"), "guidance is 99.0"),
    ],
)
def test_a_walk_that_cannot_be_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    walk = ("--prompt-a", "a", "--prompt-b", "b", "--output", tmp_path / "x.wav")
    message = refused(capsys, "interpolation", *walk, *options, "--model", tmp_path / "none")
    assert says in message


# --- generate with an anchor ---------------------------------------------------------------------


def test_generate_starts_from_an_anchor(model: tuple[str, ...], tmp_path: Path) -> None:
    sounds = {}
    mask = tmp_path / "mask.png"
    Image.new("L", (512, 512), "black").save(mask)
    asked = {
        "free": (),
        "anchored": ("--anchor", "marimba"),
        "weak": ("--anchor", "marimba", "--strength", "0.1"),
        "masked": ("--anchor", "marimba", "--mask", "left_half"),
        "kept": ("--anchor", "marimba", "--mask", str(mask)),
    }
    for name, options in asked.items():
        out = tmp_path / f"{name}.wav"
        arguments = ["generate", "rock", "--steps", "2", *options, *model, "--out", str(out)]
        assert main(arguments) == 0
        sounds[name] = out.read_bytes()
    assert len(set(sounds.values())) == len(sounds)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--mask", "all"), "needs an --anchor"),
        (("--strength", "0.5"), "needs an --anchor"),
        (("--anchor", "nope"), "use one of soul_beat"),
        (("--anchor", "nope.flac"), "no such file"),
        (("--anchor", "nope.png"), "no such file"),
        (("--anchor", "marimba", "--mask", "nope"), "use one of all"),
        (("--anchor", "marimba", "--strength", "7"), "strength is 7.0"),
    ],
)
def test_anchors_that_cannot_be_are_told(
    capsys: pytest.CaptureFixture[str],
    model: tuple[str, ...],
    tmp_path: Path,
    options: tuple[str, ...],
    says: str,
) -> None:
    out = ("--out", tmp_path / "x.wav")
    assert says in refused(capsys, "generate", "rock", *options, *model, *out)
    assert says in refused(capsys, "jam", "--prompt-a", "rock", *options, *model, *out)
    assert not (tmp_path / "x.wav").exists()


def test_a_jam_on_own_sound_replays_the_same(
    model: tuple[str, ...], song: Path, tmp_path: Path
) -> None:
    session, heard, again = (tmp_path / name for name in ("s.json", "a.wav", "b.wav"))
    own = ("--anchor", str(song), "--strength", "0.5", "--mask", "left_half", "--steps", "1")
    files = ("--out", str(heard), "--session", str(session), "--seconds", "4")
    assert main(["jam", "--prompt-a", "rock", *own, *model, *files]) == 0
    song.unlink()
    assert main(["replay", str(session), *model, "--out", str(again)]) == 0
    assert heard.read_bytes() == again.read_bytes()
    files = ("--out", str(again), "--seconds", "4", "--steps", "1")
    assert main(["jam", "--prompt-a", "rock", *model, *files]) == 0
    assert heard.read_bytes() != again.read_bytes()


def test_magic_mix_keeps_more_of_the_recording(
    capsys: pytest.CaptureFixture[str], model: tuple[str, ...], song: Path, tmp_path: Path
) -> None:
    common = ("audio-to-audio", "--audio", str(song), "--prompt-a", "x", "--output")
    steps = ("--num-inference-steps", "4")
    asked = {
        "plain": ("--denoising", "0.9"),
        "none of it": ("--magic-mix", "--kmax", "0.9", "--mix-factor", "1"),
        "mixed": ("--magic-mix", "--kmax", "0.9", "--mix-factor", "0.5"),
        "ends sooner": ("--magic-mix", "--kmax", "0.9", "--mix-factor", "0.5", "--kmin", "0.7"),
    }
    sounds = {}
    for name, options in asked.items():
        out = tmp_path / f"{name}.wav"
        assert main([*common, str(out), *steps, *options, *model]) == 0
        sounds[name] = out.read_bytes()
    assert sounds["plain"] == sounds["none of it"]
    assert len(set(sounds.values())) == 3
    message = refused(capsys, *common, tmp_path / "x.wav", "--magic-mix", "--kmin", "2", *model)
    assert "mix until is 2.0" in message


def test_the_library_has_several_tempi() -> None:
    assert len(library()) >= 5
    assert len({anchor.bpm for anchor in library()}) >= 4
    assert sum(anchor.path.stat().st_size for anchor in library()) < 1_500_000


@pytest.mark.parametrize(
    ("text", "name"),
    [("../../etc", "etc"), ("ジャズ", "ジャズ"), ("///", "clip"), ("a" * 99, "a" * 60)],
)
def test_prompts_make_harmless_file_names(text: str, name: str) -> None:
    assert slugify(text) == name
