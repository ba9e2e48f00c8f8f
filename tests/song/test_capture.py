"""A jam is captured as a section of a song, with its settings and its sound."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import INT16_SCALE, Waveform, decode_audio, encode_audio
from riffusion.engines.clip import Controls, Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidPlan
from riffusion.jam.asset import AssetRef, make_upload
from riffusion.jam.session import JamSession
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import Segment, first_segment
from riffusion.serving.uploads import UploadStore
from riffusion.song.capture import (
    CAPTURE_STRENGTH,
    MAX_CAPTURE_S,
    capture_section,
    cut_passage,
    find_passage,
    with_section,
)
from riffusion.song.model import Section, Song
from riffusion.song.plan import load_plan, plan_text, read_plan, save_plan
from riffusion.song.session import SongSession
from riffusion.spectral.griffin_lim import griffin_lim

RATE = 44100
QUICK = partial(griffin_lim, iterations=1)
SETTINGS = JamSettings(
    Prompt("church bells", 3), Prompt("beats", 4), bpm=90.0, key="Am", controls=Controls(drums=0.7)
)
SONG = Song(
    (Section("a", 2, Prompt("jazz", 1)), Section("b", 1, Prompt("techno", 2))),
    ("a", "b", "a", "b"),
    bpm=180,
    steps=1,
)
# The bars of a passage are told apart by their tones, one a bar.
TONES_HZ = (220.0, 523.0, 1245.0, 2960.0)


def jam_at(alpha: float, **changes: object) -> Segment:
    """Return a segment whose walk stands at ``alpha`` from its first bar on."""
    held = {"path": "hold", "position": alpha, **changes}
    return first_segment(SETTINGS.changed(held), RATE)


def passage(bpm: float) -> AssetRef:
    """Return an anchor with a bar of each tone."""
    bar = round(4 * 60 / bpm * RATE)
    seconds = np.arange(bar) / RATE
    tones = [0.3 * np.sin(2 * np.pi * hz * seconds) for hz in TONES_HZ]
    sound = np.concatenate(tones)[None].astype(np.float32)
    return make_upload(encode_audio(Waveform(sound, RATE), ".flac"))


def loudest_hz(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound))
    return float(np.argmax(spectrum) * RATE / len(sound))


@pytest.mark.parametrize(
    ("alpha", "prompts"),
    [(0.0, ("church bells", None)), (1.0, ("beats", None)), (0.3, ("church bells", "beats"))],
)
def test_a_kept_section_says_what_the_jam_plays(
    alpha: float, prompts: tuple[str, str | None]
) -> None:
    kept = capture_section(jam_at(alpha), 0, "chorus", 8)
    assert (kept.prompt.text, kept.prompt_b and kept.prompt_b.text) == prompts
    assert kept.blend == (0.3 if prompts[1] else None)
    assert (kept.bpm, kept.key, kept.controls.drums) == (90, "Am", 0.7)
    song = with_section(None, kept, SETTINGS)
    assert (song.bpm, song.key, song.order) == (90, "Am", ("chorus",))
    assert read_plan(plan_text(song)) == song


def test_keeping_adds_a_section_or_replaces_the_one_of_its_name() -> None:
    kept = capture_section(jam_at(0.0), 0, "b", 8)
    replaced = with_section(SONG, kept, SETTINGS)
    assert replaced.order == SONG.order
    assert replaced.section("b").prompt.text == "church bells"
    assert replaced.section("b").bpm == 90
    added = with_section(SONG, replace(kept, name="c"), SETTINGS)
    assert added.order == (*SONG.order, "c")
    assert (kept.beats_per_bar, added.section("c").beats_per_bar) == (4, None)


def test_a_section_keeps_the_metre_of_its_jam() -> None:
    waltz = jam_at(0.0, beats_per_bar=3, ramp_bars=64)
    kept = capture_section(waltz, 0, "c", 8)
    song = with_section(SONG, kept, waltz.settings)
    assert (song.beats_per_bar, song.section("c").beats_per_bar) == (4, 3)
    assert song.section("c").ramp_bars == 0
    alone = with_section(None, kept, waltz.settings)
    assert (alone.beats_per_bar, alone.section("c").beats_per_bar) == (3, None)
    assert read_plan(plan_text(song)) == song


def test_a_ramp_is_kept_at_the_tempo_that_was_heard() -> None:
    ramp = jam_at(0.0, ramp_bars=8).changed(4, {"bpm": 150})
    middle, after = ramp.grid.bar_sample(8), ramp.grid.bar_sample(25)
    kept = capture_section(ramp, middle, "c", 8)
    assert (kept.bpm, with_section(None, kept, ramp.settings).bpm) == (120, 120)
    # Its bars are not of one length, so none of them is kept as an anchor.
    assert find_passage(ramp, middle, 8) is None
    assert find_passage(ramp, after, 8) == tuple(ramp.grid.bar_sample(bar) for bar in (16, 24))
    assert find_passage(ramp, ramp.grid.bar_sample(16), 8) == tuple(
        ramp.grid.bar_sample(bar) for bar in (12, 16)
    )


def test_what_was_heard_wins_over_what_the_jam_started_from() -> None:
    segment = jam_at(0.0, anchor=AssetRef("marimba"), strength=0.6)
    assert capture_section(segment, 0, "b", 8).anchor == AssetRef("marimba")
    assert capture_section(segment, 0, "b", 8).strength == 0.6
    heard = passage(90)
    kept = capture_section(segment, 0, "b", 8, heard)
    assert (kept.anchor, kept.strength) == (heard, CAPTURE_STRENGTH)


@given(
    bpm=st.floats(60, 180),
    chords=st.integers(1, 12),
    bars=st.integers(1, 256),
    began=st.integers(0, 40),
    chords_began=st.integers(0, 40),
    heard=st.floats(0, 100),
)
def test_a_passage_is_whole_bars_from_the_first_chord_on(
    bpm: float, chords: int, bars: int, began: int, chords_began: int, heard: float
) -> None:
    settings = SETTINGS.changed({"bpm": bpm, "chords": " ".join(["C"] * chords)})
    chords_bar = min(began, chords_began)
    segment = replace(first_segment(settings, RATE), bar=began, chords_bar=chords_bar)
    sample = round((began + heard) * segment.grid.bar_samples)
    found = find_passage(segment, sample, bars)
    first = chords_bar + -(-(began - chords_bar) // chords) * chords
    rounds = (segment.grid.bar_at(sample) - first) // chords
    turn_s = chords * segment.grid.bar_samples / RATE
    if found is None:
        assert rounds < 1 or turn_s > MAX_CAPTURE_S
        return
    start, stop = (segment.grid.bar_at(edge) for edge in found)
    assert found == (segment.grid.bar_sample(start), segment.grid.bar_sample(stop))
    assert began <= start < stop <= segment.grid.bar_at(sample)
    assert (start - chords_bar) % chords == 0
    assert stop - start <= bars
    assert stop - start == bars or (stop - start) % chords == 0
    assert (found[1] - found[0]) / RATE <= MAX_CAPTURE_S + 1 / RATE
    # No newer passage of that length began with the first chord.
    assert stop + chords > segment.grid.bar_at(sample)


def test_nothing_before_the_last_change_is_kept() -> None:
    first = first_segment(SETTINGS, RATE)
    changed = first.changed(6, {"prompt_a": Prompt("guitar")})
    at = changed.grid.bar_sample(13)
    assert find_passage(first, at, 8) == tuple(first.grid.bar_sample(bar) for bar in (4, 12))
    # The progression continues through a change of prompt and begins again at bar 8.
    assert find_passage(changed, at, 8) == tuple(first.grid.bar_sample(bar) for bar in (8, 12))
    assert find_passage(changed, changed.grid.bar_sample(11), 8) is None


def test_the_passage_is_cut_from_the_track_as_it_was_heard() -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 5000)).astype(np.float32)
    with TrackFile(RATE, 2) as track:
        track.write(0, sound)
        kept = cut_passage(track, 1000, 4000)
        assert kept is not None
        pcm = np.rint(decode_audio(kept.data).samples * INT16_SCALE)
        np.testing.assert_array_equal(pcm, track.read(1000, 4000))
        track.write(0, np.zeros((2, 5000), np.float32))
        assert cut_passage(track, 1000, 4000) is None


def test_a_section_begins_with_the_first_bar_of_its_passage(tiny_engine: Engine) -> None:
    """At strength 0 nothing but the passage is played, bar by bar, and repeats."""
    bpm = 120.0
    section = Section("a", 6, Prompt("x"), anchor=passage(bpm), strength=0.0)
    song = Song((section,), ("a",), bpm=bpm, steps=1)
    with SongSession(tiny_engine, song, vocoder=QUICK) as session:
        heard = np.concatenate([block.samples for block in session], axis=1)[0]
    bar = round(4 * 60 / bpm * RATE)
    middles = [heard[n * bar + bar // 4 : n * bar + 3 * bar // 4] for n in range(5)]
    expected = [TONES_HZ[n % 4] for n in range(5)]
    # Mel bands are wide, but the tones are further apart.
    np.testing.assert_allclose([loudest_hz(part) for part in middles], expected, rtol=0.1)


def test_a_jam_without_a_pickup_begins_with_its_anchor(tiny_engine: Engine) -> None:
    settings = SETTINGS.changed({"anchor": passage(120), "strength": 0.0, "bpm": 120, "steps": 1})
    for pickup, hz in ((0, TONES_HZ[0]), (1, TONES_HZ[3])):
        session = JamSession(tiny_engine, settings, pickup_bars=pickup, vocoder=QUICK)
        heard = np.concatenate([session.block().samples for _ in range(6)], axis=1)[0]
        assert loudest_hz(heard[RATE // 2 : 3 * RATE // 2]) == pytest.approx(hz, rel=0.1)


PLAN = """\
order: [a]
sections:
  a:
    bars: 2
    prompt: jazz
    anchor: {anchor}
    strength: 0.4
