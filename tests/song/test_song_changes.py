"""A song that plays takes jumps at bar lines, and other plans."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from riffusion.audio.track import Pcm, to_pcm
from riffusion.engines.clip import Prompt
from riffusion.engines.protocol import Engine, Interrupted
from riffusion.errors import InvalidInput, StorageError
from riffusion.jam.stitcher import Samples
from riffusion.song.model import Section, Song
from riffusion.song.placement import follow_section, place_sections
from riffusion.song.plan import plan_text, read_plan
from riffusion.song.session import SectionMark, SongChange, SongSession
from riffusion.spectral.griffin_lim import griffin_lim
from tests.full_disk import files_of_at_most

RATE = 44100
BAR = RATE * 4 * 60 // 180
QUICK = partial(griffin_lim, iterations=1)
WINDOW = round(0.32 * RATE)
FADE_IN = round(0.005 * RATE)
SONG = Song(
    (Section("a", 2, Prompt("jazz", 1)), Section("b", 1, Prompt("techno", 2))),
    ("a", "b", "a", "b"),
    bpm=180,
    key="C",
    steps=1,
)


def live(engine: Engine, song: Song = SONG) -> SongSession:
    return SongSession(engine, song, vocoder=QUICK)


def heard(session: SongSession, until: int | None = None, before: Samples | None = None) -> Samples:
    """Return what is heard up to sample ``until`` or the end, ``before`` and after a change."""
    track = np.zeros((session.channels, 0), np.float32) if before is None else before
    while not session.finished and (until is None or session.position < until):
        block = session.block()
        track = np.concatenate([track[:, : block.start], block.samples], axis=1)
    return track


def section(track: Samples, start_bar: int, bars: int) -> Pcm:
    """Return the samples of some bars, without the first fade and the window at their end."""
    return to_pcm(track[:, start_bar * BAR + FADE_IN : (start_bar + bars) * BAR - WINDOW])


def test_a_jump_is_heard_from_the_next_bar_line_on(tiny_stereo_engine: Engine) -> None:
    with live(tiny_stereo_engine) as session:
        straight = heard(session)
    with live(tiny_stereo_engine) as session:
        track = heard(session, 2 * BAR)
        not_before = BAR // 2
        assert session.change(SongChange(SONG, jump=3), not_before) == BAR
        assert not_before <= session.position < BAR
        jumped = heard(session, before=track)
        assert [place.name for place in session.placement] == ["a", "b"]
    # One bar of a, then b to the end of the song; nothing else, and b is the same b.
    assert jumped.shape[1] == 2 * BAR
    np.testing.assert_array_equal(jumped[:, :not_before], straight[:, :not_before])
    begin = slice(FADE_IN, BAR // 4)  # the last bar fades; its beginning hardly does
    again, first = section(jumped, 1, 1)[:, begin], section(straight, 2, 1)[:, begin]
    assert first.any()
    assert np.corrcoef(again.ravel(), first.ravel())[0, 1] > 0.99


def test_a_jump_back_brings_the_same_bytes(tiny_engine: Engine) -> None:
    with live(tiny_engine) as session:
        track = heard(session, 3 * BAR + BAR // 2)
        first = section(track, 0, 2)
        at = session.change(SongChange(SONG, jump=0), session.position)
        assert at == 4 * BAR
        again = section(heard(session, before=track), 4, 2)
    np.testing.assert_array_equal(first, again)


def test_what_plays_is_played_to_its_end_whatever_the_new_plan_says(tiny_engine: Engine) -> None:
    louder = replace(SONG.sections[0], prompt=Prompt("rock", 5))
    changed = replace(SONG, sections=(louder, SONG.sections[1]), order=("b", "a", "a"))
    with live(tiny_engine) as session:
        straight = heard(session)
    with live(tiny_engine) as session:
        track = heard(session, BAR // 2)
        assert session.change(SongChange(changed)) == 2 * BAR
        changed_track = heard(session, before=track)
        # What plays is now the second section; another "a" is left.
        assert [place.index for place in session.placement] == [0, 2]
        assert session.song == changed
    kept = 2 * BAR - WINDOW
    np.testing.assert_array_equal(changed_track[:, :kept], straight[:, :kept])
    assert changed_track.shape[1] == 4 * BAR
    assert not np.array_equal(section(changed_track, 2, 1), section(straight, 0, 1))


def test_the_same_plan_changes_nothing(tiny_engine: Engine) -> None:
    with live(tiny_engine) as session:
        heard(session, 3 * BAR)
        position = session.position
        assert session.change(SongChange(read_plan(plan_text(SONG))), BAR) is None
        assert session.position == position


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (SongChange(SONG, jump=4), "sections 0 to 3"),
        (SongChange(SONG, jump=-1), "sections 0 to 3"),
        (SongChange(replace(SONG, beats_per_bar=12, bpm=60.0)), "a bar of 12 beats"),
    ],
)
def test_what_cannot_be_played_changes_nothing(
    tiny_engine: Engine, change: SongChange, message: str
) -> None:
    with live(tiny_engine) as session:
        track = heard(session, BAR)
        places = session.placement
        with pytest.raises(InvalidInput, match=message):
            session.change(change)
        assert (session.placement, session.song) == (places, SONG)
        assert heard(session, before=track).shape[1] == 6 * BAR


def test_a_jump_after_the_end_is_refused(tiny_engine: Engine) -> None:
    with live(tiny_engine) as session:
        heard(session)
        assert session.finished
        with pytest.raises(InvalidInput, match="the song is over"):
            session.change(SongChange(SONG, jump=0))


def test_a_song_that_goes_on_takes_its_fade_back(tiny_engine: Engine) -> None:
    short, longer = replace(SONG, order=("a",)), replace(SONG, order=("a", "b"))
    with live(tiny_engine, short) as session:
        track = heard(session)
        assert session.change(SongChange(longer), BAR // 2) == BAR
        assert not session.finished
        track = heard(session, before=track)
    with live(tiny_engine, longer) as session:
        np.testing.assert_array_equal(to_pcm(track), to_pcm(heard(session)))


def test_who_is_interrupted_goes_on_as_if_nothing_was(tiny_engine: Engine) -> None:
    with live(tiny_engine) as session:
        straight = heard(session)
    answers = iter([True, False] * 1000)
    with live(tiny_engine) as session:
        track = np.zeros((1, 0), np.float32)
        times = 0
        while not session.finished:
            try:
                block = session.block(interrupted=partial(next, answers))
            except Interrupted:
                times += 1
            else:
                assert block.start == track.shape[1]
                track = np.concatenate([track, block.samples], axis=1)
    assert times > 1
    np.testing.assert_array_equal(track, straight)


@pytest.mark.parametrize("variation", [0.0, 0.5])
def test_a_disk_that_was_full_loses_nothing(tiny_engine: Engine, variation: float) -> None:
    song = replace(SONG, variation=variation)
    with live(tiny_engine, song) as session:
        straight = heard(session)
    blocks: list[Samples] = []

    def play() -> None:
        while not session.finished:
            blocks.append(session.block().samples)

    with live(tiny_engine, song) as session:
        blocks.append(heard(session, BAR // 4))
        with files_of_at_most(BAR * 4), pytest.raises(StorageError):
            play()
        play()
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), straight)


def test_marks_say_which_section_sounds_and_lie_on_bar_lines(tiny_engine: Engine) -> None:
    with live(tiny_engine) as session:
        marks = [block.clip for block in session]
    assert all(isinstance(mark, SectionMark) for mark in marks)
    places = [(m.place, m.section, m.place_start) for m in marks if isinstance(m, SectionMark)]
    expected = [(0, "a", 0), (1, "b", 2 * BAR), (2, "a", 3 * BAR), (3, "b", 5 * BAR)]
    assert list(dict.fromkeys(places)) == expected
    for before, after in pairwise(marks):
        assert before.start_sample <= after.start_sample == after.bar * BAR
    assert marks[0].chords[0] == "C"  # the pickup has the last chord


@pytest.mark.parametrize(
    ("order", "name", "index", "found"),
    [
        (("b", "a", "a", "b"), "a", 2, 2),
        (("a", "b"), "a", 2, 0),
        (("c", "b", "c", "b"), "a", 2, 2),  # renamed: what stands in its place
        (("b", "b"), "a", 2, 1),  # gone: the song goes on with what came after it
    ],
)
def test_the_section_that_plays_is_found_again(
    order: tuple[str, ...], name: str, index: int, found: int
) -> None:
    place = place_sections(SONG, RATE)[index]
    assert place.name == name
    sections = tuple(Section(other, 1, Prompt("x")) for other in dict.fromkeys(order))
    assert follow_section(Song(sections, order), place) == found


def test_a_blend_stays_where_it_is(tiny_engine: Engine) -> None:
    blended = replace(SONG.sections[0], prompt_b=Prompt("rock", 9), blend=0.25)
    with live(tiny_engine, replace(SONG, sections=(blended, SONG.sections[1]))) as session:
        assert {block.clip.alpha for block in session if block.placed.name == "a"} == {0.25}
    with pytest.raises(InvalidInput, match="second prompt"):
        replace(blended, prompt_b=None)
