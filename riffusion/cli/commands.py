"""The commands of the command line: the whole instrument without the page.

Each takes the parsed arguments. What will be written is checked before anything is computed, and
a file appears whole or not at all.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from riffusion.audio.progress import progress
from riffusion.audio.recording import Recording
from riffusion.audio.waveform import WRITTEN_AS as AUDIO
from riffusion.audio.waveform import Waveform, read_audio, write_audio
from riffusion.engines.arguments import engine_of
from riffusion.engines.clip import ClipRequest, Controls, Prompt
from riffusion.engines.protocol import Engine
from riffusion.engines.rendering import clip_image, clip_sound
from riffusion.errors import InvalidInput
from riffusion.jam.anchors import read_anchor
from riffusion.jam.loops import load_anchor_ref, load_mask_ref
from riffusion.jam.masks import read_mask
from riffusion.jam.session import JamSession, render, save_session
from riffusion.jam.session import replay as replay_session
from riffusion.jam.session_file import load_session
from riffusion.jam.settings import DEFAULT_STRENGTH, JamSettings
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
HARMONY = ("bpm", "key", "chords", "beats_per_bar")
SAMPLING = ("guidance", "steps")
WALK = ("path", "walk_bars", "position")


def jam(arguments: Namespace) -> None:
    """Play a walk between two prompts into a file."""
    check_output("--out", arguments.out, AUDIO)
    check_output("--image", arguments.image, IMAGES)
    check_output("--session", arguments.save, SESSIONS)
    check_length(arguments.seconds, arguments.image)
    prompt_b = arguments.prompt_a if arguments.prompt_b is None else arguments.prompt_b
    settings = settings_of(
        Prompt(arguments.prompt_a, arguments.seed_a), Prompt(prompt_b, arguments.seed_b), arguments
    )
    if has_anchor(arguments):
        settings = settings.changed(looped(arguments))
    engine = engine_of(arguments)
    record(JamSession(engine, settings), engine.name, arguments.seconds, arguments)


def replay(arguments: Namespace) -> None:
    """Make the track of a session file again."""
    check_output("--out", arguments.out, AUDIO)
    check_output("--image", arguments.image, IMAGES)
    saved = load_session(arguments.session)
    seconds = saved.samples / saved.sample_rate
    if arguments.seconds is not None:
        seconds = arguments.seconds
    check_length(seconds, arguments.image)
    engine = engine_of(arguments)
    record(replay_session(engine, saved), engine.name, seconds, arguments)


def record(session: JamSession, engine: str, seconds: float, arguments: Namespace) -> None:
    """Play ``seconds`` into the files that were asked for.

    The track grows in its file as it plays. Whatever stops it early, Ctrl-C or a full disk, what
    was played until then stays, whole, with its image and session.
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
        say(arguments.out, recording.duration_s, begin)
        if getattr(arguments, "save", None):
            save_session(session, arguments.save, recording.length)
        if arguments.image and recording.length:
            write_track_image(recording.path, arguments.image, image_info(session.settings, engine))


def write_track_image(audio: Path, path: str, info: ImageInfo) -> None:
    """The long spectrogram of an audio file, in memory that does not grow with the audio."""
    with soundfile.SoundFile(audio) as file:

        def read(start: int, stop: int) -> npt.NDArray[np.float32]:
            file.seek(start)
            return np.asarray(file.read(stop - start, dtype="float32", always_2d=True)).T

        write_sound_image(path, read, file.frames, info=info)


def generate(arguments: Namespace) -> None:
    """Make one clip of a prompt."""
    check_output("--out", arguments.out, AUDIO)
    check_output("--image", arguments.image, IMAGES)
    if not (arguments.out or arguments.image):
        raise InvalidInput("output", "missing", "give --out clip.wav, --image clip.png or both")
    prompt = Prompt(arguments.prompt, arguments.seed)
    settings = settings_of(prompt, prompt, arguments)
    in_time = bool(given(arguments, HARMONY))
    engine = engine_of(arguments)
    begin = time.perf_counter()
    wanted = anchored(request(engine, settings, in_time=in_time), engine, arguments)
    sound, spectrogram = clip(engine, wanted)
    if arguments.out:
        write_audio(sound, arguments.out)
        say(arguments.out, sound.duration_s, begin)
    if arguments.image:
        info = image_info(settings, engine.name)
        write_image(clip_image(spectrogram, sound, info), arguments.image)


