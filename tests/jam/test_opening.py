"""A jam goes on from a recording: in its time, without a seam, and the same when it is replayed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riffusion.analysis.recording import MISSING_S, analyse
from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import Waveform
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidAudio, InvalidInput, InvalidSession
from riffusion.jam.asset import make_upload
from riffusion.jam.opening import (
    Opening,
    choose_bar_line_s,
    open_recording,
    prepare_opening,
    trim_recording,
)
from riffusion.jam.replay import replay, save_session
from riffusion.jam.session import JamSession, render
from riffusion.jam.session_file import load_session, parse_session
from tests.bands import band
from tests.jamming import HOP, QUICK, RATE, play, settings_with
from tests.recording import RecordedEngine

BPM = 120.0
BAR = 88200
SEAM_S = 0.03
MASTER_S = 0.1  # before a bar line a change may rewrite so much


@pytest.fixture(scope="module")
def opening() -> Opening:
    """The opening of a band that begins half a second before a bar line and stops in a bar."""
    sound = trim_recording(band("Cm", BPM, 4, 0.5, 7.3))
    return open_recording(sound, analyse(sound))


def going_on(engine: Engine, opening: Opening, **changes: Any) -> JamSession:
    """Return a jam that goes on from a recording, quick to generate."""
    values = {"bpm": BPM, **changes}
    return JamSession(engine, settings_with(**values), vocoder=QUICK, opening=opening)


def test_the_recording_sounds_first_and_the_jam_from_its_bar_line_on(
    tiny_engine: Engine, opening: Opening
) -> None:
    start = opening.samples(RATE)
    # The last bar line in 7.3 s, where one is at half a second and a bar lasts two.
    assert start / RATE == pytest.approx(6.5 - opening.start_s, abs=SEAM_S)
    engine = RecordedEngine(tiny_engine)
    session = going_on(engine, opening)
    track = play(session, start + 2 * BAR)
    marks = list(dict.fromkeys(block.clip for block in going_on_blocks(tiny_engine, opening)))
    assert (marks[0].start_sample, marks[0].chords, marks[0].bar) == (0, (), -4)
    assert (marks[1].start_sample, marks[1].bar, marks[1].index) == (start, 0, 1)
    recording = prepare_opening(tiny_engine, opening).samples[0, : start - round(0.1 * RATE)]
    heard = track[0, : len(recording)]
    # The master changes only the level, slowly.
    for second in range(1, start // RATE - 1):
        part = slice(second * RATE, (second + 1) * RATE)
        assert np.corrcoef(recording[part], heard[part])[0, 1] > 0.98


def going_on_blocks(engine: Engine, opening: Opening) -> list[Any]:
    """Return the blocks of the recording and of the first bar after it."""
    return list(render(going_on(engine, opening), opening.samples(RATE) + BAR))


def test_the_first_clip_continues_the_last_frames_of_the_recording(
    tiny_engine: Engine, opening: Opening
) -> None:
    engine = RecordedEngine(tiny_engine)
    play(going_on(engine, opening), opening.samples(RATE) + 1)
    context = engine.requests[0].context
    assert context is not None
    recorded = prepare_opening(tiny_engine, opening).frames
    assert context.frames > 100
    expected = recorded.magnitudes[:, :, -context.frames :]
    assert np.array_equal(context.magnitudes.numpy(), expected.numpy())
    sheet = engine.requests[0].lead_sheet
    assert sheet is not None
    # A beat lies on the bar line, and beats before it are those of the recording.
    seconds = (np.arange(len(sheet.beats)) - context.frames) * HOP / RATE
    first = opening.samples(RATE) // HOP * HOP - opening.samples(RATE)
    assert sheet.beats == pytest.approx((seconds + first / RATE) * BPM / 60, abs=1e-6)


def test_bars_before_and_after_the_seam_are_one_grid(tiny_engine: Engine, opening: Opening) -> None:
    session = going_on(tiny_engine, opening)
    start = opening.samples(RATE)
    line = session.change({"prompt_b": settings_with().prompt_a}, start + 3 * BAR - 5000)
    assert line == start + 3 * BAR
    # The recording's own bars lie at 0.5 s and every two seconds, within 30 ms of that grid.
    in_recording_s = opening.start_s + line / RATE
    bars = (in_recording_s - 0.5) / 2
    assert abs(bars - round(bars)) * 2 < SEAM_S


def test_there_is_no_click_at_the_seam(tiny_engine: Engine, opening: Opening) -> None:
    start = opening.samples(RATE)
    track = play(going_on(tiny_engine, opening), start + BAR)
    steps = np.abs(np.diff(track[0]))
    before = start - round(0.1 * RATE)
    assert steps[before:start].max() <= max(steps[:before].max(), steps[start:].max())


@pytest.mark.parametrize("at_s", [0.0, 1.0, 5.0, 6.2])
def test_a_change_never_lands_in_the_recording(
    tiny_engine: Engine, opening: Opening, at_s: float
) -> None:
    start = opening.samples(RATE)
    session = going_on(tiny_engine, opening)
    before = play(session, round(at_s * RATE))
    line = session.change({"key": "Am", "bpm": 90.0}, session.position)
    assert line is not None
    assert line >= start
    assert line == start or at_s > 5.5
    after = play(session, start + BAR, before[:, : session.position])
    untouched = play(going_on(tiny_engine, opening), start)
    kept = start - round(MASTER_S * RATE)
    assert np.array_equal(after[:, :kept], untouched[:, :kept])


def test_the_jam_can_go_back_to_the_bar_line_after_it_was_generated(
    tiny_engine: Engine, opening: Opening
) -> None:
    start = opening.samples(RATE)
    changed = going_on(tiny_engine, opening)
    known = play(changed, start + BAR)
    heard_until = start - round(2 * MASTER_S * RATE)
    assert changed.change({"key": "Am"}, heard_until) == start
    assert changed.position >= heard_until
    again = play(changed, start + 2 * BAR, known[:, : changed.position])
    fresh = going_on(tiny_engine, opening)
    fresh.change({"key": "Am"}, 0)
    assert np.array_equal(again, play(fresh, start + 2 * BAR))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    moves=st.lists(
        st.tuples(
            st.integers(0, 40),
            st.sampled_from(({"key": "Am"}, {"bpm": 93.7}, {"hold": True}, {"drop": 2})),
            st.integers(-9 * RATE, 5 * RATE),
        ),
        max_size=3,
    ),
    tail=st.integers(1, 2 * RATE),
)
def test_a_saved_session_with_a_recording_replays_to_the_same_bytes(
    tiny_engine: Engine,
    opening: Opening,
    tmp_path_factory: pytest.TempPathFactory,
    moves: list[tuple[int, dict[str, Any], int]],
    tail: int,
) -> None:
    path = tmp_path_factory.mktemp("session") / "s.json"
    with TrackFile(RATE, 1) as live_track, TrackFile(RATE, 1) as replayed_track:
        live = going_on(tiny_engine, opening)
        for blocks, changes, offset in moves:
            for _ in range(blocks):
                block = live.block()
                live_track.write(block.start, block.samples)
            live.change(changes, max(0, live.position + offset))
        for block in render(live, live.position + tail):
            live_track.write(block.start, block.samples)
        save_session(live, path)
        saved = load_session(path)
        assert saved.opening == opening
        for block in render(replay(tiny_engine, saved, vocoder=QUICK), saved.samples):
            replayed_track.write(block.start, block.samples)
        bytes_live = live_track.read(0, saved.samples).tobytes()
        assert replayed_track.read(0, saved.samples).tobytes() == bytes_live


def test_a_recording_of_a_minute_is_forgotten_but_for_its_end(tiny_engine: Engine) -> None:
    sound = trim_recording(band("Cm", BPM, 4, 0.0, 59.5))
    opening = open_recording(sound, analyse(sound))
    start = opening.samples(RATE)
    assert start > 55 * RATE
    session = going_on(tiny_engine, opening)
    known = play(session, start + BAR)
    assert session.change({"key": "Am"}, start - RATE) == start
    assert play(session, start + BAR, known[:, : session.position]).shape[1] == start + BAR


def test_both_channels_of_a_stereo_engine_are_heard(
    tiny_stereo_engine: Engine, opening: Opening
) -> None:
    sound = band("Cm", BPM, 4, 0.0, 8.0)
    left = Waveform(np.concatenate([sound.samples, 0 * sound.samples]), sound.sample_rate)
    trimmed = trim_recording(left)
    one_sided = open_recording(trimmed, analyse(trimmed))
    stereo = prepare_opening(tiny_stereo_engine, one_sided).samples
    assert np.abs(stereo[0]).max() > 0.1
    assert np.abs(stereo[1]).max() < 1e-3
    mono = prepare_opening(tiny_stereo_engine, opening).samples
    assert np.array_equal(mono[0], mono[1])
    assert float(np.sqrt(np.mean(mono**2))) == pytest.approx(0.1, rel=0.2)


def test_a_recording_that_stops_just_before_a_bar_line_goes_on_there() -> None:
    length_s = 8.0 - MISSING_S / 2
    sound = trim_recording(band("Cm", BPM, 4, 0.0, length_s))
    assert open_recording(sound, analyse(sound)).bar_line_s == pytest.approx(8.0, abs=0.02)


def test_recordings_are_kept_small() -> None:
    wide = np.tile(band(length_s=70.0).samples, (6, 1))
    trimmed = trim_recording(Waveform(wide, 96000))
    assert (trimmed.channels, trimmed.sample_rate) == (1, 48000)
    assert trimmed.duration_s <= 60.0


def test_recordings_without_a_beat_or_a_whole_bar_are_refused_in_words() -> None:
    noise = Waveform(
        np.random.default_rng(0).normal(0, 0.1, (1, 10 * RATE)).astype(np.float32), RATE
    )
    with pytest.raises(InvalidAudio, match="tempo"):
        open_recording(noise, analyse(noise))
    sound = band("Cm", BPM, length_s=4.0)
    with pytest.raises(InvalidAudio, match="two bars"):
        choose_bar_line_s(analyse(sound, beats_per_bar=12, downbeat_s=0.9))


@pytest.mark.parametrize(
    "times", [(0.0, 0.5), (-1.0, 5.0), (0.0, 99.0), (5.0, 2.0), (0.0, float("nan")), (0.0, True)]
)
def test_an_opening_needs_times_in_the_recording(times: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput, match="opening"):
        Opening(make_upload(b"fLaC"), *times)


def test_a_bar_line_after_the_recording_is_refused(tiny_engine: Engine, opening: Opening) -> None:
    late = Opening(opening.recording, 0.0, 50.0)
    with pytest.raises(InvalidInput, match="after the end"):
        going_on(tiny_engine, late)


def test_uploads_of_a_jam_are_limited_with_its_recording(
    tiny_engine: Engine, opening: Opening
) -> None:
    with pytest.raises(InvalidInput, match="MB of own sounds"):
        JamSession(tiny_engine, settings_with(), opening=opening, max_upload_bytes=1000)


def damage(*path: str, value: object = None) -> Callable[[dict[str, Any]], None]:
    """Return what replaces a part of a session file, or takes it away."""

    def change(content: dict[str, Any]) -> None:
        *parents, last = path
        for name in parents:
            content = content[name]
        if value is None:
            del content[last]
        else:
            content[last] = value

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        damage("own"),
        damage("opening", value=[]),
        damage("opening", "start_s"),
        damage("opening", "recording", value="marimba"),
        damage("opening", "recording", value=["x"]),
        damage("opening", "bar_line_s", value="5"),
        damage("opening", "bar_line_s", value=1e9),
        damage("opening", "bar_line_s", value=0.1),
        damage("opening", "more", value=1),
    ],
)
def test_a_damaged_opening_in_a_session_file_is_refused(
    tiny_engine: Engine, opening: Opening, tmp_path: Path, spoil: Callable[[Any], None]
) -> None:
    path = tmp_path / "s.json"
    save_session(going_on(tiny_engine, opening), path)
    content = copy.deepcopy(json.loads(path.read_text()))
    spoil(content)
    with pytest.raises(InvalidSession):
        parse_session(json.dumps(content))


def test_an_opening_that_is_no_sound_is_refused_in_words(tiny_engine: Engine) -> None:
    with pytest.raises(InvalidAudio, match="not audio"):
        going_on(tiny_engine, Opening(make_upload(b"fLaC"), 0.0, 5.0))
