"""``import riffusion``: fast, complete, and the same for people and type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import riffusion


def names_for_type_checkers() -> set[tuple[str, str]]:
    tree = ast.parse(Path(riffusion.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        (node.module or "", alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_every_name_loads() -> None:
    for _, name in names_for_type_checkers():
        assert getattr(riffusion, name).__name__ == name


def test_people_and_type_checkers_see_the_same_names() -> None:
    listed = {(module, name) for module, names in riffusion.PUBLIC.items() for name in names}
    assert listed == names_for_type_checkers()
    assert {name for _, name in listed} <= set(dir(riffusion))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Jamsession'"):
        _ = riffusion.Jamsession


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
