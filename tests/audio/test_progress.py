"""The progress bar: what it says, and that short work stays silent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.audio import progress


def test_line_tells_share_seconds_and_real_time_factor() -> None:
    line = progress.describe("jam", made_s=15.0, total_s=60.0, elapsed_s=5.0)
    assert line == "jam ######..................  25%  15.0 of 60.0 s  3.0 x real time"


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 1e5))
def test_line_has_one_width_of_bar(made_s: float, total_s: float, elapsed_s: float) -> None:
    bar = progress.describe("x", min(made_s, total_s), total_s, elapsed_s).split()[1]
    assert len(bar) == progress.BAR_WIDTH


def test_short_work_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("clip", 5.0) as advance:
        advance(5.0)
    assert capsys.readouterr() == ("", "")


def test_longer_work_ends_with_what_was_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    bar = progress.progress("jam", 10.0)
    bar.__enter__()(4.0)
    bar.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("jam ")
    assert "4.0 of 10.0 s" in last
