"""Measure a model: ``python -m riffusion evaluate MODEL --corpus CORPUS``.

Prompt match by a judge that is trained on the training split's renders, tempo, beat, key and
harmony by measuring the sound; each with its ceiling (the same measure of the test split's
renders) and chance. A folder of audio, one folder a prompt, is measured by the same judge.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from riffusion.engines import load_engine
from riffusion.engines.base import Engine
from riffusion.engines.compact import COMPACT_PARAMS
from riffusion.engines.mel_image import log_mel
from riffusion.errors import InvalidInput
from riffusion.phase import griffin_lim
from riffusion.spectrogram import Spectrogram, mel_spectrogram
from riffusion.training import comparing, listening
from riffusion.training.dataset import FRAMES, PATCH, Corpus, FloatArray, brightness
from riffusion.training.instruments import LEAD_FAMILIES
from riffusion.training.judge import (
    Judge,
    Verdict,
    impression,
    load_judge,
    save_judge,
    train_judge,
)
from riffusion.training.plots import draw_measures
from riffusion.training.samples import Asked, Sample, answers, ask, with_controls
from riffusion.waveform import read_audio

TEST_WINDOWS = 3  # a song
NEAR_SONGS = 1500  # of the training split, to look for copies in
IN_TIME_S = 0.03
RHYTHMIC = (
    "house", "techno", "trance", "rock", "funk", "salsa", "samba", "heavy metal", "afrobeat",
    "disco", "pop", "ska",
)  # fmt: skip
# The original's examples: what should come first or second.
NAMED_PROMPTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("funky piano", ("piano", "electric piano", "funk")),
    ("jazzy saxophone", ("saxophone",)),
    ("church bells", ("bells", "church bells")),
    ("electronic beats", ("house", "techno", "trance", "eurodance", "drum and bass")),
    ("blues guitar", ("electric guitar", "distorted guitar", "acoustic guitar", "blues")),
    ("jazz piano", ("piano",)),
    ("afrobeat", ("afrobeat",)),
)
CONTROLLED = ("rock", "house", "jazz", "bossa nova", "pop", "funk")
CONTROL_VALUES = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Measure:
    """One row: what was measured, on how many clips, with the ceiling and chance beside it."""

    name: str
    value: float
    ceiling: float | None = None
    chance: float | None = None
    clips: int = 0


@dataclass(frozen=True)
class Renders:
    """Windows of one split of the corpus: (windows, frames, channels, bands) and their songs."""

    corpus: Corpus
    songs: tuple[int, ...]
    starts: tuple[int, ...]

    @classmethod
    def draw(cls, corpus: Corpus, each: int, most: int | None = None) -> Renders:
        """``each`` random windows of every song, or of ``most`` songs."""
        rng = np.random.default_rng(7)
        chosen = rng.permutation(len(corpus.songs))[:most]
        songs = tuple(int(song) for song in chosen for _ in range(each))
        lengths = (corpus.songs[song].frames for song in songs)
        return cls(corpus, songs, tuple(int(rng.integers(max(1, n - FRAMES))) for n in lengths))

    def levels(self, number: int) -> FloatArray:
        return self.corpus.frames(self.songs[number], self.starts[number], FRAMES)

    @cached_property
    def impressions(self) -> FloatArray:
        return np.stack([impression(self.levels(n)) for n in range(len(self.songs))])

    @property
    def styles(self) -> list[str]:
        return [self.corpus.songs[song].style for song in self.songs]


def heard(judge: Judge, samples: list[Sample]) -> Verdict:
    """The judge's verdict on generated clips."""
    return judge.listen(np.stack([impression(sample.levels) for sample in samples]))


def rank_of_right(judge: Judge, verdict: Verdict, right: list[tuple[str, ...]]) -> list[int]:
    """At which place (0 is first) the first right answer comes, styles and leads each ranked.

    Behind the last place where the judge knows none of them.
    """
    places = []
    for styles, leads, names in zip(verdict.styles, verdict.leads, right, strict=True):
        ranked = [_ranking(styles, judge.styles), _ranking(leads, list(LEAD_FAMILIES))]
        found = [order.index(n) for n in names for order in ranked if n in order]
        places.append(min(found, default=len(judge.styles)))
    return places


def _ranking(scores: torch.Tensor, names: list[str]) -> list[str]:
    return [names[int(index)] for index in scores.argsort(descending=True)]


