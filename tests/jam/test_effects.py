"""The effects of the master follow the settings of a jam: on bar lines, live and in replays."""

from __future__ import annotations

import numpy as np

from riffusion.engines.protocol import Engine
from riffusion.jam.replay import replay
from tests.jamming import QUICK, RATE, jam, play

LENGTH = 6 * RATE


def test_reverb_begins_on_the_bar_line_of_its_change(tiny_engine: Engine) -> None:
    dry = play(jam(tiny_engine), LENGTH)
    session = jam(tiny_engine)
    block = session.block()
    line = session.change({"reverb": 1.0})
    assert line is not None
    wet = play(session, LENGTH, block.samples)
    # A change of any setting begins a clip of its own, which fades in before the bar line.
    before = line - RATE // 10
    assert np.array_equal(wet[:, :before], dry[:, :before])
    same_change = jam(tiny_engine)
    block = same_change.block()
    assert same_change.change({"walk_bars": 17, "reverb": 0.0}) == line
    plain = play(same_change, LENGTH, block.samples)
    assert not np.allclose(wet[:, line:], plain[:, line:], atol=1e-3)


def test_reverb_that_is_off_changes_no_bit(tiny_engine: Engine) -> None:
    assert np.array_equal(play(jam(tiny_engine, reverb=0.0), RATE), play(jam(tiny_engine), RATE))


def test_a_replay_has_the_same_reverb(tiny_engine: Engine) -> None:
    session = jam(tiny_engine, reverb=0.4)
    played = play(session, LENGTH)
    saved = session.saved()
    assert saved.settings.reverb == 0.4
    again = replay(tiny_engine, saved, vocoder=QUICK)
    assert np.array_equal(play(again, LENGTH), played)
    assert not np.allclose(played, play(jam(tiny_engine), LENGTH), atol=1e-3)
