"""The tasks of the original's playground, as commands."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from riffusion.audio.progress import progress
from riffusion.audio.recording import Recording
from riffusion.audio.waveform import WRITTEN_AS as AUDIO
from riffusion.audio.waveform import Waveform, check_audio_output, read_audio, write_audio
from riffusion.compat.batch import load_batch, make_batch
from riffusion.compat.inference import (
    DEFAULT_SEED_IMAGE,
    InferenceInput,
    PromptInput,
    match_anchor_timing,
    to_clip_request,
)
from riffusion.compat.restyle import count_samples, restyle
from riffusion.engines.arguments import load_chosen_engine
from riffusion.engines.clip import ClipRequest, Mix
from riffusion.engines.protocol import Engine
from riffusion.engines.rendering import clip_image, clip_sound
from riffusion.errors import InvalidInput
from riffusion.jam.anchors import (
    find_anchor,
    is_file_name,
    load_sound,
    matched_to_engine,
    read_anchor,
)
from riffusion.music.rhythm import BarGrid
from riffusion.spectral.image import WRITTEN_AS as IMAGES
from riffusion.spectral.image import write_image
from riffusion.spectral.spectrogram import Spectrogram
from riffusion.storage import check_output

MAX_CLIPS = 1000
MAX_POWER = 100.0


def text_to_audio(arguments: Namespace) -> None:
    """Generate a clip of a prompt, or the clips of a batch file."""
    if (arguments.prompt is None) == (arguments.batch is None):
        raise InvalidInput("prompt", arguments.prompt, "give either --prompt or --batch")
    if arguments.batch is not None:
        _run_batch(arguments)
        return
    check_audio_output("--audio", arguments.audio)
    check_output("--image", arguments.image, IMAGES)
    if not (arguments.audio or arguments.image):
        raise InvalidInput("output", "missing", "give --audio clip.wav, --image clip.png or both")
    end = _make_end(arguments, arguments.prompt, arguments.seed, arguments.denoising)
    inputs = _make_inputs(arguments, end, end, 0.0)
    to_clip_request(inputs)
    engine = load_chosen_engine(arguments)
    ((sound, image),) = make_clips(engine, [inputs], arguments.seed_image)
    if arguments.audio:
        write_audio(sound, arguments.audio)
        print(f"Wrote {arguments.audio} ({sound.duration_s:.2f} seconds)")
    if arguments.image:
        write_image(image, arguments.image)
        print(f"Wrote {arguments.image}")


def audio_to_audio(arguments: Namespace) -> None:
    """Generate a recording of any length anew, on a walk to the second prompt if there is one."""
    check_output("--output", arguments.output, AUDIO)
    mix = None
    if arguments.magic_mix:
        mix = Mix(until=arguments.kmin, share=arguments.mix_factor)
        arguments.denoising, arguments.denoising_b = arguments.kmax, None
    to_clip_request(_make_inputs_at(arguments, 0.0))
    sound = _cut_part(read_audio(arguments.audio), arguments.start_time_s, arguments.duration_s)
    engine = load_chosen_engine(arguments)
    _write_restyled(engine, matched_to_engine(sound, engine), arguments, mix)


def interpolation(arguments: Namespace) -> None:
    """Generate a walk between two prompts over a seed image that is looped."""
    check_output("--output", arguments.output, AUDIO)
    count = arguments.num_interpolation_steps
    if not 1 <= count <= MAX_CLIPS:
        hint = f"use a whole number from 1 to {MAX_CLIPS}"
        raise InvalidInput("--num-interpolation-steps", count, hint)
    to_clip_request(_make_inputs_at(arguments, 0.0))
    loop = _read_loop(arguments.seed_image or DEFAULT_SEED_IMAGE)
    engine = load_chosen_engine(arguments)
    once = matched_to_engine(loop, engine)
    length = count_samples(engine, count)
    rounds = np.stack([np.resize(channel, length) for channel in once.samples])
    _write_restyled(engine, Waveform(rounds, once.sample_rate), arguments)


def make_clips(
    engine: Engine, asked: Sequence[InferenceInput], seed_image: str | None
) -> list[tuple[Waveform, Image.Image]]:
    """Generate the sound and the image of each request, from a seed image if there is one."""
    anchor = read_anchor(seed_image, engine) if seed_image else None
    requests = [to_clip_request(inputs, anchor) for inputs in asked]
    if seed_image and not is_file_name(seed_image):
        known = find_anchor(seed_image)
        requests = [match_anchor_timing(request, known, engine) for request in requests]
    clips = engine.generate(requests)
    sounds = [clip_sound(clip, engine.vocoder) for clip in clips]
    return [
        (sound, clip_image(clip, sound, inputs.info(engine.name)))
        for clip, sound, inputs in zip(clips, sounds, asked, strict=True)
    ]


def curve_alpha(alpha: float, power: float) -> float:
    """Return ``alpha``, 0 to 1, on the original's curve: a power above 1 lingers half-way.

    Raises InvalidInput for a power that is not above 0 and at most 100.
    """
    if not 0 < power <= MAX_POWER:
        raise InvalidInput("--alpha-power", power, f"use more than 0, at most {MAX_POWER:g}")
    centred = 2 * alpha - 1
    return (math.copysign(abs(centred) ** power, centred) + 1) / 2


def _run_batch(arguments: Namespace) -> None:
    """Generate the clips of a batch file into a folder. Raises InvalidInput without a folder."""
    if arguments.output_dir is None:
        raise InvalidInput("--output-dir", "missing", "say where the clips of the batch go")
    batch = load_batch(arguments.batch, arguments.num_seeds)
    seed_image = arguments.seed_image

    def make(engine: Engine, asked: Sequence[InferenceInput]) -> list[tuple[Waveform, Image.Image]]:
        return make_clips(engine, asked, seed_image)

    index = make_batch(batch, Path(arguments.output_dir), arguments, make)
    print(f"Wrote {index}")


def _write_restyled(
    engine: Engine, source: Waveform, arguments: Namespace, mix: Mix | None = None
) -> None:
    """Generate ``source`` anew and write it into the file that --output names."""

    def make_request(share: float, anchor: Spectrogram) -> ClipRequest:
        return replace(to_clip_request(_make_inputs_at(arguments, share), anchor), mix=mix)

    rate, length = source.sample_rate, source.samples.shape[1]
    recording = Recording(arguments.output, rate, engine.channels, length)
    with recording, progress("play", source.duration_s) as advance:
        for block in restyle(engine, source, make_request):
            recording.write(block)
            advance(block.shape[1] / rate)
    print(f"Wrote {arguments.output} ({recording.duration_s:.2f} seconds)")


def _make_inputs_at(arguments: Namespace, share: float) -> InferenceInput:
    """Return the request at ``share``, 0 to 1, of the walk from prompt A to prompt B."""
    alpha = (
        curve_alpha(share, getattr(arguments, "alpha_power", 1.0)) if arguments.prompt_b else 0.0
    )
    denoising_b = arguments.denoising_b
    start = _make_end(arguments, arguments.prompt_a, arguments.seed_a, arguments.denoising)
    end = _make_end(
        arguments,
        arguments.prompt_b or arguments.prompt_a,
        arguments.seed_b,
        arguments.denoising if denoising_b is None else denoising_b,
    )
    return _make_inputs(arguments, start, end, alpha)


def _make_inputs(
    arguments: Namespace, start: PromptInput, end: PromptInput, alpha: float
) -> InferenceInput:
    """Return the request of the options for two ends of a walk."""
    steps = arguments.num_inference_steps
    return InferenceInput(alpha=alpha, num_inference_steps=steps, start=start, end=end)


def _make_end(arguments: Namespace, prompt: str, seed: int, denoising: float) -> PromptInput:
    """Return one end of the walk, with the options that both ends share."""
    return PromptInput(
        prompt=prompt,
        seed=seed,
        negative_prompt=arguments.negative_prompt,
        denoising=denoising,
        guidance=arguments.guidance,
    )


def _cut_part(sound: Waveform, start_s: float, duration_s: float | None) -> Waveform:
    """Return ``duration_s`` seconds of ``sound`` from ``start_s`` on, or as many as there are.

    Raises InvalidInput when the start is outside the recording or the duration is not above 0.
    """
    if not 0 <= start_s < sound.duration_s:
        hint = f"the recording lasts {sound.duration_s:.2f} s; start inside it"
        raise InvalidInput("--start-time-s", start_s, hint)
    if duration_s is not None and not 0 < duration_s < math.inf:
        raise InvalidInput("--duration-s", duration_s, "use more than 0")
    first = round(start_s * sound.sample_rate)
    length = None if duration_s is None else max(1, round(duration_s * sound.sample_rate))
    last = None if length is None else first + length
    return Waveform(sound.samples[:, first:last], sound.sample_rate)


def _read_loop(seed_image: str) -> Waveform:
    """Read the sound of a seed image, cut to whole bars when it is one of the library."""
    sound = load_sound(seed_image)
    if is_file_name(seed_image):
        return sound
    settings = find_anchor(seed_image).settings
    grid = BarGrid(sound.sample_rate, settings.bpm, settings.beats_per_bar)
    bars = int(sound.duration_s * settings.bpm / 60 / settings.beats_per_bar)
    return Waveform(sound.samples[:, : grid.bar_sample(max(1, bars))], sound.sample_rate)