def style_rows(judge: Judge, test: Renders, samples: list[Sample]) -> list[Measure]:
    """Prompt match of clips that were asked for by a style's name."""
    verdict = heard(judge, samples)
    places = np.array(rank_of_right(judge, verdict, [sample.asked.right for sample in samples]))
    best = np.array(
        rank_of_right(judge, judge.listen(test.impressions), [(s,) for s in test.styles])
    )
    count, chance = len(samples), 1 / len(judge.styles)
    return [
        Measure("style named first", _share(places < 1), _share(best < 1), chance, count),
        Measure("style among first three", _share(places < 3), _share(best < 3), 3 * chance, count),
    ]


def prompt_rows(judge: Judge, engine: Engine, seeds: int) -> list[Measure]:
    """The original's seven prompts, and forty in wording the corpus never used."""
    listing = json.loads(Path(__file__).with_name("unseen_prompts.json").read_text())
    unseen = [(entry["prompt"], tuple(entry["styles"])) for entry in listing]
    rows = []
    for name, prompts, within in (
        ("seven known prompts, first or second", NAMED_PROMPTS, 2),
        ("unseen wording, named first", tuple(unseen), 1),
    ):
        samples = answers(engine, ask(prompts, seeds), name)
        places = rank_of_right(judge, heard(judge, samples), [s.asked.right for s in samples])
        hits = np.array(places) < within
        rows.append(Measure(name, _share(hits), clips=len(samples)))
        if within == 2:
            for prompt, _ in prompts:
                of = np.array([s.asked.prompt == prompt for s in samples])
                rows.append(Measure(f"  {prompt}", _share(hits[of]), clips=int(of.sum())))
    return rows


def rhythm_rows(test: Renders, samples: list[Sample]) -> list[Measure]:
    """Tempo and beat of the styles with a clear one."""
    clips = [sample for sample in samples if sample.asked.prompt in RHYTHMIC]
    renders = [
        (test.levels(n).mean(1), song.bpm, test.starts[n] * listening.FRAME_S * song.bpm / 60)
        for n, song in enumerate(test.corpus.songs[i] for i in test.songs)
        if song.style in RHYTHMIC and song.drum_hits_per_s
    ]
    generated = [(sample.levels.mean(1), sample.asked.bpm, 0.0) for sample in clips]
    tempo, best_tempo = (
        np.array([listening.tempo_matches(bpm, listening.measured_tempo(x)) for x, bpm, _ in group])
        for group in (generated, renders)
    )
    late, best_late = (
        np.array([listening.beat_offset_s(*one) for one in group]) for group in (generated, renders)
    )
    # Onsets rise a little before the beat in a spectrogram; what counts is the renders' own place.
    usual = float(np.median(best_late))
    in_time, best_in_time = (np.abs(x - usual) < IN_TIME_S for x in (late, best_late))
    contrast = float(np.median([listening.beat_contrast(x, bpm) for x, bpm, _ in generated]))
    return [
        Measure(
            "tempo within 4 %", _share(tempo[:, 0]), _share(best_tempo[:, 0]), 0.08, len(clips)
        ),
        Measure(
            "tempo or a multiple", _share(tempo[:, 1]), _share(best_tempo[:, 1]), 0.5, len(clips)
        ),
        Measure(
            "beat within 30 ms of asked", _share(in_time), _share(best_in_time), 0.12, len(clips)
        ),
        Measure("onsets on asked beats, over average", contrast, None, 1.0, len(clips)),
    ]


def harmony_rows(test: Renders, samples: list[Sample]) -> list[Measure]:
    """Key and chords, of all clips, drums alone left out of the ceiling."""
    pitched = [n for n, i in enumerate(test.songs) if test.corpus.songs[i].programs]
    rng = np.random.default_rng(0)
    chosen = rng.permutation(pitched)[: len(samples)]
    renders = []
    for n in chosen:
        song = test.corpus.songs[test.songs[n]]
        sheet = test.corpus.lead_sheet(song, test.starts[n], FRAMES)
        magnitudes = 10 ** torch.from_numpy(test.levels(n)).permute(1, 2, 0)
        key, mode = song.key.split()
        clip = Spectrogram(magnitudes, COMPACT_PARAMS)
        renders.append((_chroma_of(clip), sheet.chroma, key + ("m" if mode == "minor" else "")))
    generated = [(_chroma_of(s.clip), s.chroma, s.asked.key) for s in samples]
    (key, both, moved), (best_key, best_both, best_moved) = (
        np.array([_harmony(*one) for one in group]).mean(0) for group in (generated, renders)
    )
    count = len(samples)
    return [
        Measure("asked transposition first of 12", moved, best_moved, 1 / 12, count),
        Measure("tonic asked for", key, best_key, 1 / 12, count),
        Measure("tonic and mode asked for", both, best_both, 1 / 24, count),
    ]


