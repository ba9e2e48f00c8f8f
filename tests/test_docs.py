"""The documentation names what is there: files, links, commands and Python examples."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import riffusion
from riffusion.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "assets" / "model" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
MAX_LINE = 100
# This looks like a folder of ours and is a checkpoint on the hub.
CHECKPOINT = "riffusion/riffusion-model-v1"


def prose(page: Path) -> list[str]:
    """The lines of a page outside of code blocks and tables."""
    without_code = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    return [line for line in without_code.splitlines() if not line.startswith("|")]


def commands(page: Path) -> list[str]:
    """The commands of a page's code blocks, continued lines joined, comments left out."""
    blocks = re.findall(r"```\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0] for line in lines if line.startswith("python -m riffusion ")]


COMMANDS = [command for page in PAGES for command in commands(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_are_there(page: Path) -> None:
    named = re.findall(
        r"`((?:riffusion|assets|benchmarks|scripts|tests|docs)/[\w./-]*)`", page.read_text("utf-8")
    )
    missing = [name for name in named if not (ROOT / name).exists()]
    assert [name for name in missing if name != CHECKPOINT] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paragraphs_are_wrapped(page: Path) -> None:
    assert [line for line in prose(page) if len(line) > MAX_LINE] == []


def test_the_pages_show_commands() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    arguments = shlex.split(command)[3:]
    build_parser(arguments[:1]).parse_args(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_examples_use_public_names(page: Path) -> None:
    for example in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL):
        compile(example, str(page), "exec")
        for name in re.findall(r"riffusion\.(\w+)", example):
            assert hasattr(riffusion, name), name


def test_the_space_is_described_at_the_top_of_the_readme() -> None:
    description = (ROOT / "README.md").read_text("utf-8").split("---\n")[1]
    assert "sdk: gradio" in description
    version = re.search(r"^sdk_version: (.+)$", description, re.MULTILINE)
    assert version
    assert f"gradio=={version[1]}" in (ROOT / "requirements.txt").read_text().splitlines()


def test_dependencies_have_the_pinned_versions() -> None:
    pinned = dict(
        re.findall(
            r"^([\w-]+)==([\d.]+)$",
            "\n".join(file.read_text() for file in ROOT.glob("requirements*.txt")),
            re.MULTILINE,
        )
    )
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    told = re.findall(r"([\w-]+) (\d+\.\d+\.\d+)", page)
    assert len(told) > 15
    assert [pair for pair in told if pinned.get(pair[0], pair[1]) != pair[1]] == []
