"""The progress bar: what it says on a screen and in a log, and that short work stays silent."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from riffusion.audio.progress import progress

LINE = re.compile(r"jam [#.]{24} +(\d+)%  (\d+\.\d) of (\d+\.\d) s  (\d+\.\d) x real time")


class Screen(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_short_work_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("clip", 5.0) as advance:
        advance(5.0)
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_whole_lines_with_share_seconds_and_speed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("jam", 16.0) as advance:
        time.sleep(1.1)
        for _ in range(8):
            advance(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    found = LINE.fullmatch(lines[0])
    assert found is not None
    assert found.groups()[:3] == ("25", "4.0", "16.0")
    assert lines[0].count("#") == 6
    assert 2.0 < float(found[4]) < 4.0


def test_a_screen_redraws_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress("jam", 10.0) as advance:
        for _ in range(3):
            time.sleep(0.6)
            advance(2.0)
    text = screen.getvalue()
    assert text.count("\n") == 1
    drawn = [line for line in text.strip().split("\r") if line]
    assert len(drawn) >= 2
    assert all(LINE.fullmatch(line.strip()) for line in drawn)
    assert "60%  6.0 of 10.0 s" in drawn[-1]


def test_interrupted_work_ends_with_what_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with progress("jam", 10.0) as advance:
            time.sleep(1.1)
            advance(4.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "4.0 of 10.0 s" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("total_s", [0.0, 3.0])
def test_more_than_there_is_to_make_is_all_of_it(
    total_s: float, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("jam", total_s) as advance:
        time.sleep(1.1)
        advance(100.0)
    assert f"100%  {total_s:.1f} of {total_s:.1f} s" in capsys.readouterr().err
