"""The examples in the docstrings of the public names of engines run as they are shown."""

from __future__ import annotations

import doctest

import pytest

import riffusion

NAMES = (
    "ClipRequest",
    "Controls",
    "Engine",
    "LeadSheet",
    "Lora",
    "Mix",
    "Prompt",
    "StableOptions",
    "clip_image",
    "clip_sound",
    "load_engine",
)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_as_it_is_shown(name: str) -> None:
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(riffusion, name), name, globs={})
    assert example.examples
    results = doctest.DocTestRunner().run(example)
    assert results.failed == 0
