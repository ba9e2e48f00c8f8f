"""Requests of an evaluation to an engine, and the clips and jams that it generates for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from riffusion.audio.progress import progress
from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import ClipRequest, Controls, LeadSheet, Prompt, Quality
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.jam.block import JamBlock
from riffusion.jam.session import JamSession, render
from riffusion.jam.settings import JamSettings
from riffusion.music.harmony import parse_key, progression
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus.dataset import FRAMES
from riffusion.training.corpus.features import FloatArray
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.vocoders import CONTINUING_VOCODERS

TEMPI = (84, 92, 100, 108, 116, 124, 132, 140)
KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
JAM_S = 20.0
CLIP_S = FRAMES * COMPACT_PARAMS.frame_s

Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True)
class SampleRequest:
    """A request of an evaluation. ``accepted`` names the styles or instruments that fit the prompt.

    The chords of a clip are those of its ``sheet``; without one, they are the usual four of the
    key, one a bar.
    """

    prompt: str
    accepted: tuple[str, ...]
    seed: int
    bpm: float
    key: str
    controls: Controls = field(default_factory=Controls)
    sheet: LeadSheet | None = None

    def make_clip_request(self, engine: Engine) -> ClipRequest:
        """Return the request for a clip of ``engine``."""
        prompt = Prompt(self.prompt, self.seed)
        sheet = self.lead_sheet(engine.frames, engine.params.frame_s)
        return ClipRequest(prompt, prompt, bpm=self.bpm, lead_sheet=sheet, controls=self.controls)

    def make_jam_settings(self) -> JamSettings:
        """Return the settings of a jam that stays at the prompt."""
        prompt = Prompt(self.prompt, self.seed)
        return JamSettings(prompt, prompt, path="hold", bpm=self.bpm, key=self.key)

    def lead_sheet(self, frames: int, frame_s: float) -> LeadSheet:
        """Return beat and chord of ``frames`` frames of ``frame_s`` seconds."""
        if self.sheet is not None:
            return self.sheet
        chords = np.stack([chord.chroma() for chord in progression(self.key)])
        beats = np.arange(frames) * frame_s * self.bpm / 60
        return LeadSheet(beats, 4, chords[(beats / 4).astype(int) % len(chords)])

    @property
    def parsed_key(self) -> tuple[int, str]:
        """Return tonic (0 is C) and mode."""
        key = parse_key(self.key)
        return key.tonic, key.mode


@dataclass(frozen=True)
class Sample:
    """A generated clip as log-mel frames (frames, channels, bands), with its request."""

    request: SampleRequest
    levels: FloatArray
    lead_sheet: LeadSheet


@dataclass(frozen=True)
class Jam:
    """The sound of a jam as log-mel frames, with the frames where clips join."""

    request: SampleRequest
    levels: FloatArray
    lead_sheet: LeadSheet
    seams: tuple[int, ...]


@dataclass(frozen=True)
class JamRequest:
    """A request for the first ``seconds`` of a jam with any settings."""

    settings: JamSettings
    seconds: float


def make_requests(
    prompts: Sequence[tuple[str, tuple[str, ...]]], seeds: int
) -> list[SampleRequest]:
    """Return ``seeds`` requests for each prompt, at tempi and in keys that do not depend on it.

    ``prompts`` has each prompt and what is accepted for it.
    """
    triples = [(prompt, accepted, n) for prompt, accepted in prompts for n in range(seeds)]
    return [
        SampleRequest(
            prompt,
            accepted,
            1000 * seed + number,
            float(TEMPI[number * 5 % len(TEMPI)]),
            KEYS[number * 7 % 12] + ("m" if number % 2 else ""),
        )
        for number, (prompt, accepted, seed) in enumerate(triples)
    ]


def make_matched_requests(renders: Renders) -> list[SampleRequest]:
    """Return a request for the style of each render, with its tempo, metre and chords."""
    songs = [renders.song(n) for n in range(len(renders))]
    return [
        SampleRequest(
            song.style,
            (song.style,),
            number,
            float(song.bpm),
            song.key,
            sheet=renders.lead_sheet(number),
        )
        for number, song in enumerate(songs)
    ]


def vary_control(request: SampleRequest, name: str, values: Sequence[float]) -> list[SampleRequest]:
    """Return the same request at several values of one control, all else (also the seed) equal."""
    return [replace(request, controls=Controls(**{name: value})) for value in values]


@dataclass(frozen=True)
class Player:
    """How an evaluation plays: the ``model``, its ``quality``, and the vocoder.

    ``through`` names a vocoder (see ``vocoders``): clips are then measured by the spectrogram of
    their sound. Without it, clips are measured as they were generated, and jams are played by the
    vocoder of the model.
    """

    model: Path
    quality: Quality = "live"
    through: str | None = None


class SampleGenerator:
    """Lets a model generate clips and jams, in several processes where there is a pool."""

    def __init__(self, player: Player, pool: ProcessPoolExecutor | None) -> None:
        self._player, self._pool = player, pool

    def clips(self, requests: Sequence[SampleRequest], what: str) -> list[Sample]:
        """Generate a clip for each request, with a progress bar labelled ``what``."""
        return self._generate(make_clip, requests, what, CLIP_S)

    def jams(self, requests: Sequence[SampleRequest], what: str) -> list[Jam]:
        """Play twenty seconds of a jam for each request, with a progress bar labelled ``what``."""
        return self._generate(make_jam, requests, what, JAM_S)

    def play(self, requests: Sequence[JamRequest], what: str) -> list[FloatArray]:
        """Play a jam for each request, and return the log-mel frames of each as heard.

        They are (frames, channels, bands). The progress bar is labelled ``what``.
        """
        each_s = sum(request.seconds for request in requests) / max(1, len(requests))
        return self._generate(play_jam, requests, what, each_s)

    def measure_clip_s(self, request: SampleRequest) -> float:
        """Return how many seconds one process takes for a clip, once the model is loaded."""
        make_clip(self._player, request)
        begin = time.perf_counter()
        make_clip(self._player, request)
        return time.perf_counter() - begin

    def _generate(
        self,
        make: Callable[[Player, Request], Result],
        requests: Sequence[Request],
        what: str,
        each_s: float,
    ) -> list[Result]:
        job = partial(make, self._player)
        with progress(what, len(requests) * each_s) as advance:
            results = []
            for result in self._pool.map(job, requests) if self._pool else map(job, requests):
                results.append(result)
                advance(each_s)
        return results


@contextmanager
def open_generator(player: Player, workers: int) -> Iterator[SampleGenerator]:
    """Yield a generator of ``workers`` processes; with one, it works in this process."""
    if workers == 1:
        yield SampleGenerator(player, None)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        yield SampleGenerator(player, pool)


def make_clip(player: Player, request: SampleRequest) -> Sample:
    """Generate one clip, and invert it with the vocoder ``through`` if there is one."""
    engine = _load_engine(player.model)
    asked = replace(request.make_clip_request(engine), quality=player.quality)
    clip = engine.generate([asked])[0]
    if player.through is not None:
        vocoder = CONTINUING_VOCODERS[player.through]()
        clip = mel_spectrogram(vocoder(clip, prefix=None), engine.params)
    levels = log_mel(clip.magnitudes).permute(2, 0, 1).numpy()
    return Sample(request, levels, request.lead_sheet(len(levels), engine.params.frame_s))


def make_jam(player: Player, request: SampleRequest) -> Jam:
    """Play one jam with the vocoder of the model, or with the vocoder ``through``."""
    engine = _load_engine(player.model)
    settings = replace(request.make_jam_settings(), quality=player.quality)
    blocks, levels = _render_jam(engine, player.through, JamRequest(settings, JAM_S))
    starts: npt.NDArray[np.int64] = np.unique([block.clip.start_sample for block in blocks])[1:]
    seams = tuple(round(int(start) / engine.params.hop_length) for start in starts)
    return Jam(request, levels, request.lead_sheet(len(levels), engine.params.frame_s), seams)


def play_jam(player: Player, request: JamRequest) -> FloatArray:
    """Play one jam with any settings, and return its log-mel frames (frames, channels, bands)."""
    settings = replace(request.settings, quality=player.quality)
    asked = replace(request, settings=settings)
    return _render_jam(_load_engine(player.model), player.through, asked)[1]


def render_levels(engine: Engine, request: JamRequest) -> FloatArray:
    """Return the log-mel frames (frames, channels, bands) of a jam of ``engine`` as heard."""
    return _render_jam(engine, None, request)[1]


def _render_jam(
    engine: Engine, through: str | None, request: JamRequest
) -> tuple[list[JamBlock], FloatArray]:
    vocoder = None if through is None else CONTINUING_VOCODERS[through]()
    session = JamSession(engine, request.settings, vocoder=vocoder)
    blocks = list(render(session, round(request.seconds * session.sample_rate)))
    wave = Waveform(np.concatenate([block.samples for block in blocks], 1), session.sample_rate)
    magnitudes = mel_spectrogram(wave, engine.params).magnitudes
    return blocks, log_mel(magnitudes).permute(2, 0, 1).numpy()


@lru_cache(maxsize=1)
def _load_engine(model: Path) -> Engine:
    return load_engine(str(model))
