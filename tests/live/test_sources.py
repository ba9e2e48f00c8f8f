"""Jams and songs as live sources: what a change message says is merged, applied or refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from riffusion.audio.waveform import Waveform, encode_audio
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef, make_upload
from riffusion.live.jam_source import JamSource
from riffusion.live.song_source import SongSource
from riffusion.live.source import LiveSource, Passage, RefusedSetting
from riffusion.serving.plans import PlanReader
from riffusion.serving.uploads import UploadStore
from riffusion.song.plan import plan_fields, read_plan
from tests.streaming import FAST, Listener, change, open_registry, run

RATE = 44100
PLAN = """\
bpm: 180
steps: 1
order: [a, b, a]
sections:
  a: {bars: 1, prompt: jazz}
  b: {bars: 1, prompt: techno}
"""


def noise(seconds: float, seed: int = 0) -> AssetRef:
    """Return an uploaded anchor of some seconds of stereo noise."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, (2, round(seconds * RATE)))
    return make_upload(encode_audio(Waveform(samples.astype(np.float32), RATE), ".flac"))


def open_source(engine: Engine, **values: object) -> JamSource:
    """Return a jam that was played for a moment."""
    source = JamSource(engine, {**FAST, **values}, UploadStore())
    source.block()
    return source


def open_song(engine: Engine, plan: object = PLAN) -> SongSource:
    """Return a song that was played for a moment."""
    source = SongSource(engine, plan, PlanReader(UploadStore()).read)
    source.block()
    return source


# --- jams ----------------------------------------------------------------------------------------


def test_what_a_change_leaves_out_stays(tiny_engine: Engine) -> None:
    """What was set at the start, what is played and what still waits all stay."""
    source = open_source(tiny_engine, a="techno", anchor="marimba", drums=0.9, shape=True)
    assert source.queue_change(change(bpm=120)) == ()
    assert source.queue_change(change(key="Am")) == ()
    assert source.has_change
    assert source.apply_change(0).at is not None
    assert not source.has_change
    source.queue_change(change(chords="Am F"))
    source.apply_change(0)
    settings = source.session.settings
    assert settings.prompt_a.text == "techno"
    assert settings.anchor == AssetRef("marimba")
    assert settings.controls.drums == 0.9
    assert (settings.bpm, settings.key, settings.chords, settings.steps) == (120, "Am", "Am F", 1)


def test_the_same_values_change_nothing(tiny_engine: Engine) -> None:
    source = open_source(tiny_engine)
    source.queue_change(change(**FAST))
    assert source.apply_change(0).at is None
    assert source.session.changes == ()


def test_a_bad_value_is_refused_and_the_good_ones_wait(tiny_engine: Engine) -> None:
    source = open_source(tiny_engine)
    refused = source.queue_change(change(seed_a=5, key="H", steps=900, a="jazz"))
    assert [refusal.field for refusal in refused] == ["key", "steps"]
    assert "key is 'H'" in refused[0].message
    applied = source.apply_change(0)
    assert applied.refused == ()
    assert (source.session.settings.prompt_a.seed, source.session.settings.key) == (5, "Cm")
    assert source.session.settings.prompt_a.text == "jazz"


def test_a_value_that_the_engine_cannot_play_is_refused_and_forgotten(tiny_engine: Engine) -> None:
    source = open_source(tiny_engine)
    source.queue_change(change(bpm=60, beats=12, a="jazz"))
    applied = source.apply_change(0)
    assert applied.at is not None
    assert [refusal.field for refusal in applied.refused] == ["beats"]
    settings = source.session.settings
    assert (settings.bpm, settings.beats_per_bar, settings.prompt_a.text) == (60, 4, "jazz")
    # At this tempo the engine could play the refused value, which nobody wants any more.
    source.queue_change(change(bpm=180))
    assert source.apply_change(0).refused == ()
    assert (source.session.settings.bpm, source.session.settings.beats_per_bar) == (180, 4)


def test_too_many_uploads_are_refused_at_the_anchor(tiny_engine: Engine) -> None:
    store = UploadStore()
    uploads = [noise(20, seed) for seed in range(5)]
    assert sum(len(upload.data) for upload in uploads) > 16 * 2**20
    source = JamSource(tiny_engine, FAST, store)
    source.block()
    refused = []
    for number, upload in enumerate(uploads):
        store.put(upload)
        source.queue_change(change(anchor=upload.name, seed_a=number))
        refused += source.apply_change(3 * RATE * number).refused
    assert [refusal.field for refusal in refused] == ["anchor"]
    assert "MB of own sounds" in refused[0].message
    assert source.session.settings.anchor == uploads[-2]
    assert source.session.settings.prompt_a.seed == 4


def test_a_jam_keeps_an_upload_that_the_store_has_dropped(tiny_engine: Engine) -> None:
    upload, other = noise(0.5), noise(0.5, seed=1)
    store = UploadStore(max_bytes=len(upload.data) + 100)
    store.put(upload)
    source = JamSource(tiny_engine, {**FAST, "anchor": upload.name}, store)
    source.block()
    store.put(other)
    assert source.queue_change(change(bpm=120)) == ()
    assert source.apply_change(0).refused == ()
    assert source.session.settings.anchor == upload
    assert source.queue_change(change(anchor="")) == ()
    source.apply_change(0)
    assert [r.field for r in source.queue_change(change(anchor=upload.name))] == ["anchor"]


