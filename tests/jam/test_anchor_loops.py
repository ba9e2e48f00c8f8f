"""Anchors repeat in time at every tempo, with their mask, and the same in a replay."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from riffusion.audio.waveform import Waveform, decode_audio
from riffusion.engines.clip import Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidAudio, InvalidInput, InvalidSession
from riffusion.jam.anchor_loops import (
    AnchorLoop,
    blend_anchors,
    encode_anchor,
    encode_mask,
    library_anchor,
    library_mask,
    load_anchor_ref,
    load_mask_ref,
    make_anchor_loop,
)
from riffusion.jam.anchors import anchor_sound, find_anchor, library
from riffusion.jam.asset import AssetRef, make_upload
from riffusion.jam.block import JamBlock, Samples
from riffusion.jam.masks import named_mask
from riffusion.jam.replay import replay
from riffusion.jam.session import JamSession, render
from riffusion.jam.session_file import parse_session
from riffusion.jam.settings import JamSettings
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams
from tests.jamming import play
from tests.recording import RecordedEngine

SETTINGS = JamSettings(Prompt("bells", 1), Prompt("beats", 2), bpm=120, steps=1)
PARAMS = SpectrogramParams(mel_bands=4)
RATE = 44100


def tone(seconds: float, hz: float = 440.0, rate: int = RATE) -> Waveform:
    time = np.arange(round(seconds * rate)) / rate
    return Waveform(0.3 * np.sin(2 * np.pi * hz * time)[None].astype(np.float32), rate)


def joined(blocks: list[JamBlock], samples: int) -> Samples:
    """Return the track that blocks make, in which later ones overwrite earlier ones."""
    sound = np.zeros((blocks[0].samples.shape[0], samples), np.float32)
    for block in blocks:
        sound[:, block.start : block.start + block.samples.shape[1]] = block.samples
    return sound


def counting_anchor(frames: int, beats: int | None, mask: bool = False) -> AnchorLoop:
    """Return a loop whose frames have their own number as magnitude."""
    numbers = torch.arange(frames, dtype=torch.float32).expand(1, 4, frames)
    columns = np.arange(512, dtype=np.float32)[None].repeat(4, axis=0)
    return AnchorLoop(Spectrogram(numbers.contiguous(), PARAMS), beats, columns if mask else None)


@given(st.integers(1, 600), st.integers(1, 16), st.floats(0, 5000))
def test_a_loop_comes_round_after_its_beats(frames: int, beats: int, start: float) -> None:
    loop = counting_anchor(frames, beats, mask=True)
    at = start + np.linspace(0, beats, 50, endpoint=False)
    first, _ = loop.window(at, SETTINGS)
    second, _ = loop.window(at + beats, SETTINGS)
    # Where rounding falls on the other side, it is the frame beside it.
    apart = (first.magnitudes - second.magnitudes).abs()
    assert torch.minimum(apart, frames - apart).max() <= 1


def test_at_its_own_tempo_every_frame_of_an_anchor_sounds_once() -> None:
    loop = counting_anchor(400, 8, mask=True)
    window, mask = loop.window(np.arange(400) * 8 / 400, SETTINGS)
    assert torch.equal(window.magnitudes, loop.spectrogram.magnitudes)
    assert mask is not None
    assert mask[0, 0] == 0
    assert mask[0, 200] == 256
    assert mask[0, -1] == 510


def test_at_another_tempo_the_beats_still_meet() -> None:
    """At half the tempo each frame sounds twice, and every beat falls on the anchor's beat."""
    loop = counting_anchor(400, 8)
    window, _ = loop.window(np.arange(800) * 8 / 800, SETTINGS)
    assert torch.equal(window.magnitudes[0, 0, ::100], torch.arange(0, 400, 50).float())


@pytest.mark.parametrize(
    ("seconds", "beats_per_bar", "beats"),
    [(0.3, 4, 4), (2.0, 4, 4), (2.9, 4, 4), (3.1, 4, 8), (4.5, 3, 9), (20.0, 4, 40)],
)
def test_an_uploaded_sound_is_the_nearest_whole_bars(
    seconds: float, beats_per_bar: int, beats: int
) -> None:
    loop = counting_anchor(round(seconds * 100), None)
    assert loop.length(SETTINGS.changed({"beats_per_bar": beats_per_bar})) == beats


@pytest.mark.parametrize("anchor", library(), ids=lambda anchor: anchor.id)
def test_a_loop_of_the_library_is_whole_bars_of_its_own_tempo(
    tiny_engine: Engine, anchor: object
) -> None:
    known = find_anchor(anchor.id)  # type: ignore[attr-defined]
    loop = make_anchor_loop(tiny_engine, library_anchor(known.id), None)
    assert loop.beats is not None
    assert loop.beats % 4 == 0
    seconds = loop.beats * 60 / known.bpm
    assert seconds <= anchor_sound(known).duration_s
    assert abs(loop.spectrogram.frames * 0.01 - seconds) <= 0.01


