"""``riffusion song`` end to end on a tiny real model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from riffusion.cli.main import main
from riffusion.song.markers import cue_sheet
from riffusion.song.model import Song
from riffusion.song.placement import place_sections
from riffusion.song.plan import load_plan, read_plan
from riffusion.spectral.image import from_image
from riffusion.spectral.tags import read_info

RATE, HOP = 44100, 441
QUICK = ("--steps", "1")
PLAN = """\
title: a "short" one
bpm: 120
order: [verse, chorus, verse]
sections:
  verse: {bars: 2, prompt: jazz, seed: 1}
  chorus: {bars: 1, prompt: techno, bpm: 90}
"""


@pytest.fixture
def model(tiny_model_folder: Path) -> tuple[str, ...]:
    """Options that load the tiny model, and one step."""
    return ("--model", str(tiny_model_folder), "--device", "cpu", *QUICK)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


def song() -> Song:
    return read_plan(PLAN)


def test_a_line_becomes_plan_song_image_and_cue(model: tuple[str, ...], tmp_path: Path) -> None:
    plan, out, image = (tmp_path / name for name in ("s.yaml", "s.flac", "s.png"))
    files = ("--plan", str(plan), "--out", str(out), "--image", str(image))
    assert main(["song", "calm bossa nova", "--minutes", "0.25", *files, *model]) == 0
    planned = load_plan(plan)
    places = place_sections(planned, RATE)
    assert soundfile.info(out).frames == places[-1].stop
    assert abs(places[-1].stop / RATE - 15) < 0.3
    with Image.open(image) as picture:
        assert picture.size == (places[-1].stop // HOP + 1, 512)
        info = read_info(picture)
        from_image(picture)
    assert info is not None
    assert info.sections is not None
    marks = [line.split(" ", 1) for line in info.sections.splitlines()]
    assert [(int(column), name) for column, name in marks] == [
        (place.start // HOP, place.section.name) for place in places
    ]
    assert (tmp_path / "s.cue").read_text("utf-8").count("TRACK") == len(places)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.cue", "s.flac", "s.png", "s.yaml"]


def test_a_plan_becomes_a_song_that_comes_back(
    model: tuple[str, ...], plan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.wav"
    assert main(["song", "--plan", str(plan), "--out", str(out), *model]) == 0
    sound, _ = soundfile.read(out, dtype="int16")
    first, _, second = place_sections(song(), RATE)
    bar = RATE * 2  # the last bar fades out
    start = round(0.005 * RATE)  # of the fade at the start
    np.testing.assert_array_equal(
        sound[first.start + start : first.start + bar],
        sound[second.start + start : second.start + bar],
    )
    assert plan.read_text() == PLAN


def test_variation_on_the_command_line(model: tuple[str, ...], plan: Path, tmp_path: Path) -> None:
    sounds = []
    for variation in ("0", "0.3"):
        out = tmp_path / "s.wav"
        wanted = ("--plan", str(plan), "--out", str(out), "--variation", variation)
        assert main(["song", *wanted, *model]) == 0
        sounds.append(soundfile.read(out, dtype="int16")[0])
    second = place_sections(song(), RATE)[2].start
    np.testing.assert_array_equal(sounds[0][: second - RATE], sounds[1][: second - RATE])
    assert not np.array_equal(sounds[0][second:], sounds[1][second:])


def test_a_line_with_only_a_plan_generates_nothing(tmp_path: Path) -> None:
    plan = tmp_path / "s.json"
    assert main(["song", "", "--plan", str(plan), "--model", str(tmp_path / "none")]) == 0
    assert load_plan(plan).duration_s == pytest.approx(180, rel=0.02)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_compressed_formats(
    model: tuple[str, ...], plan: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"s{suffix}"
    assert main(["song", "--plan", str(plan), "--out", str(out), *model]) == 0
    assert soundfile.info(out).duration == pytest.approx(song().duration_s, abs=0.1)
    cue = (tmp_path / "s.cue").read_text("utf-8")
    assert f'FILE "s{suffix}" {"MP3" if suffix == ".mp3" else "WAVE"}' in cue


def test_cue_sheet() -> None:
    sheet = cue_sheet(place_sections(song(), RATE), RATE, "s.flac", song().title)
    assert sheet.splitlines() == [
        "TITLE \"a 'short' one\"",
        'FILE "s.flac" WAVE',
        "  TRACK 01 AUDIO",
        '    TITLE "verse"',
        "    INDEX 01 00:00:00",
        "  TRACK 02 AUDIO",
        '    TITLE "chorus"',
        "    INDEX 01 00:04:00",
        "  TRACK 03 AUDIO",
        '    TITLE "verse"',
        "    INDEX 01 00:06:50",  # a bar of 90 beats per minute is 2 2/3 s, 50 / 75
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a line such as"),
        (("rock",), "--plan song.yaml, --out song.flac or both"),
        (("--plan", "{tmp}/none.yaml"), "no such file"),
        (("--plan", "{tmp}/plan.yaml", "--minutes", "3"), "goes with a line"),
        (("rock", "--plan", "{tmp}/plan.yaml"), "is there already"),
        (("rock", "--plan", "{tmp}/plan.txt"), "end it in .yaml"),
        (("rock", "--out", "{tmp}/song.txt"), "end it in .wav"),
        (("rock", "--out", "{tmp}/none/song.wav"), "folder does not exist"),
        (("rock", "--plan", "{tmp}/s.yaml", "--image", "{tmp}/s.png"), "--out song.flac"),
        (("rock", "--minutes", "1000", "--out", "{tmp}/s.wav"), "0.25 to 30 minutes"),
        (("--plan", "{tmp}/plan.yaml", "--out", "{tmp}/s.wav", "--variation", "2"), "from 0 to 1"),
        (("--plan", "{tmp}/bad.yaml", "--out", "{tmp}/s.wav"), "line 2: bars is 0"),
    ],
)
def test_bad_input_writes_nothing(
    plan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "bad.yaml").write_text("sections:\n  a: {bars: 0, prompt: x}\norder: [a]\n")
    assert main(["song", *(text.format(tmp=tmp_path) for text in arguments)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert plan.read_text() == PLAN
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml", "plan.yaml"]


def test_a_stable_diffusion_checkpoint_plays_the_same_plan(
    tiny_stable_folder: Path, plan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.wav"
    engine = ("--model", str(tiny_stable_folder), "--device", "cpu", *QUICK)
    assert (
        main(["song", "--plan", str(plan), "--out", str(out), "--variation", "0.5", *engine]) == 0
    )
    sound, _ = soundfile.read(out, dtype="int16")
    first, _, second = place_sections(song(), RATE)
    assert len(sound) == second.stop
    assert sound[first.start : first.stop].any()
    assert sound[second.start : second.start + RATE].any()