def _harmony(sounding: FloatArray, asked: FloatArray, key: str) -> tuple[bool, bool, bool]:
    tonic, mode = Asked("", (), 0, 0.0, key).tonic
    found = listening.sounding_key(sounding)
    places = np.arange(sounding.shape[1]) * listening.CHROMA_HOP / COMPACT_PARAMS.hop_length
    chroma = asked[np.minimum(places.astype(int), len(asked) - 1)].T
    moved = listening.transposition(sounding, chroma)
    return found[0] == tonic, found == (tonic, mode), moved == 0


def _chroma_of(clip: Spectrogram) -> FloatArray:
    return listening.chroma(griffin_lim(clip, iterations=16))


def control_rows(engine: Engine, seeds: int) -> list[Measure]:
    """Rank correlation of each control's value with what it should change."""
    measures: dict[str, Callable[[FloatArray], float]] = {
        "density": lambda levels: listening.onsets_per_s(levels.mean(1)),
        "brightness": brightness,
        "drums": lambda levels: listening.treble_rise(levels.mean(1)),
    }
    rows = []
    for name, measure in measures.items():
        base = ask([(style, ()) for style in CONTROLLED], seeds)
        asked = [one for each in base for one in with_controls(each, name, CONTROL_VALUES)]
        samples = answers(engine, asked, name)
        found = np.array([measure(s.levels) for s in samples]).reshape(-1, len(CONTROL_VALUES))
        values = np.array(CONTROL_VALUES)
        fits = [comparing.rank_correlation(values, row) for row in found]
        label = f"{name}: rank correlation, mean"
        rows.append(Measure(label, float(np.mean(fits)), chance=0.0, clips=len(samples)))
    return rows


def likeness_rows(
    judge: Judge, test: Renders, validation: Renders, train: Renders, samples: list[Sample]
) -> list[Measure]:
    """How like the renders the clips are as a set, how various, and whether they are copies."""
    generated = heard(judge, samples).embedding.double().numpy()
    real, other, known = (
        judge.listen(renders.impressions).embedding.double().numpy()
        for renders in (test, validation, train)
    )
    floor = comparing.frechet_distance(other, real)
    styles, real_styles = [s.asked.prompt for s in samples], test.styles
    ratios = [
        comparing.spread(_of(generated, styles, style))
        / max(1e-9, comparing.spread(_of(real, real_styles, style)))
        for style in sorted(set(styles) & set(real_styles))
    ]
    usual = float(np.percentile(comparing.nearest(real, known), 5))
    copies = comparing.nearest(generated, known) < usual
    flux = np.median([listening.grid_flux(s.levels.mean(1), PATCH) for s in samples])
    real_flux = np.median(
        [listening.grid_flux(test.levels(n).mean(1), PATCH) for n in range(len(test.songs))]
    )
    distance, count = comparing.frechet_distance(generated, real), len(samples)
    return [
        Measure("Frechet distance to renders, over floor", distance / floor, 1.0, None, count),
        Measure("spread of seeds, over renders'", float(np.median(ratios)), 1.0, None, count),
        Measure("nearer to training than 95 % of renders", _share(copies), 0.05, None, count),
        Measure("flux at token boundaries, over elsewhere", float(flux), float(real_flux)),
    ]


def _of(rows: npt.NDArray[np.float64], labels: list[str], label: str) -> npt.NDArray[np.float64]:
    return rows[[place for place, name in enumerate(labels) if name == label]]


def _share(hits: npt.NDArray[np.bool_]) -> float:
    return float(np.mean(hits))


