"""The commands of the command line: jam, replay, generate, encode and decode.

Each takes the parsed arguments. Outputs are checked before anything is computed, and a file appears
whole or not at all.
"""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from riffusion.audio.progress import progress
from riffusion.audio.recording import Recording
from riffusion.audio.waveform import WRITTEN_AS as AUDIO
from riffusion.audio.waveform import Waveform, check_audio_output, read_audio, write_audio
from riffusion.cli.opening import read_opening
from riffusion.engines.arguments import load_chosen_engine
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine
from riffusion.engines.rendering import clip_image, clip_sound
from riffusion.errors import InvalidInput
from riffusion.jam.anchor_loops import load_anchor_ref, load_mask_ref
from riffusion.jam.anchors import read_anchor
from riffusion.jam.masks import read_mask
from riffusion.jam.replay import replay as replay_session
from riffusion.jam.replay import save_session
from riffusion.jam.schema import DEFAULTS, settings_for
from riffusion.jam.session import JamSession, render
from riffusion.jam.session_file import load_session
from riffusion.jam.setting import Scope
from riffusion.jam.settings import ASSETS, JamSettings
from riffusion.jam.timeline import window_sheet
from riffusion.spectral.image import WRITTEN_AS as IMAGES
from riffusion.spectral.image import write_image
from riffusion.spectral.long_audio import decode_file
from riffusion.spectral.long_image import MAX_COLUMNS, png_columns, write_sound_image
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram
from riffusion.spectral.tags import ImageInfo
from riffusion.storage import check_output

SESSIONS = (".json",)
MAX_S = 24 * 3600.0
MAX_IMAGE_S = MAX_COLUMNS * RIFFUSION.frame_s


def jam(arguments: Namespace) -> None:
    """Play a walk between two prompts into a file."""
    check_output("--out", arguments.out, AUDIO)
    check_output("--image", arguments.image, IMAGES)
    check_output("--session", arguments.save, SESSIONS)
    check_length(arguments.seconds, arguments.image)
    opening = read_opening(arguments)
    settings = read_jam_settings(arguments)
    engine = load_chosen_engine(arguments)
    session = JamSession(engine, settings, opening=opening)
    seconds = arguments.seconds
    if opening:
        seconds += opening.samples(session.sample_rate) / session.sample_rate
    record(session, engine.name, seconds, arguments)


def replay(arguments: Namespace) -> None:
    """Play a session file into a track again."""
    check_output("--out", arguments.out, AUDIO)
    check_output("--image", arguments.image, IMAGES)
    saved = load_session(arguments.session)
    seconds = saved.samples / saved.sample_rate
    if arguments.seconds is not None:
        seconds = arguments.seconds
    check_length(seconds, arguments.image)
    engine = load_chosen_engine(arguments)
    record(replay_session(engine, saved), engine.name, seconds, arguments)


def record(session: JamSession, engine: str, seconds: float, arguments: Namespace) -> None:
    """Play ``seconds`` of a session into the files that the arguments name.

    The track grows in its file as it plays. When Ctrl-C or a full disk stops it early, what was
    played until then stays in whole files, with its image and session.
    """
    begin = time.perf_counter()
    rate = session.sample_rate
    total = round(seconds * rate)
    recording = Recording(arguments.out, rate, session.channels, total)
    try:
        with recording, progress("jam", seconds) as advance:
            for block in render(session, total):
                recording.write(block.samples)
                advance(block.samples.shape[1] / rate)
    finally:
        print_summary(arguments.out, recording.duration_s, begin)
        if getattr(arguments, "save", None):
            save_session(session, arguments.save, recording.length)
        if arguments.image and recording.length:
            write_track_image(recording.path, arguments.image, image_info(session.settings, engine))


def write_track_image(audio: Path, path: str, info: ImageInfo) -> None:
    """Write the long spectrogram of an audio file. Memory does not grow with the audio."""
    with soundfile.SoundFile(audio) as file:

        def read(start: int, stop: int) -> npt.NDArray[np.float32]:
            file.seek(start)
            return np.asarray(file.read(stop - start, dtype="float32", always_2d=True)).T

        write_sound_image(path, read, file.frames, info=info)


def generate(arguments: Namespace) -> None:
    """Make one clip of a prompt."""
    check_audio_output("--out", arguments.out)
    check_output("--image", arguments.image, IMAGES)
    if not (arguments.out or arguments.image):
        raise InvalidInput("output", "missing", "give --out clip.wav, --image clip.png or both")
    prompt = Prompt(arguments.prompt, arguments.seed)
    values = given_settings(arguments, "clip")
    jam_values = {name: value for name, value in values.items() if name not in ASSETS}
    settings = JamSettings(prompt, prompt).with_settings(jam_values)
    on_grid = any(entry.name in values for entry in settings_for("clip") if entry.on_grid)
    engine = load_chosen_engine(arguments)
    begin = time.perf_counter()
    request = build_request(engine, settings, on_grid=on_grid)
    if "anchor" in values:
        request = start_from_anchor(request, engine, arguments, settings.strength)
    sound, spectrogram = generate_clip(engine, request)
    if arguments.out:
        write_audio(sound, arguments.out)
        print_summary(arguments.out, sound.duration_s, begin)
    if arguments.image:
        info = image_info(settings, engine.name)
        write_image(clip_image(spectrogram, sound, info), arguments.image)


