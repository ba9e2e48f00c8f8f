"""``import riffusion``: fast, complete, and the same for people and type checkers."""

from __future__ import annotations

import ast
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