def request(engine: Engine, settings: JamSettings, *, in_time: bool) -> ClipRequest:
    """A clip from the first bar on; ``in_time`` tells the engine the beat and the chords."""
    prompt = settings.prompt_a
    wanted = settings.request(0.0, prompt.seed, prompt.seed)
    if not in_time:
        return replace(wanted, bpm=None)
    return replace(wanted, lead_sheet=window_sheet(settings, engine.params, engine.frames))


def anchored(wanted: ClipRequest, engine: Engine, arguments: Namespace) -> ClipRequest:
    """``wanted``, starting from the anchor that the arguments name."""
    if not has_anchor(arguments):
        return wanted
    return replace(
        wanted,
        anchor=read_anchor(arguments.anchor, engine),
        strength=DEFAULT_STRENGTH if arguments.strength is None else arguments.strength,
        mask=None if arguments.mask is None else read_mask(arguments.mask, engine),
    )


def looped(arguments: Namespace) -> dict[str, object]:
    """The settings of a jam on the anchor that the arguments name."""
    found: dict[str, object] = {"anchor": load_anchor_ref(arguments.anchor)}
    if arguments.strength is not None:
        found["strength"] = arguments.strength
    if arguments.mask is not None:
        found["mask"] = load_mask_ref(arguments.mask)
    return found


def has_anchor(arguments: Namespace) -> bool:
    """Whether an anchor was given. InvalidInput for what means nothing without one."""
    if arguments.anchor is None:
        for name in ("strength", "mask"):
            if getattr(arguments, name) is not None:
                raise InvalidInput(f"--{name}", getattr(arguments, name), "needs an --anchor")
    return arguments.anchor is not None


def clip(engine: Engine, wanted: ClipRequest) -> tuple[Waveform, Spectrogram]:
    """One clip: its sound, as loud as a jam, and its spectrogram."""
    with progress("clip", engine.params.samples(engine.frames) / engine.params.sample_rate) as show:
        spectrogram = engine.generate([wanted])[0]
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
            # The sound is gone through twice: for its peak, then for the pixels.
            advance((stop - start) / sound.sample_rate / 2)
            return sound.samples[:, start:stop]

        write_sound_image(arguments.image, read, sound.samples.shape[1])
    say(arguments.image, sound.duration_s, begin)


def decode(arguments: Namespace) -> None:
    """Turn a spectrogram image into audio."""
    check_output("audio", arguments.audio, AUDIO)
    begin = time.perf_counter()
    columns = max(png_columns(arguments.image), 1)
    with progress("decode", columns * RIFFUSION.frame_s) as advance:
        seconds = decode_file(arguments.image, arguments.audio, advance=advance)
    say(arguments.audio, seconds, begin)


def settings_of(prompt_a: Prompt, prompt_b: Prompt, arguments: Namespace) -> JamSettings:
    """The settings that the arguments ask for; what was not given keeps its default."""
    controls = Controls(arguments.density, arguments.brightness, arguments.drums)
    settings = JamSettings(prompt_a, prompt_b, controls=controls)
    return settings.changed(given(arguments, (*HARMONY, *SAMPLING, *WALK)))


def given(arguments: Namespace, names: Iterable[str]) -> Mapping[str, object]:
    """Those of the named arguments that the command has and the user gave."""
    found = {name: getattr(arguments, name, None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def image_info(settings: JamSettings, engine: str) -> ImageInfo:
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
    """Raise InvalidInput for a length that we do not play, or that no image holds."""
    if not 0 < seconds <= MAX_S:
        raise InvalidInput("length", seconds, f"use more than 0 s and at most {MAX_S:.0f} s")
    if image and seconds > MAX_IMAGE_S:
        legal = f"an image holds at most {MAX_IMAGE_S:.0f} s; make it shorter, or no image"
        raise InvalidInput("length", seconds, legal)


def say(path: str, made_s: float, begin: float) -> None:
    """What was made, how long it is and how fast that was."""
    speed = made_s / (time.perf_counter() - begin)
    print(f"{path}: {made_s:.1f} s, {speed:.1f} x real time")
