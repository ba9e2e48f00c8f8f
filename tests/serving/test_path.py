"""The way from Play to the first sample is short."""

from __future__ import annotations

from benchmarks.path import MAX_CALLS, MAX_FILES, describe, trace_play
from riffusion.engines.protocol import Engine


def test_few_calls_lie_between_play_and_the_first_sample(tiny_engine: Engine) -> None:
    calls = trace_play(tiny_engine)
    assert ("serving/jams.py", "JamApi.start_jam") in calls.path
    assert ("jam/session.py", "JamSession.block") in calls.path
    listed = "\n".join(f"{file} {function}" for file, function in calls.functions)
    message = f"{describe(calls)}\n{listed}"
    assert len(calls.functions) <= MAX_CALLS, message
    assert len(calls.files) <= MAX_FILES, message