def build_request(engine: Engine, settings: JamSettings, *, on_grid: bool) -> ClipRequest:
    """Return the request for a clip from the first bar on.

    ``on_grid`` gives the engine tempo, beats and chords; otherwise they are left to the prompt.
    """
    prompt = settings.prompt_a
    request = settings.request(0.0, prompt.seed, prompt.seed)
    if not on_grid:
        return replace(request, bpm=None)
    return replace(request, lead_sheet=window_sheet(settings, engine.params, engine.frames))


def start_from_anchor(
    request: ClipRequest, engine: Engine, arguments: Namespace, strength: float
) -> ClipRequest:
    """Return ``request`` with the anchor and the mask that the arguments name."""
    return replace(
        request,
        anchor=read_anchor(arguments.anchor, engine),
        strength=strength,
        mask=None if arguments.mask is None else read_mask(arguments.mask, engine),
    )


def generate_clip(engine: Engine, request: ClipRequest) -> tuple[Waveform, Spectrogram]:
    """Return the sound of one clip, as loud as a jam, and its spectrogram."""
    with progress("clip", engine.params.samples(engine.frames) / engine.params.sample_rate) as show:
        spectrogram = engine.generate([request])[0]
        sound = clip_sound(spectrogram, engine.vocoder)
        show(sound.duration_s)
    return sound, spectrogram


def encode(arguments: Namespace) -> None:
    """Turn audio into a spectrogram image."""
    check_output("image", arguments.image, IMAGES)
    begin = time.perf_counter()
    sound = read_audio(arguments.audio).resample(RIFFUSION.sample_rate)
    if sound.channels > 2:
        sound = sound.mono()
    check_length(sound.duration_s, arguments.image)
    with progress("encode", sound.duration_s) as advance:

        def read(start: int, stop: int) -> npt.NDArray[np.float32]:
            # The sound is read twice: for its peak, then for the pixels.
            advance((stop - start) / sound.sample_rate / 2)
            return sound.samples[:, start:stop]

        write_sound_image(arguments.image, read, sound.samples.shape[1])
    print_summary(arguments.image, sound.duration_s, begin)


def decode(arguments: Namespace) -> None:
    """Turn a spectrogram image into audio."""
    check_audio_output("audio", arguments.audio)
    begin = time.perf_counter()
    columns = max(png_columns(arguments.image), 1)
    with progress("decode", columns * RIFFUSION.frame_s) as advance:
        seconds = decode_file(arguments.image, arguments.audio, advance=advance)
    print_summary(arguments.audio, seconds, begin)


def read_jam_settings(arguments: Namespace) -> JamSettings:
    """Return the settings that the arguments ask for. Anchors and masks may be files.

    Raises InvalidInput for values that cannot be played.
    """
    values = given_settings(arguments, "jam")
    values.setdefault("prompt_b", values["prompt_a"])
    for name in ASSETS:
        if name in values:
            load = load_mask_ref if name == "mask" else load_anchor_ref
            values[name] = load(values[name])
    start, end = (Prompt(DEFAULTS[f"prompt_{end}"], DEFAULTS[f"seed_{end}"]) for end in "ab")
    return JamSettings(start, end).with_settings(values)


def given_settings(arguments: Namespace, scope: Scope) -> dict[str, Any]:
    """Return the settings of ``scope`` that the user gave, by name, as they were written.

    Raises InvalidInput for a strength or a mask without the anchor that it is about.
    """
    found = {entry.name: getattr(arguments, entry.name) for entry in settings_for(scope)}
    given = {name: value for name, value in found.items() if value is not None}
    for name in ("strength", "mask"):
        if name in given and "anchor" not in given:
            raise InvalidInput(f"--{name}", given[name], "needs an --anchor")
    return given


def image_info(settings: JamSettings, engine: str) -> ImageInfo:
    """Return what the image of a jam or of a clip says about it."""
    return ImageInfo(
        prompt_a=settings.prompt_a.text,
        prompt_b=settings.prompt_b.text,
        seed_a=settings.prompt_a.seed,
        seed_b=settings.prompt_b.seed,
        engine=engine,
        bpm=settings.bpm,
        harmony=settings.chords or settings.key,
    )


def check_length(seconds: float, image: str | None) -> None:
    """Raise InvalidInput for a length that cannot be played, or that no image holds."""
    if not 0 < seconds <= MAX_S:
        raise InvalidInput("length", seconds, f"use more than 0 s and at most {MAX_S:.0f} s")
    if image and seconds > MAX_IMAGE_S:
        hint = f"an image holds at most {MAX_IMAGE_S:.0f} s; make it shorter, or no image"
        raise InvalidInput("length", seconds, hint)


def print_summary(path: str, made_s: float, begin: float) -> None:
    """Print the file that was made, its length, and how fast it was made since ``begin``."""
    speed = made_s / (time.perf_counter() - begin)
    print(f"{path}: {made_s:.1f} s, {speed:.1f} x real time")
