"""Measure a model: ``python -m riffusion evaluate MODEL --corpus CORPUS``.

Prompt match, rhythm and harmony by judges that are trained on the training split's renders; each
figure with its ceiling (the same measure of the test split's renders) and chance. A folder of
audio, one folder a prompt, is measured by the same judge of styles.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from riffusion.audio.waveform import read_audio
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import InvalidInput
from riffusion.music.instruments import LEAD_FAMILIES
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus.dataset import FRAMES, Corpus, FloatArray
from riffusion.training.evaluation.decoders import VOCODERS
from riffusion.training.evaluation.families import write_families
from riffusion.training.evaluation.judge import Judge, impression
from riffusion.training.evaluation.judges import Judges, judges_of
from riffusion.training.evaluation.measures.continuing import continuing_rows
from riffusion.training.evaluation.measures.controls import (
    CONTROLLED,
    CONTROLS,
    VALUES,
    control_rows,
)
from riffusion.training.evaluation.measures.distribution import likeness_rows
from riffusion.training.evaluation.measures.harmony import chord_rows, key_rows
from riffusion.training.evaluation.measures.rhythm import drummed_styles, rhythm_rows
from riffusion.training.evaluation.measures.row import Measure, share, table
from riffusion.training.evaluation.measures.styles import (
    NAMED_PROMPTS,
    by_prompt,
    heard,
    matched_rows,
    prompt_rows,
    rank_of_right,
    style_rows,
    unseen_prompts,
)
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.samples import JAM_S, Asked, Sample, Studio, ask, studio
from riffusion.training.plots import draw_measures

TEST_WINDOWS = 3  # a song
NEAR_SONGS = 1500  # of the training split, to look for copies in
JAMS_A_SEED = 6
JAM_FRAMES = round(JAM_S / COMPACT_PARAMS.frame_s)
JAM_CLIPS = 7  # what a jam costs, in clips: five of them, and making them sound


@dataclass(frozen=True)
class Splits:
    """Windows of every split; of the test split also one a song, and long ones."""

    train: Renders
    validation: Renders
    test: Renders
    once_test: Renders
    long_test: Renders

    @classmethod
    def of(cls, folder: Path) -> Splits:
        test = Corpus(folder, "test")
        return cls(
            Renders.draw(Corpus(folder, "train"), 1, NEAR_SONGS),
            Renders.draw(Corpus(folder, "validation"), TEST_WINDOWS),
            Renders.draw(test, TEST_WINDOWS),
            Renders.draw(test, 1),
            Renders.draw(test, 1, frames=JAM_FRAMES),
        )


def evaluate_model(made_in: Studio, judges: Judges, splits: Splits, seeds: int) -> list[Measure]:
    """Every measure of one model, ``seeds`` clips a prompt."""
    styles = judges.style.styles
    samples = made_in.clips(ask([(style, (style,)) for style in styles], seeds), "styles")
    jams = made_in.jams(asked_jams(styles, seeds), "jams")
    drummed = drummed_styles(splits.train)
    return [
        *style_rows(judges.style, splits.test, samples),
        *matched_rows(judges.style, splits.once_test, made_in),
        *prompt_rows(judges.style, splits.test, made_in, seeds),
        *rhythm_rows(judges.rhythm, splits.test, samples, drummed),
        *chord_rows(judges.harmony, splits.test, samples),
        *key_rows(judges.harmony, splits.long_test, jams),
        *continuing_rows(judges, splits.long_test, jams, drummed),
        *control_rows(judges.rhythm, made_in, splits.test, control_seeds(seeds)),
        *likeness_rows(judges.style, splits.test, splits.validation, splits.train, samples),
        *_by_style(judges.style, samples),
    ]


def asked_jams(styles: Sequence[str], seeds: int) -> list[Asked]:
    """Jams in styles from all over the list."""
    count = JAMS_A_SEED * seeds
    chosen = [styles[number * len(styles) // count] for number in range(count)]
    return ask([(style, (style,)) for style in chosen], 1)


def control_seeds(seeds: int) -> int:
    """Clips of each style and value of a control."""
    return max(1, seeds // 2)


def clips_of(styles: int, matched: int, seeds: int) -> int:
    """How many clips an evaluation takes, a jam counted as what it costs; ``matched`` of them are
    asked for as renders are."""
    prompts = styles + len(NAMED_PROMPTS) + len(unseen_prompts()) + JAMS_A_SEED * JAM_CLIPS
    controlled = len(CONTROLLED) * len(VALUES) * len(CONTROLS)
    return prompts * seeds + matched + controlled * control_seeds(seeds)


def _by_style(judge: Judge, samples: Sequence[Sample]) -> list[Measure]:
    places = rank_of_right(judge, heard(judge, samples), [s.asked.right for s in samples])
    return by_prompt(samples, np.array(places) < 1)


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
        Measure("style named first", share(places < 1), None, chance, len(clips)),
        Measure("style among first three", share(places < 3), None, 3 * chance, len(clips)),
    ]
    names = np.array([name for (name,) in right])
    return rows + [
        Measure(f"  {n}", share(places[names == n] < 1), clips=int((names == n).sum()))
        for n in sorted(set(names))
    ]


def _whole(levels: FloatArray) -> FloatArray:
    return np.pad(levels, ((0, FRAMES - len(levels)), (0, 0), (0, 0)), mode="edge")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m riffusion evaluate``."""
    parser.add_argument("model", type=Path, help="a model folder, or a folder of audio folders")
    parser.add_argument("--corpus", type=Path, required=True, help="made by `riffusion corpus`")
    parser.add_argument(
        "--judges", type=Path, help="folder of the judges (default: the corpus); trained if missing"
    )
    parser.add_argument("--judge-steps", type=int, help="to train each judge (default: enough)")
    parser.add_argument("--seeds", type=int, default=4, help="clips a prompt (default 4)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--through",
        choices=VOCODERS,
        help="judge the sound of clips and jams by this vocoder, not clips as they were drawn",
    )
    parser.add_argument("--json", type=Path, help="also write the rows here, and a PNG beside")
    parser.add_argument(
        "--group-styles",
        action="store_true",
        help="only group the judge's styles into families again, by validation renders",
    )


def main(args: argparse.Namespace) -> None:
    """Train the judges that are missing, measure, print."""
    judges = judges_of(args.corpus, args.judges or args.corpus, args.judge_steps)
    if args.group_styles:
        validation = Renders.draw(Corpus(args.corpus, "validation"), TEST_WINDOWS)
        for names in write_families(judges.style, validation):
            print(", ".join(names))
        return
    if (args.model / "config.json").exists():
        with studio(args.model, args.workers, args.through) as made_in:
            splits = Splits.of(args.corpus)
            clips = clips_of(len(judges.style.styles), len(splits.once_test.whole()), args.seeds)
            _announce(made_in, clips, judges.style.styles[0], args.workers)
            rows = evaluate_model(made_in, judges, splits, args.seeds)
    else:
        rows = evaluate_audio(args.model, judges.style)
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
        draw_measures(rows, args.json.with_suffix(".png"))


def _announce(made_in: Studio, clips: int, style: str, workers: int) -> None:
    """Say how long it will take, from the time of one clip."""
    each_s = made_in.clip_takes_s(ask([(style, ())], 1)[0])
    print(
        f"{clips} clips of {each_s:.1f} s on {workers} processes: about "
        f"{clips * each_s / workers / 60:.0f} minutes, and one or two to listen",
        flush=True,
    )
