"""``import riffusion``: fast, complete, and the same for people and type checkers."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import riffusion


def listed_names() -> list[str]:
    """The names in the stub, which type checkers read."""
    tree = ast.parse(Path(riffusion.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return [alias.asname or alias.name for node in imports for alias in node.names]


def test_every_listed_name_loads() -> None:
    for name in listed_names():
        assert getattr(riffusion, name).__name__ == name


def test_people_and_type_checkers_see_the_same_names() -> None:
    assert sorted(listed_names()) == sorted(riffusion.__all__)
    assert set(listed_names()) <= set(dir(riffusion))


def test_unknown_name_is_an_attribute_error() -> None:
    name = "Jamsession"
    with pytest.raises(AttributeError, match=name):
        getattr(riffusion, name)


def test_import_and_help_do_not_wait_for_pytorch() -> None:
    program = (
        "import sys, riffusion, riffusion.cli.main\n"
        "try:\n    riffusion.cli.main.main(['jam', '--help'])\n"
        "except SystemExit:\n    pass\n"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--prompt-a" in done.stdout


def examples() -> list[doctest.DocTest]:
    """The examples in the docstrings of the public names that have some."""
    finder = doctest.DocTestFinder(recurse=False)
    found = []
    for name in listed_names():
        thing = getattr(riffusion, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            found += finder.find(thing, name, globs={})
    return [test for test in found if test.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_examples_of_public_names_run(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize(
    "name",
    [
        "ImageInfo",
        "RiffusionError",
        "Spectrogram",
        "SpectrogramParams",
        "TrackFile",
        "Waveform",
        "audio_to_image",
        "from_image",
        "griffin_lim",
        "image_to_audio",
        "mel_spectrogram",
        "open_long_image",
        "read_audio",
        "read_image",
        "to_image",
        "write_audio",
        "write_image",
        "write_sound_image",
    ],
)
def test_names_for_sounds_and_images_have_an_example(name: str) -> None:
    assert name in [example.name for example in examples()]
