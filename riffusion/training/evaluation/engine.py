"""Measure a model: ``python -m riffusion evaluate MODEL --corpus CORPUS``.

Judges trained on renders of the training split measure prompt match, rhythm and harmony. Each
measure has its ceiling (the same of renders of the test split) and its chance level. A folder of
audio, with one folder for each prompt, is measured by the same judge of styles.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from riffusion.audio.waveform import read_audio
from riffusion.engines.clip import Quality
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.errors import InvalidInput
from riffusion.music.instruments import LEAD_FAMILIES
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.corpus.features import FloatArray
from riffusion.training.evaluation.families import write_families
from riffusion.training.evaluation.judges import Judges, load_judges
from riffusion.training.evaluation.measures.cohesion import SECONDS_A_SEED, measure_jams
from riffusion.training.evaluation.measures.continuation import measure_continuation
from riffusion.training.evaluation.measures.controls import (
    CONTROLLED,
    CONTROLS,
    VALUES,
    measure_controls,
)
from riffusion.training.evaluation.measures.distribution import measure_distribution
from riffusion.training.evaluation.measures.harmony import measure_chords, measure_keys
from riffusion.training.evaluation.measures.rhythm import find_drummed_styles, measure_rhythm
from riffusion.training.evaluation.measures.row import Measure, compute_share, format_table
from riffusion.training.evaluation.measures.styles import (
    NAMED_PROMPTS,
    judge_samples,
    load_unseen_prompts,
    measure_by_prompt,
    measure_matched_styles,
    measure_prompts,
    measure_styles,
    rank_accepted,
)
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.samples import (
    JAM_S,
    Player,
    Sample,
    SampleGenerator,
    SampleRequest,
    make_requests,
    open_generator,
)
from riffusion.training.evaluation.style_judge import StyleJudge, make_judge_image
from riffusion.training.evaluation.vocoders import CONTINUING_VOCODERS
from riffusion.training.plots import draw_measures

TEST_WINDOWS = 3  # a song
NEAR_SONGS = 1500  # songs of the training split in which copies are searched
JAMS_A_SEED = 6
JAM_FRAMES = round(JAM_S / COMPACT_PARAMS.frame_s)
JAM_CLIPS = 7  # a jam takes as long as seven clips: five of them, and the vocoder


@dataclass(frozen=True)
class Splits:
    """Windows of every split; ``once_test`` has one a song, ``long_test`` the length of jams."""

    train: Renders
    validation: Renders
    test: Renders
    once_test: Renders
    long_test: Renders

    @classmethod
    def draw(cls, folder: Path) -> Splits:
        """Draw the windows of the corpus in ``folder``."""
        test = Corpus(folder, "test")
        return cls(
            Renders.draw(Corpus(folder, "train"), 1, NEAR_SONGS),
            Renders.draw(Corpus(folder, "validation"), TEST_WINDOWS),
            Renders.draw(test, TEST_WINDOWS),
            Renders.draw(test, 1),
            Renders.draw(test, 1, frames=JAM_FRAMES),
        )


def evaluate_model(
    generator: SampleGenerator, judges: Judges, splits: Splits, seeds: int
) -> list[Measure]:
    """Return all measures of one model, from ``seeds`` clips a prompt."""
    styles = judges.style.styles
    samples = generator.clips(
        make_requests([(style, (style,)) for style in styles], seeds), "styles"
    )
    jams = generator.jams(make_jam_requests(styles, seeds), "jams")
    drummed = find_drummed_styles(splits.train)
    return [
        *measure_styles(judges.style, splits.test, samples),
        *measure_matched_styles(judges.style, splits.once_test, generator),
        *measure_prompts(judges.style, splits.test, generator, seeds),
        *measure_rhythm(judges.rhythm, splits.test, samples, drummed),
        *measure_chords(judges.harmony, splits.test, samples),
        *measure_keys(judges.harmony, splits.long_test, jams),
        *measure_continuation(judges, splits.long_test, jams, drummed),
        *measure_jams(generator, splits.test.corpus, styles, seeds),
        *measure_controls(judges.rhythm, generator, splits.test, count_control_seeds(seeds)),
        *measure_distribution(judges.style, splits.test, splits.validation, splits.train, samples),
        *_measure_by_style(judges.style, samples),
    ]


def make_jam_requests(styles: Sequence[str], seeds: int) -> list[SampleRequest]:
    """Return requests for jams in styles from all over the list."""
    count = JAMS_A_SEED * seeds
    chosen = [styles[number * len(styles) // count] for number in range(count)]
    return make_requests([(style, (style,)) for style in chosen], 1)


def count_control_seeds(seeds: int) -> int:
    """Return how many clips each style and value of a control gets."""
    return max(1, seeds // 2)


def count_clips(styles: int, matched: int, seeds: int) -> int:
    """Return how many clips an evaluation takes, where a jam counts as ``JAM_CLIPS``.

    ``matched`` of them are requested with tempo and chords of renders.
    """
    jams = round(JAM_CLIPS * (JAMS_A_SEED + SECONDS_A_SEED / JAM_S))
    prompts = styles + len(NAMED_PROMPTS) + len(load_unseen_prompts()) + jams
    controlled = len(CONTROLLED) * len(VALUES) * len(CONTROLS)
    return prompts * seeds + matched + controlled * count_control_seeds(seeds)


def _measure_by_style(judge: StyleJudge, samples: Sequence[Sample]) -> list[Measure]:
    places = rank_accepted(
        judge, judge_samples(judge, samples), [s.request.accepted for s in samples]
    )
    return measure_by_prompt(samples, np.array(places) < 1)


def evaluate_audio(folder: Path, judge: StyleJudge) -> list[Measure]:
    """Measure audio of any system: ``folder`` has a folder for each style or lead, named like it.

    Raises InvalidInput where there is no audio or a folder has another name, and InvalidAudio where
    a file cannot be read.
    """
    clips: list[FloatArray] = []
    accepted: list[tuple[str, ...]] = []
    for path in sorted(folder.glob("*/*.*")):
        wave = read_audio(path).resample(COMPACT_PARAMS.sample_rate)
        levels = log_mel(mel_spectrogram(wave, COMPACT_PARAMS).magnitudes).permute(2, 0, 1).numpy()
        starts = range(0, max(1, len(levels) - FRAMES + 1), FRAMES)
        clips += [make_judge_image(_pad_window(levels[start : start + FRAMES])) for start in starts]
        accepted += [(path.parent.name,)] * len(starts)
    unknown = sorted({name for (name,) in accepted} - {*judge.styles, *LEAD_FAMILIES})
    if not clips or unknown:
        hint = f"name its folders by styles the judge knows: {', '.join(judge.styles)}"
        raise InvalidInput("folder of audio", unknown or str(folder), hint)
    places = np.array(rank_accepted(judge, judge.predict(np.stack(clips)), accepted))
    chance = 1 / len(judge.styles)
    rows = [
        Measure("style named first", compute_share(places < 1), None, chance, len(clips)),
        Measure("style among first three", compute_share(places < 3), None, 3 * chance, len(clips)),
    ]
    names = np.array([name for (name,) in accepted])
    return rows + [
        Measure(f"  {n}", compute_share(places[names == n] < 1), clips=int((names == n).sum()))
        for n in sorted(set(names))
    ]


def _pad_window(levels: FloatArray) -> FloatArray:
    """Repeat the last frame up to the length of a window."""
    return np.pad(levels, ((0, FRAMES - len(levels)), (0, 0), (0, 0)), mode="edge")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m riffusion evaluate``."""
    parser.add_argument("model", type=Path, help="a model folder, or a folder of audio folders")
    parser.add_argument("--corpus", type=Path, required=True, help="made by `riffusion corpus`")
    parser.add_argument(
        "--judges", type=Path, help="folder of the judges (default: the corpus); trained if missing"
    )
    parser.add_argument("--judge-steps", type=int, help="to train each judge (default: enough)")
    parser.add_argument("--seeds", type=int, default=4, help="clips a prompt (default 4)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--quality", choices=get_args(Quality), default="live", help="of clips (default live)"
    )
    parser.add_argument(
        "--through",
        choices=CONTINUING_VOCODERS,
        help="judge the sound of clips and jams by this vocoder, not the clips as generated",
    )
    parser.add_argument("--json", type=Path, help="also write the rows here, and a PNG beside")
    parser.add_argument(
        "--group-styles",
        action="store_true",
        help="only group the judge's styles into families again, by validation renders",
    )


