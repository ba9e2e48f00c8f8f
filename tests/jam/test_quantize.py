"""A change lands on the next sixteenth, beat, bar or loop, and nothing before it is rewritten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riffusion.engines.clip import Prompt
from riffusion.engines.protocol import Engine
from riffusion.jam.session import JamSession
from riffusion.jam.timeline import Timeline, first_segment
from tests.jamming import QUICK, RATE, jam, play, settings_with

BEAT = RATE // 2  # at 120 beats per minute
PARTS = {"now": BEAT / 4, "beat": BEAT, "bar": 4 * BEAT, "loop": 8 * BEAT}
# A change rewrites up to so much before its place, where the new clip fades in.
REACH = 5000


@pytest.mark.parametrize("quantize", [*PARTS])
def test_places_lie_on_their_grid(quantize: str) -> None:
    timeline = Timeline((first_segment(settings_with(loop="2"), RATE),))
    part = PARTS[quantize]
    for sample in (0, 1, round(part) - 1, round(part), round(part) + 1, 10 * RATE + 7):
        line = timeline.bar_sample(timeline.next_place(sample, quantize))
        assert sample <= line < sample + part + 1
        # Sixteenths lie between samples.
        assert abs(line - round(line / part) * part) <= 0.5


@pytest.mark.parametrize("quantize", [*PARTS])
@pytest.mark.parametrize("not_before", [None, 4 * RATE])
def test_a_change_lands_there(tiny_engine: Engine, quantize: str, not_before: int | None) -> None:
    session, plain = (jam(tiny_engine, quantize=quantize, loop="2") for _ in range(2))
    heard = play(session, 5 * RATE)
    at = session.change({"prompt_a": Prompt("something else", 9)}, not_before=not_before)
    assert at is not None
    earliest = session.position if not_before is None else not_before
    assert earliest <= at <= earliest + REACH + PARTS[quantize] + 1
    assert abs(at - round(at / PARTS[quantize]) * PARTS[quantize]) <= 0.5
    heard = play(session, at + 2 * RATE, heard[:, : session.position])
    unchanged = play(plain, at + 2 * RATE)
    assert np.array_equal(heard[:, : at - REACH], unchanged[:, : at - REACH])
    assert not np.array_equal(heard[:, at:], unchanged[:, at:])


def test_a_beat_is_sooner_than_a_bar(tiny_engine: Engine) -> None:
    places = []
    for quantize in ("now", "beat", "bar", "loop"):
        session = jam(tiny_engine, quantize=quantize)
        play(session, round(9.05 * RATE))
        places.append(session.change({"key": "A"}))
    now, beat, bar, loop = (place / RATE for place in places if place is not None)
    assert now == pytest.approx(9.25, abs=0.001)
    assert (beat, bar, loop) == (9.5, 10, 16)


def test_a_metre_begins_on_a_bar_line(tiny_engine: Engine) -> None:
    session = jam(tiny_engine, quantize="now")
    play(session, RATE)
    assert session.change({"beats_per_bar": 3}) == 2 * RATE


def test_chords_and_walk_follow_a_change_in_the_middle_of_a_bar(tiny_engine: Engine) -> None:
    session = jam(tiny_engine, quantize="beat", chords="C Am", path="once", walk_bars=8)
    play(session, round(4.6 * RATE))
    session.change({"chords": "Dm G"})
    (change,) = session.changes
    assert change.bar == 2.5
    segment = session.segment_at(change.sample)
    assert [segment.chord(bar).name for bar in (2, 3, 4)] == ["Dm", "G", "Dm"]
    assert segment.position(2.5) == 2.5 / 8


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from([*PARTS]), st.integers(0, 2 * RATE)), max_size=4))
def test_changes_on_any_grid_are_what_they_would_be_if_known_beforehand(
    tiny_engine: Engine, moves: list[tuple[str, int]]
) -> None:
    live = jam(tiny_engine)
    heard = play(live, RATE)
    for number, (quantize, more) in enumerate(moves):
        heard = play(live, live.position + more, heard)
        live.change({"quantize": quantize, "guidance": float(number)})
        heard = heard[:, : live.position]
    heard = play(live, live.position + 2 * RATE, heard)
    known = JamSession(tiny_engine, settings_with(), changes=live.changes, vocoder=QUICK)
    assert np.array_equal(play(known, live.position), heard)
