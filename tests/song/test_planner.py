"""Plans are valid and as long as asked for, and a thousand of them differ."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.errors import InvalidInput
from riffusion.music.harmony import parse_chords, parse_key
from riffusion.music.instruments import NAMES
from riffusion.music.styles import STYLES
from riffusion.song.brief import parse_brief
from riffusion.song.forms import CYCLES, ENDINGS, MIDDLES, OPENINGS, ROLES
from riffusion.song.model import parse_transition
from riffusion.song.plan import plan_text, read_plan
from riffusion.song.planner import plan_song, spell_chords
from riffusion.training.corpus.score import transpose

LINES = (
    "",
    "melancholy bossa nova",
    "fast techno",
    "whales in space",
    "slow waltz",
    "reggae in F#m",
)


def test_thousand_plans() -> None:
    forms, progressions = set(), set()
    for seed in range(1000):
        rng = random.Random(seed)
        minutes = rng.choice((0.25, 0.5, 1, 2, 3, 3.5, 5, 10, 30))
        song = plan_song(rng.choice(LINES), minutes, seed)
        assert abs(song.duration_s / 60 / minutes - 1) < 0.02
        assert {section.name for section in song.sections} == set(song.order)
        forms.add(song.order)
        progressions.add(tuple(section.chords for section in song.sections))
        if seed % 20 == 0:  # text is what takes the time
            assert read_plan(plan_text(song)) == song
    assert len(forms) >= 200
    assert len(progressions) >= 200


@given(st.text(max_size=60), st.floats(0.25, 30), st.integers(0, 2**40))
@settings(max_examples=100, deadline=None)
def test_any_line_makes_a_song(line: str, minutes: float, seed: int) -> None:
    song = plan_song(line, minutes, seed)
    assert abs(song.duration_s / 60 / minutes - 1) < 0.02
    assert song == plan_song(line, minutes, seed)


def test_line_is_obeyed() -> None:
    song = plan_song("melancholy bossa nova, three minutes")
    assert song.duration_s == pytest.approx(180, rel=0.02)
    assert parse_key(song.key).mode == "minor"
    bossa = next(style for style in STYLES if style.name == "bossa nova")
    assert bossa.bpm[0] * 0.95 <= song.bpm <= bossa.bpm[1] * 1.05
    assert all("melancholy bossa nova" in section.prompt.text for section in song.sections)
    assert plan_song("fast rock").bpm > plan_song("slow rock").bpm
    assert plan_song("rock at 140 bpm").bpm == pytest.approx(140, rel=0.05)
    assert plan_song("jazz in Bb minor").key == "Bbm"
    assert plan_song("viennese waltz").beats_per_bar == 3
    assert plan_song("rock", 2).duration_s == pytest.approx(120, rel=0.02)
    assert plan_song("rock", seed=1) != plan_song("rock", seed=2)


@pytest.mark.parametrize(
    ("line", "seconds", "words"),
    [
        ("two and a half minutes of jazz", 150, "jazz"),
        ("90 seconds rock at 120 bpm", 90, "rock"),
        ("3:30 funk in Am", 210, "funk"),
        ("1 minute 30 seconds, tango", 90, "tango"),
        ("half a minute of ska", 30, "ska"),
        ("a minute", 60, ""),
        ("polka", None, "polka"),
    ],
)
def test_length_in_words(line: str, seconds: float | None, words: str) -> None:
    wish = parse_brief(line)
    assert (wish.seconds, wish.words) == (seconds, words)


def test_sections_have_an_arc() -> None:
    for seed in range(20):
        controls = {s.name: s.controls for s in plan_song("pop", seed=seed).sections}
        if {"intro", "verse", "chorus"} <= set(controls):
            densities = [controls[name].density or 0 for name in ("intro", "verse", "chorus")]
            assert densities == sorted(densities)


def test_sections_have_leads_of_their_own() -> None:
    """Each section's prompt names another instrument, where it names one."""
    for seed in range(20):
        song = plan_song("bossa nova", seed=seed)
        leads = next(style for style in STYLES if style.name == "bossa nova").leads
        said = [
            {NAMES[lead] for lead in leads if NAMES[lead] in section.prompt.text}
            for section in song.sections[: len(leads)]
            if section.name != "last chorus"
        ]
        named = [frozenset(names) for names in said if names]
        assert len(named) == len(set(named)) > 1


def test_every_form_is_made_of_roles() -> None:
    for table in (OPENINGS, CYCLES, MIDDLES, ENDINGS):
        assert {name for form, _ in table for name in form} <= set(ROLES)
    for role in ROLES.values():
        assert all(str(parse_transition(text)) == text for text in role.transitions)


def test_degrees_are_those_of_the_corpus() -> None:
    for style in STYLES:
        for form in style.forms:
            for key in ("C", "F#m", "Bb"):
                parsed = parse_key(key)
                ours = parse_chords(spell_chords(form, parsed))
                corpus = parse_chords(" ".join(transpose(d, parsed.tonic) for d in form.split()))
                assert [c.pitch_classes for c in ours] == [c.pitch_classes for c in corpus]


@pytest.mark.parametrize("minutes", [0, 0.1, 31, float("nan")])
def test_length_that_cannot_be_planned(minutes: float) -> None:
    with pytest.raises(InvalidInput, match=r"0\.25 to 30 minutes"):
        plan_song("rock", minutes)


def test_endless_line_is_refused() -> None:
    with pytest.raises(InvalidInput, match="500 characters"):
        plan_song("la " * 200)
