"""What an evaluation asks a model for, and the clips and jams it answers with."""

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
from riffusion.engines.clip import ClipRequest, Controls, LeadSheet, Prompt
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.jam.session import JamSession, render
from riffusion.jam.settings import JamSettings
from riffusion.music.harmony import parse_key, progression
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus.dataset import FRAMES, FloatArray
from riffusion.training.evaluation.decoders import VOCODERS
from riffusion.training.evaluation.renders import Renders

TEMPI = (84, 92, 100, 108, 116, 124, 132, 140)
KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
JAM_S = 20.0
CLIP_S = FRAMES * COMPACT_PARAMS.frame_s

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Asked:
    """One request of an evaluation. ``right`` names the styles or instruments that would do.

    A clip's chords are those of its ``sheet``; without one, the usual four of the key, one a bar.
    """

    prompt: str
    right: tuple[str, ...]
    seed: int
    bpm: float
    key: str
    controls: Controls = field(default_factory=Controls)
    sheet: LeadSheet | None = None

    def request(self, engine: Engine) -> ClipRequest:
        """As the engine is asked."""
        prompt = Prompt(self.prompt, self.seed)
        sheet = self.lead_sheet(engine.frames, engine.params.frame_s)
        return ClipRequest(prompt, prompt, bpm=self.bpm, lead_sheet=sheet, controls=self.controls)

    def jam(self) -> JamSettings:
        """The same for a jam that stays where it is."""
        prompt = Prompt(self.prompt, self.seed)
        return JamSettings(prompt, prompt, path="hold", bpm=self.bpm, key=self.key)

    def lead_sheet(self, frames: int, frame_s: float) -> LeadSheet:
        if self.sheet is not None:
            return self.sheet
        chords = np.stack([chord.chroma() for chord in progression(self.key)])
        beats = np.arange(frames) * frame_s * self.bpm / 60
        return LeadSheet(beats, 4, chords[(beats / 4).astype(int) % len(chords)])

    @property
    def tonic(self) -> tuple[int, str]:
        """Tonic (0 is C) and mode."""
        key = parse_key(self.key)
        return key.tonic, key.mode


@dataclass(frozen=True)
class Sample:
    """A clip, log-mel (frames, channels, bands), and what was asked for."""

    asked: Asked
    levels: FloatArray
    lead_sheet: LeadSheet


@dataclass(frozen=True)
class Jam:
    """The sound of a jam as log-mel, and the frames where a clip was continued by the next."""

    asked: Asked
    levels: FloatArray
    lead_sheet: LeadSheet
    seams: tuple[int, ...]


def ask(prompts: Sequence[tuple[str, tuple[str, ...]]], seeds: int) -> list[Asked]:
    """Every prompt with ``seeds`` seeds, at tempi and in keys that have nothing to do with it."""
    pairs = [(prompt, right, n) for prompt, right in prompts for n in range(seeds)]
    return [
        Asked(
            prompt,
            right,
            1000 * seed + number,
            float(TEMPI[number * 5 % len(TEMPI)]),
            KEYS[number * 7 % 12] + ("m" if number % 2 else ""),
        )
        for number, (prompt, right, seed) in enumerate(pairs)
    ]


def ask_like(renders: Renders) -> list[Asked]:
    """The bare name of the style of each window, at its tempo, with its metre and its chords."""
    songs = [renders.song(n) for n in range(len(renders))]
    return [
        Asked(
            song.style,
            (song.style,),
            number,
            float(song.bpm),
            song.key,
            sheet=renders.lead_sheet(number),
        )
        for number, song in enumerate(songs)
    ]


def with_controls(asked: Asked, name: str, values: Sequence[float]) -> list[Asked]:
    """The same request at several values of one control, all else (the seed too) equal."""
    return [replace(asked, controls=Controls(**{name: value})) for value in values]


class Studio:
    """Has a model make clips and jams, in several processes where there are several cores.

    ``through`` names the vocoder that plays them (see ``decoders``): what is judged is
    then the spectrogram of that sound. Without it, clips are judged as they were drawn, and jams
    played by the model's own vocoder.
    """

    def __init__(
        self, model: Path, pool: ProcessPoolExecutor | None, through: str | None = None
    ) -> None:
        self._model, self._pool, self._through = model, pool, through

    def clips(self, asked: Sequence[Asked], what: str) -> list[Sample]:
        """A clip for each request, with a progress bar."""
        return self._made(make_clip, asked, what, CLIP_S)

    def jams(self, asked: Sequence[Asked], what: str) -> list[Jam]:
        """Twenty seconds of a jam for each request."""
        return self._made(make_jam, asked, what, JAM_S)

    def clip_takes_s(self, asked: Asked) -> float:
        """How long one process takes for a clip, once the model is loaded."""
        make_clip(self._model, self._through, asked)
        begin = time.perf_counter()
        make_clip(self._model, self._through, asked)
        return time.perf_counter() - begin

    def _made(
        self,
        make: Callable[[Path, str | None, Asked], Answer],
        asked: Sequence[Asked],
        what: str,
        each_s: float,
    ) -> list[Answer]:
        job = partial(make, self._model, self._through)
        with progress(what, len(asked) * each_s) as advance:
            answers = []
            for answer in self._pool.map(job, asked) if self._pool else map(job, asked):
                answers.append(answer)
                advance(each_s)
        return answers


@contextmanager
def studio(model: Path, workers: int, through: str | None = None) -> Iterator[Studio]:
    """A studio of ``workers`` processes; one works in this process."""
    if workers == 1:
        yield Studio(model, None, through)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        yield Studio(model, pool, through)


def make_clip(model: Path, through: str | None, asked: Asked) -> Sample:
    """Generate one clip, and play it if it is to be heard ``through`` a vocoder."""
    engine = _engine(model)
    request = asked.request(engine)
    clip = engine.generate([request])[0]
    if through is not None:
        clip = mel_spectrogram(VOCODERS[through]()(clip, prefix=None), engine.params)
    levels = log_mel(clip.magnitudes).permute(2, 0, 1).numpy()
    return Sample(asked, levels, asked.lead_sheet(len(levels), engine.params.frame_s))


def make_jam(model: Path, through: str | None, asked: Asked) -> Jam:
    """Play a jam, as a listener hears it, or ``through`` another vocoder."""
    engine = _engine(model)
    vocoder = None if through is None else VOCODERS[through]()
    session = JamSession(engine, asked.jam(), vocoder=vocoder)
    blocks = list(render(session, round(JAM_S * session.sample_rate)))
    wave = Waveform(np.concatenate([block.samples for block in blocks], 1), session.sample_rate)
    levels = log_mel(mel_spectrogram(wave, engine.params).magnitudes).permute(2, 0, 1).numpy()
    starts: npt.NDArray[np.int64] = np.unique([block.clip.start_sample for block in blocks])[1:]
    seams = tuple(round(int(start) / engine.params.hop_length) for start in starts)
    return Jam(asked, levels, asked.lead_sheet(len(levels), engine.params.frame_s), seams)


@lru_cache(maxsize=1)
def _engine(model: Path) -> Engine:
    return load_engine(str(model))
