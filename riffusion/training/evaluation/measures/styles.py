"""Rows about prompts: whether the music has the style and the lead of its prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from riffusion.music.instruments import LEAD_FAMILIES, lead_family
from riffusion.training.evaluation.families import load_families, sum_by_family
from riffusion.training.evaluation.measures.row import Measure, compute_share
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.samples import (
    Sample,
    SampleGenerator,
    make_matched_requests,
    make_requests,
)
from riffusion.training.evaluation.style_judge import StyleJudge, Verdict, make_judge_image

# These are the examples of the original Riffusion, and what the judge should rank first or second.
NAMED_PROMPTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("funky piano", ("piano", "electric piano", "funk")),
    ("jazzy saxophone", ("saxophone",)),
    ("church bells", ("bells", "church bells")),
    ("electronic beats", ("house", "techno", "trance", "eurodance", "drum and bass")),
    ("blues guitar", ("electric guitar", "distorted guitar", "acoustic guitar", "blues")),
    ("jazz piano", ("piano",)),
    ("afrobeat", ("afrobeat",)),
)
UNSEEN_PROMPTS = Path(__file__).parents[1] / "unseen_prompts.json"


def judge_samples(judge: StyleJudge, samples: Sequence[Sample]) -> Verdict:
    """Return the verdict of the judge on generated clips."""
    return judge.predict(np.stack([make_judge_image(sample.levels) for sample in samples]))


def rank_accepted(
    judge: StyleJudge, verdict: Verdict, right: Sequence[tuple[str, ...]]
) -> list[int]:
    """Return the rank (0 is first) of the first accepted name, with styles and leads ranked apart.

    It is the number of styles where the judge knows none of the names.
    """
    places = []
    for styles, leads, names in zip(verdict.styles, verdict.leads, right, strict=True):
        ranked = [_rank_names(styles, judge.styles), _rank_names(leads, list(LEAD_FAMILIES))]
        found = [order.index(n) for n in names for order in ranked if n in order]
        places.append(min(found, default=len(judge.styles)))
    return places


def _rank_names(scores: torch.Tensor, names: list[str]) -> list[str]:
    return [names[int(index)] for index in scores.argsort(descending=True)]


def measure_styles(judge: StyleJudge, test: Renders, samples: Sequence[Sample]) -> list[Measure]:
    """Measure the prompt match of clips whose prompt is the name of a style."""
    verdict, best_verdict = judge_samples(judge, samples), judge.predict(test.judge_images)
    asked = [sample.request.prompt for sample in samples]
    places, best = (
        np.array(rank_accepted(judge, said, [(style,) for style in truth]))
        for said, truth in ((verdict, asked), (best_verdict, test.styles))
    )
    families = load_families(judge.styles)
    family, best_family = (
        compute_share(_names_family(judge, said, truth, families))
        for said, truth in ((verdict, asked), (best_verdict, test.styles))
    )
    count, chance = len(samples), 1 / len(judge.styles)
    number = len(set(families.values()))
    return [
        Measure(
            "style named first", compute_share(places < 1), compute_share(best < 1), chance, count
        ),
        Measure(
            "style among first three",
            compute_share(places < 3),
            compute_share(best < 3),
            3 * chance,
            count,
        ),
        Measure(f"family named first, of {number}", family, best_family, 1 / number, count),
    ]


def measure_matched_styles(
    judge: StyleJudge, test: Renders, generator: SampleGenerator
) -> list[Measure]:
    """Measure the prompt match at tempo, metre and chords of renders with full arrangements.

    The ceiling is that of one window of each of these songs.
    """
    whole = test.keep_full_arrangements()
    samples = generator.clips(make_matched_requests(whole), "asked as renders")
    right = [(style,) for style in whole.styles]
    verdicts = (judge_samples(judge, samples), judge.predict(whole.judge_images))
    places, best = (np.array(rank_accepted(judge, said, right)) for said in verdicts)
    count, chance, like = len(samples), 1 / len(judge.styles), "tempo and chords of renders"
    return [
        Measure(
            f"{like}: style first",
            compute_share(places < 1),
            compute_share(best < 1),
            chance,
            count,
        ),
        Measure(
            f"{like}: first three",
            compute_share(places < 3),
            compute_share(best < 3),
            3 * chance,
            count,
        ),
    ]


def _names_family(
    judge: StyleJudge, verdict: Verdict, truth: Sequence[str], families: dict[str, int]
) -> npt.NDArray[np.bool_]:
    named = sum_by_family(verdict.styles, judge.styles, families).argmax(1).numpy()
    return np.asarray(named == np.array([families[style] for style in truth]))


def measure_prompts(
    judge: StyleJudge, test: Renders, generator: SampleGenerator, seeds: int
) -> list[Measure]:
    """Measure the original's seven prompts, and forty in wordings that the corpus does not have.

    The ceiling of a prompt is that of renders whose style or lead it accepts.
    """
    rows = []
    verdict = judge.predict(test.judge_images)
    for name, prompts, within in (
        ("seven known prompts, first or second", NAMED_PROMPTS, 2),
        ("unseen wording, named first", load_unseen_prompts(), 1),
    ):
        samples = generator.clips(make_requests(prompts, seeds), name)
        right = [sample.request.accepted for sample in samples]
        hits = np.array(rank_accepted(judge, judge_samples(judge, samples), right)) < within
        best = {
            prompt: _measure_ceiling(judge, verdict, test, names, within)
            for prompt, names in prompts
        }
        known = [value for value in best.values() if value is not None]
        ceiling = float(np.mean(known)) if known else None
        chance = float(np.mean([_compute_chance(judge, names, within) for names in right]))
        rows.append(Measure(name, compute_share(hits), ceiling, chance, len(samples)))
        if within == 2:
            rows += measure_by_prompt(samples, hits, best)
    return rows


def _measure_ceiling(
    judge: StyleJudge, verdict: Verdict, test: Renders, names: Sequence[str], within: int
) -> float | None:
    """Return how often the accepted name of a render ranks first, over renders that have one."""
    songs = [test.song(n) for n in range(len(test))]
    fitting = [tuple({s.style, lead_family(s.lead)} & set(names)) for s in songs]
    hits = np.array(rank_accepted(judge, verdict, fitting)) < within
    asked = np.array([bool(one) for one in fitting])
    return compute_share(hits[asked]) if asked.any() else None


def load_unseen_prompts() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return prompts in wordings that the corpus does not have, and the styles they accept."""
    listing = json.loads(UNSEEN_PROMPTS.read_text())
    return tuple((entry["prompt"], tuple(entry["styles"])) for entry in listing)


def _compute_chance(judge: StyleJudge, names: Sequence[str], within: int) -> float:
    """Return the probability that random orders of styles and leads rank one of ``names`` first.

    It is that of a rank below ``within``.
    """
    missed = 1.0
    for classes in (judge.styles, LEAD_FAMILIES):
        known = len(set(names) & set(classes))
        for place in range(min(within, len(classes))):
            missed *= max(0.0, 1 - known / (len(classes) - place))
    return 1 - missed


def measure_by_prompt(
    samples: Sequence[Sample],
    hits: npt.NDArray[np.bool_],
    ceilings: Mapping[str, float | None] = MappingProxyType({}),
) -> list[Measure]:
    """Return a row for each prompt."""
    prompts = np.array([sample.request.prompt for sample in samples])
    rows = []
    for prompt in dict.fromkeys(prompts.tolist()):
        own = hits[prompts == prompt]
        rows.append(
            Measure(f"  {prompt}", compute_share(own), ceilings.get(prompt), clips=len(own))
        )
    return rows
