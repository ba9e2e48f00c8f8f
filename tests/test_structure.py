"""The structure of the package: rooms, sizes, and that each room lists what it holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "riffusion"
MAX_ROOMS, MAX_TOP_MODULES = 14, 4
MAX_MODULE_LINES, MAX_CLASS_LINES, MAX_FUNCTION_LINES = 350, 250, 50
# Declarations of command-line options are tables in the shape of a function.
DECLARATIONS = re.compile(
    r"_?(add|build)_\w*(arguments|commands?|parser|options|codec|slicing|tasks)"
)
ROOMS = sorted(path for path in PACKAGE.rglob("*") if (path / "__init__.py").is_file())
MODULES = sorted(PACKAGE.rglob("*.py"))


def docstring_lines(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines of a class or function are its docstring, which may be long."""
    first = node.body[0]
    is_docstring = ast.get_docstring(node) is not None
    return (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0


def long_parts(path: Path) -> Iterator[str]:
    """Yield the classes and functions of a module that are too long, with their lengths."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef):
            limit = MAX_CLASS_LINES
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            limit = MAX_FUNCTION_LINES
            if DECLARATIONS.fullmatch(node.name):
                continue
        else:
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
        if lines > limit:
            yield f"{node.name}: {lines} lines"


def test_the_package_has_few_rooms_and_few_modules_at_its_top() -> None:
    assert len([room for room in ROOMS if room.parent == PACKAGE]) <= MAX_ROOMS
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_TOP_MODULES


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_classes_and_functions_stay_short(module: Path) -> None:
    lines = len(module.read_text("utf-8").splitlines())
    assert lines <= MAX_MODULE_LINES
    assert not list(long_parts(module))


@pytest.mark.parametrize(
    "script", sorted((ROOT / "assets" / "player").glob("*.js")), ids=lambda p: p.name
)
def test_scripts_of_the_page_stay_short(script: Path) -> None:
    assert len(script.read_text("utf-8").splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_room_says_what_it_is_for_and_lists_what_it_holds(room: Path) -> None:
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    first = text.partition("\n\n")[0]
    assert first.endswith(".")
    assert len(first) > 30
    listed = set(re.findall(r"^ *(\w+) {2,}\S", text, re.MULTILINE))
    there = {p.stem for p in room.glob("*.py")} | {
        p.parent.name for p in room.glob("*/__init__.py")
    }
    public = {name for name in there if not name.startswith("_")}
    assert listed == public
