"""Keys and chords as musicians write them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.errors import InvalidInput
from riffusion.music.harmony import (
    FLAT_NAMES,
    LETTERS,
    QUALITIES,
    SHARP_NAMES,
    Mode,
    default_chords,
    parse_chords,
    parse_key,
    progression,
)


@pytest.mark.parametrize(
    ("text", "tonic", "mode"),
    [
        ("C", 0, "major"),
        ("Cm", 0, "minor"),
        ("C minor", 0, "minor"),
        ("c minor", 0, "minor"),
        ("Cmin", 0, "minor"),
        ("F# major", 6, "major"),
        ("F♯ Major", 6, "major"),
        ("Gb", 6, "major"),
        ("Bb", 10, "major"),
        ("B♭ minor", 10, "minor"),
        ("bb", 10, "major"),
        ("  A  m ", 9, "minor"),
        ("E-minor", 4, "minor"),
        ("Cb", 11, "major"),
        ("E#", 5, "major"),
        ("DM", 2, "major"),
        ("Dbmaj", 1, "major"),
    ],
)
def test_keys(text: str, tonic: int, mode: Mode) -> None:
    key = parse_key(text)
    assert (key.tonic, key.mode) == (tonic, mode)


@given(st.sampled_from([*SHARP_NAMES, *FLAT_NAMES]), st.sampled_from(["", "m"]))
def test_a_key_is_read_back_from_its_name(note: str, suffix: str) -> None:
    key = parse_key(note + suffix)
    assert parse_key(key.name) == key


@pytest.mark.parametrize("text", ["", "H", "C dorian", "minor", "C##minorr", "12", "🎹", None, 5])
def test_a_key_that_is_none_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(InvalidInput, match="F# major"):
        parse_key(text)


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("C", {0, 4, 7}),
        ("Cm", {0, 3, 7}),
        ("C7", {0, 4, 7, 10}),
        ("Cmaj7", {0, 4, 7, 11}),
        ("CM7", {0, 4, 7, 11}),
        ("Cm7", {0, 3, 7, 10}),
        ("Cdim", {0, 3, 6}),
        ("C°7", {0, 3, 6, 9}),
        ("Caug", {0, 4, 8}),
        ("C+", {0, 4, 8}),
        ("Csus4", {0, 5, 7}),
        ("Csus2", {0, 2, 7}),
        ("C6", {0, 4, 7, 9}),
        ("C9", {0, 2, 4, 7, 10}),
        ("C6/9", {0, 2, 4, 7, 9}),
        ("Am7b5", {9, 0, 3, 7}),
        ("B♭", {10, 2, 5}),
        ("F♯m", {6, 9, 1}),
        ("C/E", {0, 4, 7}),
        ("C/D", {0, 2, 4, 7}),
        ("Dm7/G", {2, 5, 9, 0, 7}),
    ],
)
def test_chords(text: str, classes: set[int]) -> None:
    (chord,) = parse_chords(text)
    assert chord.pitch_classes == classes
    assert set(np.flatnonzero(chord.chroma())) == classes
    assert chord.chroma().dtype == np.float32


@given(
    st.lists(
        st.tuples(st.sampled_from([*SHARP_NAMES, *FLAT_NAMES]), st.sampled_from([*QUALITIES])),
        min_size=1,
        max_size=16,
    ),
    st.sampled_from([" ", ", ", ",", " | ", "|", " - ", "-", "  ", "\n"]),
)
def test_separators_do_not_matter(pairs: list[tuple[str, str]], separator: str) -> None:
    names = [note + quality for note, quality in pairs]
    chords = parse_chords(separator.join(names))
    assert [chord.name for chord in chords] == names
    assert chords == parse_chords(" ".join(names))


@given(st.sampled_from([*QUALITIES]), st.integers(0, 11), st.integers(0, 11))
def test_transposing_the_root_transposes_the_chord(quality: str, low: int, steps: int) -> None:
    (chord,) = parse_chords(SHARP_NAMES[low] + quality)
    (moved,) = parse_chords(SHARP_NAMES[(low + steps) % 12] + quality)
    assert moved.pitch_classes == {(c + steps) % 12 for c in chord.pitch_classes}


@given(st.sampled_from(sorted(LETTERS)), st.sampled_from([*QUALITIES]))
def test_sharp_and_flat_names_of_a_note_are_the_same_note(letter: str, quality: str) -> None:
    sharp = parse_chords(f"{letter}#{quality}")[0].pitch_classes
    plain = parse_chords(f"{letter}{quality}")[0].pitch_classes
    flat = parse_chords(f"{letter}b{quality}")[0].pitch_classes
    assert {(c + 1) % 12 for c in plain} == sharp
    assert {(c - 1) % 12 for c in plain} == flat


@pytest.mark.parametrize(
    ("text", "place", "token"),
    [
        ("Am F H G", 3, "H"),
        ("Am Fx", 2, "Fx"),
        ("C/", 1, "C/"),
        ("C/X", 1, "C/X"),
        ("am", 1, "am"),
        ("C | Dm | 7", 3, "7"),
        ("C 🎸", 2, "🎸"),
    ],
)
def test_a_bad_chord_is_named_with_its_place(text: str, place: int, token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_chords(text)
    assert f"chord {place} " in str(caught.value)
    assert token in str(caught.value)


@pytest.mark.parametrize("text", ["", "   ", "|", " - , "])
def test_no_chords_at_all(text: str) -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        parse_chords(text)


def test_too_many_chords() -> None:
    with pytest.raises(InvalidInput, match="at most 64"):
        parse_chords("C " * 65)


@given(st.sampled_from([*SHARP_NAMES, *FLAT_NAMES]), st.sampled_from(["", "m"]))
def test_a_key_alone_plays_four_chords_of_its_scale(note: str, suffix: str) -> None:
    key = parse_key(note + suffix)
    # Minor is harmonic: its dominant is a major chord.
    steps = (0, 2, 3, 5, 7, 8, 11) if key.mode == "minor" else (0, 2, 4, 5, 7, 9, 11)
    scale = {(key.tonic + step) % 12 for step in steps}
    chords = default_chords(key)
    assert len(chords) == 4
    assert all(chord.pitch_classes <= scale for chord in chords)
    assert chords[0].root == key.tonic
    assert chords[-1].root == (key.tonic + 7) % 12


def test_the_default_of_c_minor_is_spelled_as_musicians_do() -> None:
    assert [chord.name for chord in progression("Cm")] == ["Cm", "Ab", "Fm", "G"]
    assert [chord.name for chord in progression("D")] == ["D", "Bm", "G", "A"]


def test_typed_chords_win_over_the_key() -> None:
    assert progression("C", "Am F") == parse_chords("Am F")
    assert progression("C", "  ") == default_chords(parse_key("C"))
