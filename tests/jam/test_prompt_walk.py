"""The walk visits up to eight prompts, or all sound together by their weights."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.clip import Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.prompt_walk import blend_prompts
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import Segment, first_segment
from riffusion.music.walk import PATHS, WalkMode, position_at
from tests.jamming import RATE, jam, play
from tests.recording import RecordedEngine

START = JamSettings(Prompt("a", 1), Prompt("b", 2), walk_bars=4)
THREE = START.changed({"prompt_c": Prompt("c", 3)})


def walk(settings: JamSettings, bars: range) -> list[str]:
    segment = first_segment(settings, RATE)
    return [heard(segment, bar) for bar in bars]


def heard(segment: Segment, bar: int) -> str:
    blend = segment.blend(bar)
    near = blend.end if blend.alpha > 0.5 else blend.start
    return f"{near.text}{min(blend.alpha, 1 - blend.alpha):g}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("once", ["a0", "a0.5", "b0", "b0.5", "c0", "c0", "c0", "c0"]),
        ("ping-pong", ["a0", "a0.5", "b0", "b0.5", "c0", "b0.5", "b0", "a0.5"]),
        ("round", ["a0", "a0.5", "b0", "b0.5", "c0", "c0.5", "a0", "a0.5"]),
        ("hold", ["a0"] * 8),
    ],
)
def test_a_list_of_prompts_is_visited(path: str, expected: list[str]) -> None:
    settings = THREE.changed({"path": path, "walk_bars": 2})
    assert walk(settings, range(8)) == expected


def test_a_prompt_without_weight_is_left_out() -> None:
    settings = THREE.changed({"path": "once", "walk_bars": 1, "weight_b": 0.0})
    assert walk(settings, range(3)) == ["a0", "c0", "c0"]
    alone = THREE.changed({"weight_a": 0.0, "weight_b": 0.0})
    assert set(walk(alone, range(9))) <= {"c0", "c0.25", "c0.5"}


def test_the_position_of_a_list_reaches_from_the_first_to_the_last() -> None:
    at = [THREE.changed({"path": "manual", "position": p}) for p in (0.0, 0.25, 0.5, 1.0)]
    assert [walk(settings, range(1))[0] for settings in at] == ["a0", "a0.5", "b0", "c0"]


@given(st.lists(st.floats(0.1, 1), min_size=2, max_size=8), st.floats(0, 1))
def test_together_all_count_by_their_weights(weights: list[float], position: float) -> None:
    letters = "abcdefgh"[: len(weights)]
    prompts = {f"prompt_{one}": Prompt(one) for one in letters}
    shares = {f"weight_{one}": weight for one, weight in zip(letters, weights, strict=True)}
    settings = START.changed({**prompts, **shares, "path": "together"})
    blend = blend_prompts(settings, position)
    pair = weights[0] + weights[1]
    assert blend.alpha == pytest.approx(weights[1] / pair)
    assert [other.weight * pair for other in blend.others] == pytest.approx(weights[2:])


@given(st.sampled_from(PATHS), st.floats(0, 100), st.integers(1, 8))
def test_positions_lie_among_the_prompts(path: WalkMode, distance: float, stops: int) -> None:
    last = max(1, stops - 1)
    position = position_at(path, distance, stops)
    assert 0 <= position <= (stops if path == "round" else last)


@given(st.integers(0, 40), st.sampled_from(["ping-pong", "once"]))
def test_the_walk_goes_on_from_where_it_is_when_a_prompt_comes(bar: int, path: str) -> None:
    segment = first_segment(START.changed({"path": path}), RATE)
    after = segment.changed(bar, {"prompt_c": Prompt("c", 3)})
    before, now = segment.blend(bar), after.blend(bar)
    assert (now.start, now.end, now.alpha) == (before.start, before.end, before.alpha)


def test_two_prompts_walk_as_they_always_did(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    play(jam(engine, walk_bars=4, bpm=120), 17 * RATE)
    assert [request.alpha for request in engine.requests] == [0, 0.5, 1, 0.5, 0]
    assert not any(request.others for request in engine.requests)


def test_all_eight_reach_the_engine(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    more: dict[str, Any] = {f"prompt_{one}": Prompt(one, n) for n, one in enumerate("cdefgh")}
    play(jam(engine, **more, path="together", prompt_b=Prompt("b", 9, "drums")), 3 * RATE)
    request = engine.requests[0]
    assert [other.prompt.text for other in request.others] == [*"cdefgh"]
    assert request.end.negative == "drums"


def test_weights_that_are_all_zero_are_refused_and_the_jam_goes_on(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    before = session.settings
    with pytest.raises(InvalidInput, match=r"all are 0.*a weight over 0"):
        session.change({"weight_a": 0.0, "weight_b": 0.0})
    assert session.settings == before
    with pytest.raises(InvalidInput, match=r"variation is 2"):
        session.change({"variation": 2})
    with pytest.raises(InvalidInput, match=r"loop is '3'"):
        session.change({"loop": "3"})
    assert play(session, RATE).shape[1] == RATE
