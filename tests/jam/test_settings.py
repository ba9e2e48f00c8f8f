"""Settings are checked once and survive JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.clip import MAX_SEED, Controls, Prompt
from riffusion.errors import InvalidInput
from riffusion.jam.settings import JamSettings, from_json, to_json
from riffusion.music.walk import PATHS

prompts = st.builds(
    Prompt,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50).filter(str.strip),
    st.integers(0, MAX_SEED),
)
shares = st.none() | st.floats(0, 1)
jam_settings = st.builds(
    JamSettings,
    prompt_a=prompts,
    prompt_b=prompts,
    path=st.sampled_from(PATHS),
    position=st.floats(0, 1),
    walk_bars=st.integers(1, 1024),
    bpm=st.floats(60, 180),
    key=st.sampled_from(["C", "F# minor", "B♭"]),
    chords=st.sampled_from(["", "Am F C G", "C♯m7 | D♭"]),
    beats_per_bar=st.integers(2, 12),
    controls=st.builds(Controls, shares, shares, shares),
    guidance=st.floats(0, 30),
    steps=st.integers(1, 1000),
)


@given(jam_settings, jam_settings)
def test_settings_survive_json(settings: JamSettings, other: JamSettings) -> None:
    text = json.dumps(to_json(settings.values()))
    assert other.changed(from_json(json.loads(text))) == settings


@given(jam_settings, jam_settings)
def test_the_difference_is_what_it_takes(old: JamSettings, new: JamSettings) -> None:
    assert old.changed(old.difference(new)) == new
    assert old.difference(old) == {}


@given(jam_settings)
def test_a_request_is_for_both_prompts_with_its_own_noise(settings: JamSettings) -> None:
    request = settings.request(0.25, 11, 12)
    assert (request.start.text, request.start.seed) == (settings.prompt_a.text, 11)
    assert (request.end.text, request.end.seed) == (settings.prompt_b.text, 12)
    assert (request.alpha, request.bpm) == (0.25, settings.bpm)
    assert (request.guidance, request.steps) == (settings.guidance, settings.steps)


@pytest.mark.parametrize("path", ["", "pingpong", None, 3, [], {}])
def test_an_unknown_path_is_told_the_known_ones(path: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        JamSettings(Prompt("bells"), Prompt("beats"), path=path)
    assert all(known in str(caught.value) for known in PATHS)
