"""scripts/jam from nothing: a real virtual environment, real pip, a stand-in for the app only."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHOW_ARGUMENTS = "import sys\nprint(sys.prefix)\nprint(sys.argv[1:])\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one file and no requirements, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("a clone")
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / "app.py").write_text(SHOW_ARGUMENTS)
    (folder / "requirements.txt").write_text("# nothing\n")
    jam(folder)
    return folder


def jam(
    folder: Path, *options: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "scripts" / "jam", *options],
        cwd="/",
        env=environment or dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )


def test_app_runs_in_the_environment_and_gets_the_options(clone: Path) -> None:
    result = jam(clone, "--host", "0.0.0.0", "--model", "a folder")
    prefix, arguments = result.stdout.splitlines()
    assert Path(prefix).resolve() == (clone / ".venv").resolve()
    assert arguments == "['--host', '0.0.0.0', '--model', 'a folder']"
    assert result.returncode == 0


def test_second_start_installs_nothing(clone: Path) -> None:
    jam(clone)
    assert jam(clone).stderr == ""


def test_changed_requirements_are_installed_once(clone: Path) -> None:
    (clone / "requirements.txt").write_text("# still nothing\n")
    assert "installing requirements.txt" in jam(clone).stderr
    assert jam(clone).stderr == ""


def test_failed_installation_is_told_and_tried_again(clone: Path) -> None:
    wanted = clone / "requirements.txt"
    wanted.write_text("-r missing.txt\n")
    for _ in range(2):
        result = jam(clone)
        assert result.returncode == 1
        assert "the installation stopped" in result.stderr
        assert result.stdout == ""
    wanted.write_text("# nothing\n")
    assert jam(clone).returncode == 0


def test_broken_environment_is_made_anew(clone: Path) -> None:
    (clone / ".venv" / "bin" / "python").unlink()
    result = jam(clone)
    assert result.returncode == 0, result.stderr
    assert "making .venv" in result.stderr


def test_no_usable_python_names_what_to_install(clone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    shutil.copytree(clone, folder, ignore=shutil.ignore_patterns(".venv"))
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "dirname"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = jam(folder, environment={"PATH": str(tools)})
    assert result.returncode == 1
    assert "needs Python 3.11 to 3.14" in result.stderr
    assert not (folder / ".venv").exists()


def test_ci_runs_the_tests_and_nothing_weaker() -> None:
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert commands == ['exec "$(dirname "$0")/../scripts/test"']
