"""Plans are read as they were written, and errors name their line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.engines.clip import MAX_SEED, Controls, Prompt
from riffusion.errors import InvalidInput, InvalidPlan
from riffusion.song.model import MAX_SECTIONS, Section, Song, Transition
from riffusion.song.plan import load_plan, plan_text, read_plan, save_plan
from riffusion.song.takes import section_settings

PLAN = """\
title: evening
bpm: 96
key: Am
order: [verse, chorus, verse]
sections:
  verse:
    bars: 4
    prompt: bossa nova
    chords: Am F C G
    transition: walk 2
  chorus:
    bars: 8
    prompt: samba
    seed: 7
    drums: 1
"""

words = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and text.isprintable())
prompts = st.builds(Prompt, words, st.integers(0, MAX_SEED), st.just("") | words)
shares = st.none() | st.floats(0, 1)
transitions = st.just(Transition()) | st.builds(
    Transition, st.sampled_from(["fill", "walk"]), st.just(1)
)


def sections(name: str) -> st.SearchStrategy[Section]:
    return st.builds(
        Section,
        st.just(name),
        st.integers(1, 20),
        prompts,
        st.none() | prompts,
        key=st.sampled_from(["", "Cm", "F# minor", "B♭"]),
        chords=st.sampled_from(["", "Am F C G", "Dm7 | G7, Cmaj7"]),
        bpm=st.none() | st.floats(60, 180) | st.integers(60, 180),
        controls=st.builds(Controls, shares, shares, shares),
        transition=transitions,
    )


@st.composite
def songs(draw: st.DrawFn) -> Song:
    visible = words.map(str.strip).filter(bool)
    names = draw(st.lists(visible, min_size=1, max_size=4, unique=True))
    return Song(
        tuple(draw(sections(name)) for name in names),
        tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=8))),
        title=draw(st.just("") | words),
        bpm=draw(st.floats(60, 180)),
        beats_per_bar=draw(st.integers(2, 7)),
        variation=draw(st.floats(0, 1)),
    )


@given(songs(), st.sampled_from([".yaml", ".json"]))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_again(song: Song, suffix: str) -> None:
    assert read_plan(plan_text(song, suffix)) == song


@pytest.mark.parametrize("name", ["song.yaml", "song.yml", "song.json"])
def test_files(tmp_path: Path, name: str) -> None:
    song = read_plan(PLAN)
    save_plan(song, tmp_path / name)
    assert load_plan(tmp_path / name) == song


def test_fields_mean_what_they_say() -> None:
    song = read_plan(PLAN)
    verse, chorus = song.sections
    assert (song.title, song.bpm, song.key, song.beats_per_bar) == ("evening", 96, "Am", 4)
    assert song.order == ("verse", "chorus", "verse")
    assert (verse.transition, verse.chords) == (Transition("walk", 2), "Am F C G")
    assert (chorus.prompt, chorus.controls) == (Prompt("samba", 7), Controls(drums=1))
    assert song.duration_s == 16 * 4 * 60 / 96


def test_the_documented_plan_can_be_played() -> None:
    page = Path(__file__).parents[2] / "docs" / "songs.md"
    text = re.search(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert text
    assert [s.name for s in read_plan(text[1]).sections] == ["intro", "verse", "chorus", "outro"]


@pytest.mark.parametrize("text", ["name: no", "name: 007", "name: 1:30", 'name: "yes"', "name: ~x"])
def test_names_are_what_is_written(text: str) -> None:
    name = text.removeprefix("name: ")
    plan = read_plan(f"order: [{name}]\nsections:\n  {name}: {{bars: 1, prompt: {name}}}\n")
    assert plan.order == (name.strip('"'),)
    assert plan.sections[0].prompt.text == name.strip('"')


BAD = {
    "no bars": ("bars: 8", "bars: 0", 12, "1 to 256"),
    "too many bars": ("bars: 8", "bars: 10000", 12, "1 to 256"),
    "half a bar": ("bars: 8", "bars: 2.5", 12, "whole number"),
    "bars as text": ("bars: 8", "bars: '8'", 12, "whole number"),
    "bars of YAML 1.1": ("bars: 8", "bars: 1:30", 12, "whole number"),
    "no number of bars": ("bars: 8", "bars:", 12, "whole number"),
    "a list of bars": ("bars: 8", "bars: [8]", 12, "a list"),
    "unknown name": (", chorus", ", refrain", 4, "only verse, chorus"),
    "bad chord": ("Am F C G", "Am F H7 G", 9, "chord 3 is 'H7'"),
    "bad key": ("key: Am", "key: Zz", 3, "Bb minor"),
    "fast": ("prompt: samba", "prompt: samba\n    bpm: 300", 14, "60 to 180"),
    "no tempo": ("bpm: 96", "bpm: .nan", 2, "needs a number"),
    "infinite tempo": ("bpm: 96", "bpm: .inf", 2, "needs a number"),
    "tempo inside of a bar": ("bpm: 96", "bpm: {1.5: 96}", 2, "needs a number"),
    "long walk": ("walk 2", "walk 9", 6, "has 4 bars"),
    "unknown transition": ("walk 2", "jump", 10, "cut, fill or walk"),
    "unknown field": ("seed: 7", "sead: 7", 14, "use bars, prompt"),
    "unknown field of the song": ("bpm: 96", "tempo: 96", 2, "use title, bpm"),
    "field twice": ("seed: 7", "bars: 7", 14, "also in line 12"),
    "section twice": ("  chorus:", "  verse:", 11, "also in line 6"),
    "bad seed": ("seed: 7", "seed: -7", 14, "from 0"),
    "huge number": ("seed: 7", "seed: " + "9" * 5000, 14, "whole number"),
    "bad share": ("drums: 1", "drums: 2", 15, "from 0 to 1"),
    "empty prompt": ("prompt: samba", "prompt: ''", 13, "describe some music"),
    "no prompt": ("    prompt: samba\n", "", 11, "'prompt'"),
    "seed of no prompt": ("seed: 7", "seed_b: 7", 14, "'prompt_b'"),
    "anchor": ("prompt: samba", "prompt: &x samba", 13, "anchors"),
    "alias": ("prompt: samba", "prompt: *x", 13, "aliases"),
    "merge": ("seed: 7", "<<: *x", 14, "aliases"),
    "tag": ("prompt: samba", "prompt: !!python/name:os.system x", 13, "tags"),
    "tab": ("seed: 7", "\tseed: 7", 14, "YAML"),
    "two documents": ("sections:", "---\nsections:", 5, "YAML"),
    "not closed": ("[verse", "{[verse", 5, "YAML"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_plan_is_told_with_its_line(name: str) -> None:
    old, new, line, message = BAD[name]
    assert old in PLAN
    with pytest.raises(InvalidPlan, match=re.escape(message)) as caught:
        read_plan(PLAN.replace(old, new, 1))
    assert str(caught.value).startswith(f"line {line}: ")


@pytest.mark.parametrize(
    "text", ["", "# nothing", "- a", "song", "{}", "[" * 100_000, "\0", "a: &b"]
)
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises(InvalidPlan):
        read_plan(text)


def test_bomb_of_aliases_costs_nothing() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 1000)]
    with pytest.raises(InvalidPlan, match=r"line 1: .*anchors"):
        read_plan("\n".join(lines))


@given(st.text(max_size=200) | st.text("{}[]:,-&*!|>'\"# \nab01", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_song_or_a_message(text: str) -> None:
    with pytest.raises(InvalidPlan):
        read_plan(text)


def test_too_many_sections() -> None:
    order = PLAN.replace("[verse, chorus, verse]", str(["verse"] * 500))
    with pytest.raises(InvalidPlan, match=f"line 4: order is '500 long': use 1 to {MAX_SECTIONS}"):
        read_plan(order)
    many = "".join(f"  s{n}: {{bars: 1, prompt: x}}\n" for n in range(500))
    with pytest.raises(InvalidPlan, match="line 5: sections is '502 long'"):
        read_plan(PLAN + many)


def test_too_long() -> None:
    with pytest.raises(InvalidPlan, match="at most 60 minutes"):
        read_plan("order: [" + "a, " * 199 + "a]\nbpm: 60\nsections: {a: {bars: 256, prompt: x}}")


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    with pytest.raises(InvalidPlan, match="no such file"):
        load_plan(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidPlan, match="UTF-8"):
        load_plan(path)
    path.write_text("#" * 300_000)
    with pytest.raises(InvalidPlan, match="larger than"):
        load_plan(path)
    with pytest.raises(InvalidInput, match=r"end it in \.yaml"):
        save_plan(read_plan(PLAN), tmp_path / "plan.txt")


def test_a_section_swings_as_its_song_unless_it_says_otherwise() -> None:
    straight = read_plan(PLAN)
    assert "swing" not in plan_text(straight)
    swinging = read_plan("swing: 0.6\n" + PLAN.replace("drums: 1", "drums: 1\n    swing: 0"))
    verse, chorus = (section_settings(swinging, section) for section in swinging.sections)
    assert (verse.swing, chorus.swing) == (0.6, 0)
    assert read_plan(plan_text(swinging)) == swinging