def main(args: argparse.Namespace) -> None:
    """Train the judges that are missing, measure and print the table."""
    judges = load_judges(args.corpus, args.judges or args.corpus, args.judge_steps)
    if args.group_styles:
        validation = Renders.draw(Corpus(args.corpus, "validation"), TEST_WINDOWS)
        for names in write_families(judges.style, validation):
            print(", ".join(names))
        return
    if (args.model / "config.json").exists():
        player = Player(args.model, args.quality, args.through)
        with open_generator(player, args.workers) as generator:
            splits = Splits.draw(args.corpus)
            styles, matched = judges.style.styles, splits.once_test.keep_full_arrangements()
            clips = count_clips(len(styles), len(matched), args.seeds)
            _print_duration(generator, clips, styles[0], args.workers)
            rows = evaluate_model(generator, judges, splits, args.seeds)
    else:
        rows = evaluate_audio(args.model, judges.style)
    print(format_table(rows))
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
        draw_measures(rows, args.json.with_suffix(".png"))


def _print_duration(generator: SampleGenerator, clips: int, style: str, workers: int) -> None:
    """Print how long the evaluation will take, from the time of one clip."""
    each_s = generator.measure_clip_s(make_requests([(style, ())], 1)[0])
    print(
        f"{clips} clips of {each_s:.1f} s on {workers} processes: about "
        f"{clips * each_s / workers / 60:.0f} minutes, and one or two for the judges",
        flush=True,
    )