@pytest.mark.parametrize("settings", [None, [], {"volume": 11}])
def test_what_is_no_change_is_an_error(tiny_engine: Engine, settings: object) -> None:
    source = open_source(tiny_engine)
    with pytest.raises(InvalidInput):
        source.queue_change({"type": "change", "settings": settings})
    assert not source.has_change


@pytest.mark.parametrize(
    ("values", "field"),
    [({"a": ""}, "a"), ({"seed_b": "x"}, "seed_b"), ({"bpm": 60, "beats": 12}, "bpm")],
)
def test_a_jam_that_cannot_be_opened_names_the_setting(
    tiny_engine: Engine, values: dict[str, object], field: str
) -> None:
    with pytest.raises(RefusedSetting) as error:
        JamSource(tiny_engine, values, UploadStore())
    assert error.value.field == field


# --- songs ---------------------------------------------------------------------------------------


def test_a_plan_may_be_text_or_an_object(tiny_engine: Engine) -> None:
    fields = plan_fields(read_plan(PLAN))
    with open_song(tiny_engine, fields).session as session:
        assert session.song == read_plan(PLAN)


def test_a_song_keeps_the_plan_or_the_jump_that_waits(tiny_engine: Engine) -> None:
    longer = PLAN.replace("[a, b, a]", "[a, b, a, b]")
    source = open_song(tiny_engine)
    with source.session as session:
        source.queue_change({"type": "change", "jump": 3})
        source.queue_change({"type": "change", "plan": longer})
        assert source.apply_change(0).refused == ()
        assert session.song == read_plan(longer)
        assert [placed.name for placed in session.placement] == ["a", "b"]
        source.queue_change({"type": "change", "jump": 0})
        source.apply_change(session.position)
        assert session.song == read_plan(longer)
        with pytest.raises(InvalidInput, match="send a plan"):
            source.queue_change({"type": "change"})


def test_a_refused_jump_does_not_hold_back_the_plan(tiny_engine: Engine) -> None:
    other = PLAN.replace("techno", "rock")
    source = open_song(tiny_engine)
    with source.session as session:
        source.queue_change({"type": "change", "plan": other, "jump": 9})
        (refusal,) = source.apply_change(0).refused
        assert "sections 0 to 2" in refusal.message
        assert session.song == read_plan(other)


def test_a_plan_that_the_engine_cannot_play_is_forgotten(tiny_engine: Engine) -> None:
    slow = PLAN.replace("bpm: 180", "bpm: 60\nbeats_per_bar: 12")
    source = open_song(tiny_engine)
    with source.session as session:
        source.queue_change({"type": "change", "plan": slow})
        (refusal,) = source.apply_change(0).refused
        assert "a bar of 12 beats" in refusal.message
        assert session.song == read_plan(PLAN)
        source.queue_change({"type": "change", "jump": 1})
        assert source.apply_change(0).refused == ()


def test_a_bad_plan_is_refused_with_its_jump(tiny_engine: Engine) -> None:
    source = open_song(tiny_engine)
    with source.session:
        bad = {"type": "change", "plan": PLAN.replace("bars: 1", "bars: 0"), "jump": 1}
        (refusal,) = source.queue_change(bad)
        assert "line 5: bars is 0" in refusal.message
        assert not source.has_change


def test_a_section_is_kept_of_jams_only(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            song = await registry.open(open_song)
            with pytest.raises(InvalidInput, match="play a jam to keep a part of it"):
                await song.capture(Passage("a", 4))
            jam = await registry.open(open_source)
            assert (await jam.capture(Passage("a", 4))).song.order == ("a",)

    run(test())


def test_a_plan_is_parsed_once() -> None:
    """A plan as it was sent, and as the server wrote it, are the same plan."""
    reader = PlanReader(UploadStore())
    song = reader.read(PLAN)
    text, fields = reader.write(song)
    again = [reader.read(PLAN), reader.read(text), reader.read(json.loads(json.dumps(fields)))]
    assert all(other is song for other in again)
    assert reader.read(PLAN.replace("jazz", "rock")) is not song


# --- the event loop ------------------------------------------------------------------------------


@asynccontextmanager
async def watched_loop(max_stall_s: float) -> AsyncIterator[None]:
    """Assert that the event loop was never held longer than that while the block ran."""
    stalls_s = [0.0]

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            stalls_s.append(time.perf_counter() - began - 0.005)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
    assert max(stalls_s) < max_stall_s


def test_no_anchor_is_read_on_the_event_loop(tiny_engine: Engine) -> None:
    """A long sound is decoded for a jam, for a change, and for sections of a song as they come."""
    store = UploadStore()
    uploads = [noise(20, seed) for seed in range(3)]
    for upload in uploads:
        store.put(upload)
    plan = PLAN.replace("prompt: techno", f"prompt: techno, anchor: {uploads[0].name}")

    def open_anchored_jam(engine: Engine) -> LiveSource:
        return JamSource(engine, {**FAST, "anchor": uploads[1].name}, store)

    async def test() -> None:
        async with open_registry(tiny_engine) as registry, watched_loop(0.05):
            song = await registry.open(
                lambda engine: SongSource(engine, plan, PlanReader(store).read)
            )
            jam = await registry.open(open_anchored_jam)
            hearing = asyncio.create_task(Listener(jam).listen(lambda me: bool(me.saw("changed"))))
            await jam.receive(change(anchor=uploads[2].name))
            await Listener(song, speed=20).listen(lambda me: bool(me.saw("end")))
            await hearing

    run(test())
