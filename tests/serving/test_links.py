"""Links made before open the same: queries as pages wrote them, and the form that they give."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from riffusion.serving.links import DEFAULTS, read_link

FULL = (
    "a=%D1%81%D0%B0%D0%BB%D1%8C%D1%81%D0%B0+%F0%9F%8E%BA&seed_a=9223372036854775807&b=oud&seed_b=0"
    "&path=manual&position=0.25&walk_bars=3&bpm=93.5&key=F%23m&chords=Am+F+C+G&beats=3&shape=1"
    "&density=0.1&brightness=0.9&drums=0&guidance=1.5&steps=7&anchor=marimba&strength=0.3"
    "&mask=lower_half"
)
FULL_VALUES = {
    "a": "сальса 🎺", "seed_a": 2**63 - 1, "b": "oud", "seed_b": 0, "path": "manual",
    "position": 0.25, "walk_bars": 3, "bpm": 93.5, "key": "F#m", "chords": "Am F C G", "beats": 3,
    "shape": True, "density": 0.1, "brightness": 0.9, "drums": 0.0, "guidance": 1.5, "steps": 7,
    "anchor": "marimba", "strength": 0.3, "mask": "lower_half",
}  # fmt: skip


def opened(query: str) -> tuple[dict[str, Any], list[str]]:
    """What a link gives that the form does not show without it, and its problems."""
    values, problems = read_link(dict(parse_qsl(query, keep_blank_values=True)))
    assert list(values) == list(DEFAULTS)
    return {name: v for name, v in values.items() if v != DEFAULTS[name]}, problems


def test_the_form_without_a_link_shows_what_it_always_showed() -> None:
    before = {
        "a": "church bells", "seed_a": 1, "b": "electronic beats", "seed_b": 2,
        "path": "ping-pong", "position": 0.0, "walk_bars": 16, "bpm": 100.0, "key": "Cm",
        "chords": "", "beats": 4, "shape": False, "density": 0.5, "brightness": 0.5, "drums": 0.5,
        "guidance": 8.0, "steps": 8, "anchor": "", "strength": 0.75, "mask": "",
    }  # fmt: skip
    assert {name: DEFAULTS[name] for name in before} == before


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {}),
        ("a=jazz&b=techno&bpm=120&key=C", {"a": "jazz", "b": "techno", "bpm": 120.0, "key": "C"}),
        (FULL, FULL_VALUES),
        ("shape=0&density=0.2", {"density": 0.2}),
        ("walk_bars=200&guidance=20&bpm=9.5e1", {"walk_bars": 200, "guidance": 20.0, "bpm": 95.0}),
        ("walk_bars=007&chords=", {"walk_bars": 7}),
        ("utm_source=x&tempo=90&prompt_a=y&beats_per_bar=3", {}),
    ],
)
def test_links_made_before_open_the_same(query: str, values: dict[str, Any]) -> None:
    assert opened(query) == (values, [])


BAD = {
    "a=+": "prompt A is ' ': describe some music, for example 'church bells'",
    "seed_b=-1": "seed B is -1: use a whole number from 0 to 9223372036854775807",
    "seed_a=7.0": "seed A is '7.0': use a whole number, for example 42",
    "path=zigzag": "path is 'zigzag': use one of ping-pong, once, round, manual, hold, together",
    "position=nan": "position on the walk is nan: use a number from 0 to 1",
    "bpm=500": "tempo is 500.0: use a number of beats per minute from 60 to 180",
    "key=H": "key is 'H': use a note and a mode, for example C, Cm, F# major or Bb minor",
    "chords=Am+Q7": "chord 2 is 'Q7': a chord starts with a note from A to G, in capitals",
    "beats=1": "beats per bar is 1: use a whole number of beats from 2 to 12",
    "shape=yes": "shape by hand is 'yes': use 1 for yes or 0 for no",
    "steps=51": "steps is 51: use at most 50; the command line takes more",
    "anchor=own-0123": "anchor is 'own-0123': is not on this machine any more; bring it again",
    "strength=2": "strength is 2.0: use a number from 0 to 1",
}


@pytest.mark.parametrize("query", BAD)
def test_bad_values_have_their_default_and_are_told(query: str) -> None:
    assert opened(f"{query}&walk_bars=9") == ({"walk_bars": 9}, [BAD[query]])
