"""Measure a model: ``python -m riffusion evaluate MODEL --corpus CORPUS``.

Style match by a judge trained on the training split's renders, tempo and beat by an onset tracker,
harmony by chroma of the sound; each with its ceiling (the test split's renders) and chance.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from riffusion.clip import ClipRequest, LeadSheet, Prompt
from riffusion.engines import load_engine
from riffusion.engines.base import Engine
from riffusion.engines.mel_image import log_mel
from riffusion.harmony import progression
from riffusion.phase import griffin_lim
from riffusion.spectrogram import Spectrogram
from riffusion.training.dataset import FRAMES, Corpus, FloatArray
from riffusion.training.judge import (
    StyleJudge,
    load_judge,
    random_window,
    save_judge,
    train_judge,
)
from riffusion.training.listening import (
    CHROMA_HOP,
    beat_contrast,
    chroma,
    measured_tempo,
    tempo_matches,
    transposition,
)

TEMPI = (84, 92, 100, 108, 116, 124, 132, 140)
KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
CEILING_WINDOWS = 3
RHYTHMIC = (
    "house", "techno", "trance", "rock", "funk", "salsa", "samba", "heavy metal", "afrobeat",
    "disco", "pop", "ska",
)  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """One row: what was measured, on how many clips, with the ceiling and chance beside it."""

    name: str
    value: float
    ceiling: float | None
    chance: float | None
    clips: int


@dataclass(frozen=True)
class Sample:
    """One generated clip and what was asked of it."""

    style: str
    bpm: float
    chroma: FloatArray
    clip: Spectrogram

    @property
    def frames(self) -> FloatArray:
        """Log-mel, (frames, bands), of the first channel."""
        return log_mel(self.clip.magnitudes[0]).T.numpy()


def generate_samples(engine: Engine, styles: list[str], seeds: int) -> list[Sample]:
    """Clips of every style, each at its own tempo and in its own minor or major key."""
    samples = []
    for number, (style, seed) in enumerate((s, n) for s in styles for n in range(seeds)):
        bpm = float(TEMPI[number * 5 % len(TEMPI)])
        key = KEYS[number * 7 % 12] + ("m" if number % 2 else "")
        chords = np.stack([chord.chroma() for chord in progression(key)])
        beats = np.arange(engine.frames) * engine.params.frame_s * bpm / 60
        sheet = LeadSheet(beats, 4, chords[(beats / 4).astype(int) % len(chords)])
        prompt = Prompt(style, seed * 1000 + number)
        clip = engine.generate([ClipRequest(prompt, prompt, bpm=bpm, lead_sheet=sheet)])[0]
        samples.append(Sample(style, bpm, sheet.chroma, clip))
    return samples


def ceiling(judge: StyleJudge, test: Corpus) -> float:
    """The judge's top-1 accuracy on renders it has never seen."""
    import torch

    rng = np.random.default_rng(7)
    right = [
        judge.ranking(torch.from_numpy(random_window(test, song, rng)))[0] == test.songs[song].style
        for song in range(len(test.songs))
        for _ in range(CEILING_WINDOWS)
    ]
    return float(np.mean(right))


def tempo_ceiling(test: Corpus) -> tuple[float, float]:
    """How often the tempo tracker is right on renders: (exactly, up to a multiple)."""
    found = [
        tempo_matches(song.bpm, measured_tempo(test.frames(number, 0, FRAMES)))
        for number, song in enumerate(test.songs)
        if song.style in RHYTHMIC and song.drum_hits_per_s
    ]
    exact, loose = np.mean(np.array(found), axis=0)
    return float(exact), float(loose)


def evaluate(engine: Engine, judge: StyleJudge, test: Corpus, seeds: int) -> list[Measure]:
    """Every measure of one model."""
    import torch

    samples = generate_samples(engine, judge.styles, seeds)
    rankings = [judge.ranking(torch.from_numpy(sample.frames)) for sample in samples]
    first = [ranks[0] == s.style for ranks, s in zip(rankings, samples, strict=True)]
    third = [s.style in ranks[:3] for ranks, s in zip(rankings, samples, strict=True)]
    rhythmic = [sample for sample in samples if sample.style in RHYTHMIC]
    tempi = np.array([tempo_matches(s.bpm, measured_tempo(s.frames)) for s in rhythmic])
    contrast = float(np.median([beat_contrast(s.frames, s.bpm) for s in rhythmic]))
    in_key = [_plays_asked_chords(sample) for sample in samples]
    exact, loose = tempo_ceiling(test)
    chance = 1 / len(judge.styles)
    rows = [
        Measure(
            "style named first", float(np.mean(first)), ceiling(judge, test), chance, len(first)
        ),
        Measure("style among first three", float(np.mean(third)), None, 3 * chance, len(third)),
        Measure("tempo within 4 %", float(tempi[:, 0].mean()), exact, 0.08, len(tempi)),
        Measure("tempo or a multiple", float(tempi[:, 1].mean()), loose, 0.5, len(tempi)),
        Measure("onsets on asked beats, over average", contrast, None, 1.0, len(tempi)),
        Measure(
            "asked transposition first of 12", float(np.mean(in_key)), None, 1 / 12, len(in_key)
        ),
    ]
    return rows + _by_style(samples, first)


def _by_style(samples: list[Sample], first: list[bool]) -> list[Measure]:
    styles = sorted({sample.style for sample in samples})
    hits = {s: [hit for x, hit in zip(samples, first, strict=True) if x.style == s] for s in styles}
    return [Measure(f"  {s}", float(np.mean(hits[s])), None, None, len(hits[s])) for s in styles]


def _plays_asked_chords(sample: Sample) -> bool:
    sounding = chroma(griffin_lim(sample.clip, iterations=16))
    places = np.arange(sounding.shape[1]) * CHROMA_HOP / sample.clip.params.hop_length
    asked = sample.chroma[np.minimum(places.astype(int), len(sample.chroma) - 1)].T
    return transposition(sounding, asked) == 0


def table(rows: list[Measure]) -> str:
    """The measures as text, one a line."""

    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    lines = [f"{'measure':40} {'value':>7} {'ceiling':>8} {'chance':>7} {'clips':>6}"]
    lines += [
        f"{row.name:40} {row.value:7.2f} {figure(row.ceiling):>8} {figure(row.chance):>7} "
        f"{row.clips:6}"
        for row in rows
    ]
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m riffusion evaluate``."""
    parser.add_argument("model", help="a model folder")
    parser.add_argument("--corpus", type=Path, required=True, help="made by `riffusion corpus`")
    parser.add_argument("--judge", type=Path, help="judge file; trained and written if missing")
    parser.add_argument("--judge-steps", type=int, default=1200)
    parser.add_argument("--seeds", type=int, default=4, help="clips a style (default 4)")
    parser.add_argument("--json", type=Path, help="also write the rows here")


def main(args: argparse.Namespace) -> None:
    """Train the judge if there is none, generate, measure, print."""
    path: Path = args.judge or args.corpus / "judge.safetensors"
    if not path.exists():
        print(f"training the judge, {args.judge_steps} steps", flush=True)
        save_judge(train_judge(Corpus(args.corpus, "train"), args.judge_steps), path)
    rows = evaluate(
        load_engine(args.model), load_judge(path), Corpus(args.corpus, "test"), args.seeds
    )
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