def test_the_ends_of_a_loop_meet(tiny_engine: Engine) -> None:
    """A steady tone of whole waves repeats without a step."""
    loop = make_anchor_loop(tiny_engine, encode_anchor(tone(2.0, 441.0)), None)
    power = loop.spectrogram.magnitudes.square().sum((0, 1))
    assert (power / power.mean() - 1).abs().max() < 0.02


def test_a_jam_plays_its_anchor_on_its_bars(tiny_engine: Engine) -> None:
    """Requests start from the loop at the beats of the jam, and a new anchor begins at its bar
    line."""
    listening = RecordedEngine(tiny_engine)
    settings = SETTINGS.changed({"anchor": library_anchor("marimba"), "strength": 0.4})
    session = JamSession(listening, settings)
    list(render(session, 4 * RATE))
    session.change({"anchor": library_anchor("rock_drums"), "mask": library_mask("lower_half")})
    list(render(session, 8 * RATE))
    marimba, drums = listening.requests[0], listening.requests[-1]
    loops = {
        name: make_anchor_loop(tiny_engine, library_anchor(name), None)
        for name in ("marimba", "rock_drums")
    }
    assert marimba.anchor is not None
    assert marimba.strength == 0.4
    assert marimba.mask is None
    wanted, _ = loops["marimba"].window(marimba.lead_sheet.beats, settings)  # type: ignore[union-attr]
    assert torch.equal(marimba.anchor.magnitudes, wanted.magnitudes)
    (change,) = session.changes
    beats = drums.lead_sheet.beats - 4 * change.bar  # type: ignore[union-attr]
    wanted, _ = loops["rock_drums"].window(beats, settings)
    assert torch.equal(drums.anchor.magnitudes, wanted.magnitudes)  # type: ignore[union-attr]
    assert drums.mask is not None
    assert drums.mask.shape == (tiny_engine.params.mel_bands, tiny_engine.frames)
    assert drums.mask[0].all()
    assert not drums.mask[-1].any()


def test_an_anchor_is_joined(tiny_engine: Engine) -> None:
    def sound(**more: object) -> Samples:
        session = JamSession(tiny_engine, SETTINGS.changed(more))
        return joined(list(render(session, RATE)), RATE)

    plain = sound()
    assert np.array_equal(plain, sound(strength=0.1, mask=library_mask("all")))
    low = sound(anchor=encode_anchor(tone(2.0, 300.0)), strength=0.0)
    high = sound(anchor=encode_anchor(tone(2.0, 3000.0)), strength=0.0)
    for played, hz in ((low, 300.0), (high, 3000.0)):
        spectrum = np.abs(np.fft.rfft(played[0]))
        loudest = spectrum.argmax() * RATE / len(played[0])
        assert abs(loudest / hz - 1) < 0.06  # a band of the tiny engine's scale


def test_sessions_with_uploads_replay_to_the_same_bytes(tiny_engine: Engine) -> None:
    mask = encode_mask(named_mask("left_half"))
    settings = SETTINGS.changed({"anchor": encode_anchor(tone(2.3)), "mask": mask})
    session = JamSession(tiny_engine, settings)
    played = list(render(session, 2 * RATE))
    session.change({"anchor": library_anchor("vibes"), "mask": None})
    played += render(session, 4 * RATE)
    session.change({"anchor": encode_anchor(tone(3.0, 200.0))}, not_before=6 * RATE)
    played += render(session, 9 * RATE)
    text = json.dumps(session.export())
    again = replay(tiny_engine, parse_session(text))
    assert np.array_equal(joined(played, 9 * RATE), joined(list(render(again, 9 * RATE)), 9 * RATE))
    assert len(json.loads(text)["own"]) == 3
    assert json.dumps(again.export()) == text


def test_sessions_without_uploads_hold_no_data(tiny_engine: Engine) -> None:
    session = JamSession(tiny_engine, SETTINGS.changed({"anchor": library_anchor("og_beat")}))
    exported = session.export()
    assert "own" not in exported
    assert exported["settings"]["anchor"] == "soul_beat"  # type: ignore[index]


def test_sessions_from_before_there_were_anchors_are_read(tiny_engine: Engine) -> None:
    content = json.loads(json.dumps(JamSession(tiny_engine, SETTINGS).export()))
    for name in ("anchor", "strength", "mask"):
        del content["settings"][name]
    assert parse_session(json.dumps(content)).settings == SETTINGS


def test_uploaded_data_that_is_not_what_its_name_says_is_refused(tiny_engine: Engine) -> None:
    settings = SETTINGS.changed({"anchor": encode_anchor(tone(1.0))})
    content = json.loads(json.dumps(JamSession(tiny_engine, settings).export()))
    (name,) = content["own"]
    for own in ({}, {name: "AAAA"}, {name: "?"}, {name: 1}, [], {"own-0": "AAAA"}):
        with pytest.raises(InvalidSession):
            parse_session(json.dumps({**content, "own": own}))
    with pytest.raises(InvalidSession):
        parse_session(json.dumps({**content, "extra": {}}))