def evaluate_engine(engine: Engine, judge: Judge, corpus: Path, seeds: int) -> list[Measure]:
    """Every measure of one model."""
    test = Renders.draw(Corpus(corpus, "test"), TEST_WINDOWS)
    validation = Renders.draw(Corpus(corpus, "validation"), TEST_WINDOWS)
    train = Renders.draw(Corpus(corpus, "train"), 1, NEAR_SONGS)
    samples = answers(engine, ask([(s, (s,)) for s in judge.styles], seeds), "styles")
    return [
        *style_rows(judge, test, samples),
        *prompt_rows(judge, engine, seeds),
        *rhythm_rows(test, samples),
        *harmony_rows(test, samples),
        *control_rows(engine, max(1, seeds // 2)),
        *likeness_rows(judge, test, validation, train, samples),
        *_by_style(judge, samples),
    ]


def _by_style(judge: Judge, samples: list[Sample]) -> list[Measure]:
    places = rank_of_right(judge, heard(judge, samples), [s.asked.right for s in samples])
    hits = np.array(places) < 1
    names = np.array([sample.asked.prompt for sample in samples])
    return [
        Measure(f"  {style}", _share(hits[names == style]), clips=int((names == style).sum()))
        for style in judge.styles
    ]


def evaluate_audio(folder: Path, judge: Judge) -> list[Measure]:
    """Audio of any system: ``folder`` has one folder a prompt, named like it, of audio files."""
    clips: list[FloatArray] = []
    right: list[tuple[str, ...]] = []
    for path in sorted(folder.glob("*/*.*")):
        wave = read_audio(path).resample(COMPACT_PARAMS.sample_rate)
        levels = log_mel(mel_spectrogram(wave, COMPACT_PARAMS).magnitudes).permute(2, 0, 1).numpy()
        # As loud as the renders, whatever the other system's level is.
        starts = range(0, max(1, len(levels) - FRAMES + 1), FRAMES)
        clips += [impression(_whole(levels[start : start + FRAMES])) for start in starts]
        right += [(path.parent.name,)] * len(starts)
    unknown = sorted({name for (name,) in right} - {*judge.styles, *LEAD_FAMILIES})
    if not clips or unknown:
        legal = f"name its folders by styles the judge knows: {', '.join(judge.styles)}"
        raise InvalidInput("folder of audio", unknown or str(folder), legal)
    places = np.array(rank_of_right(judge, judge.listen(np.stack(clips)), right))
    chance = 1 / len(judge.styles)
    rows = [
        Measure("style named first", _share(places < 1), None, chance, len(clips)),
        Measure("style among first three", _share(places < 3), None, 3 * chance, len(clips)),
    ]
    names = np.array([name for (name,) in right])
    return rows + [
        Measure(f"  {n}", _share(places[names == n] < 1), clips=int((names == n).sum()))
        for n in sorted(set(names))
    ]


def _whole(levels: FloatArray) -> FloatArray:
    return np.pad(levels, ((0, FRAMES - len(levels)), (0, 0), (0, 0)), mode="edge")


def table(rows: list[Measure]) -> str:
    """The measures as text, one a line."""

    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    lines = [f"{'measure':42} {'value':>7} {'ceiling':>8} {'chance':>7} {'clips':>6}"]
    lines += [
        f"{row.name:42} {row.value:7.2f} {figure(row.ceiling):>8} {figure(row.chance):>7} "
        f"{row.clips or '-':>6}"
        for row in rows
    ]
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m riffusion evaluate``."""
    parser.add_argument("model", type=Path, help="a model folder, or a folder of audio folders")
    parser.add_argument("--corpus", type=Path, required=True, help="made by `riffusion corpus`")
    parser.add_argument("--judge", type=Path, help="judge file; trained and written if missing")
    parser.add_argument("--judge-steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=4, help="clips a prompt (default 4)")
    parser.add_argument("--json", type=Path, help="also write the rows here, and a PNG beside")


def main(args: argparse.Namespace) -> None:
    """Train the judge if there is none, measure, print."""
    path: Path = args.judge or args.corpus / "judge.safetensors"
    if not path.exists():
        save_judge(train_judge(Corpus(args.corpus, "train"), args.judge_steps), path)
    judge = load_judge(path)
    if (args.model / "config.json").exists():
        engine = load_engine(str(args.model))
        rows = evaluate_engine(engine, judge, args.corpus, args.seeds)
    else:
        rows = evaluate_audio(args.model, judge)
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
        draw_measures(rows, args.json.with_suffix(".png"))