"""


def test_a_plan_names_the_anchor_and_keeps_it_beside(tmp_path: Path) -> None:
    kept = passage(120)
    section = Section("a", 2, Prompt("jazz"), anchor=kept, strength=0.4)
    song = Song((section,), ("a",))
    save_plan(song, tmp_path / "song.yaml")
    assert {path.name for path in tmp_path.iterdir()} == {"song.yaml", f"{kept.name}.flac"}
    assert load_plan(tmp_path / "song.yaml") == song
    (tmp_path / f"{kept.name}.flac").unlink()
    with pytest.raises(InvalidPlan, match=r"line \d+: anchor is .*put own-.*flac beside"):
        load_plan(tmp_path / "song.yaml")


@pytest.mark.parametrize(
    "name", ["../mine.wav", "/mine.wav", "own-/../mine", "inner/mine.wav", ".."]
)
def test_what_a_plan_names_never_leaves_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "songs"
    (folder / "inner").mkdir(parents=True)
    for place in (tmp_path, folder / "inner"):
        soundfile.write(place / "mine.wav", np.zeros(44100), 44100)
    plan = folder / "song.yaml"
    plan.write_text(
        f"order: [a]\nsections:\n  a: {{bars: 4, prompt: jazz, anchor: {json.dumps(name)}}}\n"
    )
    with pytest.raises(InvalidPlan, match="line 3: anchor is"):
        load_plan(plan)


def test_a_plan_may_name_our_anchors_and_files_beside_it(tmp_path: Path) -> None:
    section = read_plan(PLAN.format(anchor="marimba")).section("a")
    assert (section.anchor, section.strength) == (AssetRef("marimba"), 0.4)
    (tmp_path / "mine.flac").write_bytes(passage(120).data)
    plan = tmp_path / "song.yaml"
    plan.write_text(PLAN.format(anchor="mine.flac"))
    assert load_plan(plan).section("a").anchor == passage(120)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (PLAN.format(anchor="theremin"), "line 6: anchor is 'theremin': use one of"),
        (PLAN.format(anchor="own-1"), "without this line the section plays from its prompt"),
        (PLAN.format(anchor="marimba").replace("0.4", "4"), "line 7: strength is 4"),
    ],
)
def test_anchors_that_cannot_be_used(plan: str, message: str) -> None:
    with pytest.raises(InvalidPlan, match=message):
        read_plan(plan, UploadStore().known_anchor)


def test_what_was_heard_of_a_jam_comes_back_from_the_server(client: httpx.Client) -> None:
    settings = {"a": "church bells", "path": "hold", "bpm": 180, "chords": "C G", "steps": 1}
    jam = client.post("/jam", json=settings).json()["id"]
    bar = RATE * 4 // 3
    heard = 2 * bar + 100
    order = {"name": "chorus", "bars": 4, "plan": None}
    with client.stream("GET", f"/jam/{jam}/stream") as answer:
        records, size = answer.iter_bytes(), 0
        while size < 2 * heard + RATE:
            size += len(next(records))
        for _ in range(100):  # a playhead is believed no faster than time
            client.post(f"/jam/{jam}/tell", json={"type": "position", "sample": heard})
            kept = client.post(f"/jam/{jam}/section", json=order).json()
            section = kept["fields"]["sections"]["chorus"]
            if "anchor" in section:
                break
            time.sleep(0.1)
    data = client.get(f"/jam/own/{section['anchor']}").content
    sound = np.rint(decode_audio(data).samples * INT16_SCALE)
    assert sound.shape[1] % (2 * bar) == 0
    track = client.get(f"/jam/{jam}/track.wav").content
    pcm = np.rint(decode_audio(track).samples * INT16_SCALE)
    np.testing.assert_array_equal(sound, pcm[:, : sound.shape[1]])
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})
    assert client.post("/api/songs/render.wav", json={"plan": kept["plan"]}).status_code == 200
    gone = kept["plan"].replace(section["anchor"], "own-1")
    refused = client.post("/song", json={"plan": gone})
    assert refused.status_code == 400
    assert "anchor is 'own-1': is not on this machine any more" in refused.json()["error"]
