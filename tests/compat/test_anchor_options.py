"""The options of generate and jam that start from an anchor."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from riffusion.cli.main import main
from riffusion.jam.anchors import library
from tests.compat.command_line import refused


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


def test_the_library_has_several_tempi() -> None:
    assert len(library()) >= 5
    assert len({anchor.bpm for anchor in library()}) >= 4
    assert sum(anchor.path.stat().st_size for anchor in library()) < 1_500_000
