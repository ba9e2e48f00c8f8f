"""The playground's tasks as commands, on a tiny real model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from riffusion.audio.waveform import Waveform
from riffusion.cli.main import main
from riffusion.compat.restyle import count_samples, plan_windows, restyle
from riffusion.compat.tasks import curve_alpha
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine
from riffusion.jam.anchors import matched_to_engine
from riffusion.spectral.image import read_image, read_info
from riffusion.spectral.spectrogram import Spectrogram
from tests.compat.command_line import refused, tones
from tests.recording import RecordedEngine

RATE = 44100


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


def test_windows_overlap_by_a_second_and_are_used_to_their_end(tiny_engine: Engine) -> None:
    windows = plan_windows(tiny_engine, 60 * RATE)
    step_s = tiny_engine.context_step * tiny_engine.params.frame_s
    for window in windows[1:]:
        assert 1.0 <= window.start / RATE - window.first_frame * 441 / RATE < 1.0 + step_s
    for window in windows[:-1]:
        assert window.stop == (window.first_frame + tiny_engine.frames - 4) * 441


def test_each_window_continues_the_one_before(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 12 * RATE)).astype(np.float32)
    source = matched_to_engine(Waveform(noise, RATE), engine)

    def make_request(progress: float, anchor: Spectrogram) -> ClipRequest:
        prompt = Prompt("x", round(10 * progress))
        return ClipRequest(prompt, prompt, anchor=anchor, strength=0.9, steps=1)

    for _ in restyle(engine, source, make_request):
        pass
    windows = plan_windows(engine, source.samples.shape[1])
    assert len(windows) == len(engine.generated) == 3
    assert engine.generated[0][0].context is None
    for index, window in enumerate(windows[1:], start=1):
        context, before = engine.generated[index][0].context, engine.generated[index - 1][1]
        assert context is not None
        first = window.first_frame - windows[index - 1].first_frame
        expected = before.cut(first, first + context.frames)
        assert context.frames == window.start // 441 - window.first_frame
        assert torch.equal(context.magnitudes, expected.magnitudes)


def test_what_is_kept_whole_comes_back_without_seams(tiny_engine: Engine) -> None:
    """Strength 0 returns the source, so that a steady tone stays steady over every seam."""
    tone = 0.3 * np.sin(2 * np.pi * 441 * np.arange(12 * RATE) / RATE)
    source = matched_to_engine(Waveform(tone[np.newaxis].astype(np.float32), RATE), tiny_engine)

    def make_request(progress: float, anchor: Spectrogram) -> ClipRequest:
        prompt = Prompt("x", 0)
        return ClipRequest(prompt, prompt, anchor=anchor, strength=0.0, steps=1)

    sound = np.concatenate(list(restyle(tiny_engine, source, make_request)), axis=1)[0]
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
