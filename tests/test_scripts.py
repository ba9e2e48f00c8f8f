"""The scripts jam and test.

scripts/jam runs from nothing, with a real virtual environment and real pip; only the app is a
stand-in. scripts/test runs with stand-ins for the checks, which have tests of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHOW_ARGUMENTS = "import sys\nprint(sys.prefix)\nprint(sys.argv[1:])\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project of one file and no requirements, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("a clone")
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / "app.py").write_text(SHOW_ARGUMENTS)
    (folder / "requirements.txt").write_text("# nothing\n")
    jam(folder)
    return folder


def jam(
    folder: Path, *options: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run scripts/jam of a project from another folder."""
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


# Writes its name and arguments to a file, and fails where it is told to.
STAND_IN = """#!/bin/sh
echo "${0##*/} $*" >> calls
case "$*" in *"$BROKEN"*) exit 3 ;; esac
"""


def check(folder: Path, *options: str, broken: str = "nothing") -> tuple[int, list[str]]:
    """Run scripts/test with stand-ins for all tools. Returns its exit code and its calls."""
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    tools, environment = folder / "tools", folder / ".venv" / "bin"
    tools.mkdir()
    environment.mkdir(parents=True)
    for tool in ("sh", "dirname", "cmp"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    for stand_in in (tools / "chromium", environment / "python", environment / "lint-imports"):
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
    (folder / ".venv" / "installed").mkdir()
    for file in ROOT.glob("requirements*.txt"):
        shutil.copy(file, folder)
        shutil.copy(file, folder / ".venv" / "installed")
    for path in ("tests/browser", "tests/live", "tests/serving"):
        (folder / path).mkdir(parents=True)
    (folder / "tests" / "serving" / "test_song_page.py").touch()
    result = subprocess.run(
        [folder / "scripts" / "test", *options],
        env={"PATH": str(tools), "BROKEN": broken},
        capture_output=True,
        check=False,
    )
    calls = (folder / "calls").read_text().splitlines()
    return result.returncode, [call for call in calls if "pip" not in call]


def test_everything_is_checked_and_real_time_tests_run_apart(tmp_path: Path) -> None:
    code, calls = check(tmp_path)
    assert code == 0
    assert calls[:4] == [
        "python -m ruff check .",
        "python -m ruff format --check .",
        "lint-imports --no-logo",
        "python -m mypy --strict riffusion app.py benchmarks",
    ]
    together, apart = (call.split() for call in calls[4:])
    ignored = [option.removeprefix("--ignore=") for option in together if "--ignore=" in option]
    assert together[:3] == ["python", "-m", "pytest"]
    assert apart == ["python", "-m", "pytest", *ignored]
    assert "tests/browser" in ignored


def test_arguments_go_to_one_run_of_pytest(tmp_path: Path) -> None:
    code, calls = check(tmp_path, "-k", "seams or loops")
    assert code == 0
    assert [call for call in calls if "pytest" in call] == ["python -m pytest -k seams or loops"]


@pytest.mark.parametrize("broken", ["ruff check", "format", "--no-logo", "mypy", "-n ", "browser"])
def test_a_check_that_fails_ends_the_script(broken: str, tmp_path: Path) -> None:
    code, calls = check(tmp_path, broken=broken)
    assert code == 3
    assert broken in calls[-1]


def test_an_import_upwards_breaks_a_contract(tmp_path: Path) -> None:
    package = tmp_path / "riffusion"
    shutil.copytree(ROOT / "riffusion", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (package / "audio" / "upwards.py").write_text("import riffusion.serving.server\n")
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "riffusion.audio.upwards -> riffusion.serving.server" in result.stdout


def test_ci_runs_the_tests_and_nothing_weaker() -> None:
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert commands == ['exec "$(dirname "$0")/../scripts/test"']