def test_a_jam_uses_no_more_uploads_than_a_session_holds(
    tiny_engine: Engine,
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, RATE)).astype(np.float32)
    settings = SETTINGS.changed({"anchor": encode_anchor(Waveform(noise, RATE))})
    session = JamSession(tiny_engine, settings, max_upload_bytes=100_000)
    before = session.settings
    with pytest.raises(InvalidInput, match="session file holds"):
        session.change({"anchor": encode_anchor(Waveform(noise[:, ::-1], RATE))})
    assert session.settings == before


def test_files_and_names_are_anchors_and_masks(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", tone(25.0, rate=8000).samples.T, 8000)
    assert decode_audio(load_anchor_ref(str(tmp_path / "long.wav")).data).duration_s == 20.0
    assert load_anchor_ref("marim") == AssetRef("marimba")
    Image.new("L", (512, 512), "white").save(tmp_path / "white.png")
    assert load_mask_ref(str(tmp_path / "white.png")) == encode_mask(named_mask("all"))
    assert load_mask_ref("middle") == AssetRef("middle")


def test_what_is_no_anchor_or_mask_is_refused(tiny_engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="anchor is 'nope': use one of soul_beat"):
        library_anchor("nope")
    with pytest.raises(InvalidInput, match=r"anchor is '\.\./marimba'"):
        library_anchor("../marimba")
    with pytest.raises(InvalidInput, match="mask is 'nope': use one of all"):
        library_mask("nope")
    with pytest.raises(InvalidInput, match="anchor is 'nope'"):
        JamSession(tiny_engine, SETTINGS.changed({"anchor": AssetRef("nope")}))
    with pytest.raises(InvalidInput, match="anchor is 'marimba'"):
        SETTINGS.changed({"anchor": "marimba"})
    with pytest.raises(InvalidInput, match="strength is 2"):
        SETTINGS.changed({"strength": 2})
    with pytest.raises(InvalidInput, match="missing or damaged"):
        AssetRef(make_upload(b"a").name, b"b")
    with pytest.raises(InvalidAudio, match="silence"):
        encode_anchor(Waveform(np.zeros((1, 100), np.float32), RATE))


def test_two_anchors_are_blended_as_the_walk_goes(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    ends = {"anchor": library_anchor("marimba"), "anchor_b": library_anchor("vibraphone")}
    play(JamSession(engine, SETTINGS.changed({**ends, "path": "once", "walk_bars": 4})), 9 * RATE)
    alone = RecordedEngine(tiny_engine)
    for name in ends:
        play(JamSession(alone, SETTINGS.changed({"anchor": ends[name]})), RATE)
    marimba, vibraphone = (request.anchor for request in alone.requests)
    first, middle, last = (request.anchor for request in engine.requests)
    assert first is not None
    assert middle is not None
    assert last is not None
    assert marimba is not None
    assert vibraphone is not None
    assert torch.equal(first.magnitudes, marimba.magnitudes)
    assert [request.alpha for request in engine.requests] == [0, 0.5, 1]
    # Levels are interpolated: nowhere is the blend louder than both or quieter than both.
    blended = blend_anchors(marimba, vibraphone, 0.5).magnitudes
    floor = 1e-4 * max(float(marimba.magnitudes.max()), float(vibraphone.magnitudes.max()))
    low, high = (one.magnitudes.clamp_min(floor) for one in (marimba, vibraphone))
    assert torch.allclose(blended.log(), (low.log() + high.log()) / 2, atol=1e-4)


def test_the_ends_of_a_blend_are_the_anchors_and_silence_is_no_error(tiny_engine: Engine) -> None:
    loop = make_anchor_loop(tiny_engine, library_anchor("marimba"), None).spectrogram
    silence = Spectrogram(torch.zeros_like(loop.magnitudes), loop.params)
    assert torch.equal(blend_anchors(loop, silence, 0.0).magnitudes, loop.magnitudes)
    assert torch.equal(blend_anchors(loop, silence, 1.0).magnitudes, silence.magnitudes)
    assert torch.isfinite(blend_anchors(loop, silence, 0.5).magnitudes).all()
    assert torch.equal(blend_anchors(silence, silence, 0.5).magnitudes, silence.magnitudes)


def test_an_anchor_at_the_end_alone_is_the_anchor(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    for name in ("anchor", "anchor_b"):
        settings = SETTINGS.changed({name: library_anchor("marimba")})
        play(JamSession(engine, settings), RATE)
    first, second = (request.anchor for request in engine.requests)
    assert first is not None
    assert second is not None
    assert torch.equal(first.magnitudes, second.magnitudes)
