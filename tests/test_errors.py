"""Messages stay short and keep what matters of the value they name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riffusion.errors import MAX_SHOWN_LENGTH, InvalidInput, shorten


@given(st.text() | st.integers() | st.floats() | st.binary(max_size=200))
def test_a_value_is_shown_whole_where_it_is_short(value: object) -> None:
    shown = shorten(value)
    assert len(shown) <= MAX_SHOWN_LENGTH
    if len(repr(value)) <= MAX_SHOWN_LENGTH:
        assert shown == repr(value)


def test_a_long_path_keeps_its_file_name() -> None:
    path = "/home/musician/music/" + "projects/" * 20 + "the last take.wav"
    message = str(InvalidInput("audio file", path, "no such file; check the name"))
    assert "'/home/musician" in message
    assert "…" in message
    assert "projects/the last take.wav'" in message


@given(st.text("abc/", min_size=MAX_SHOWN_LENGTH))
def test_both_ends_of_a_long_value_stay(value: str) -> None:
    first, last = shorten(value).split("…")
    assert len(first) + 1 + len(last) == MAX_SHOWN_LENGTH
    assert repr(value).startswith(first)
    assert repr(value).endswith(last)
    assert len(last) > len(first)
