"""Rows about prompts: is the music what its prompt says?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from riffusion.music.instruments import LEAD_FAMILIES, lead_family
from riffusion.training.evaluation.families import family_scores, style_families
from riffusion.training.evaluation.judge import Judge, Verdict, impression
from riffusion.training.evaluation.measures.row import Measure, share
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.samples import Sample, Studio, ask, ask_like

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
UNSEEN_PROMPTS = Path(__file__).parents[1] / "unseen_prompts.json"


def heard(judge: Judge, samples: Sequence[Sample]) -> Verdict:
    """The judge's verdict on generated clips."""
    return judge.listen(np.stack([impression(sample.levels) for sample in samples]))


def rank_of_right(judge: Judge, verdict: Verdict, right: Sequence[tuple[str, ...]]) -> list[int]:
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


def style_rows(judge: Judge, test: Renders, samples: Sequence[Sample]) -> list[Measure]:
    """Prompt match of clips that were asked for by a style's name."""
    verdict, best_verdict = heard(judge, samples), judge.listen(test.impressions)
    asked = [sample.asked.prompt for sample in samples]
    places, best = (
        np.array(rank_of_right(judge, said, [(style,) for style in truth]))
        for said, truth in ((verdict, asked), (best_verdict, test.styles))
    )
    families = style_families(judge.styles)
    family, best_family = (
        share(_names_family(judge, said, truth, families))
        for said, truth in ((verdict, asked), (best_verdict, test.styles))
    )
    count, chance = len(samples), 1 / len(judge.styles)
    number = len(set(families.values()))
    return [
        Measure("style named first", share(places < 1), share(best < 1), chance, count),
        Measure("style among first three", share(places < 3), share(best < 3), 3 * chance, count),
        Measure(f"family named first, of {number}", family, best_family, 1 / number, count),
    ]


def matched_rows(judge: Judge, test: Renders, studio: Studio) -> list[Measure]:
    """Prompt match beside renders of the same tempo, metre and chords: of whole bands, one window
    a song."""
    whole = test.whole()
    samples = studio.clips(ask_like(whole), "asked as renders")
    right = [(style,) for style in whole.styles]
    verdicts = (heard(judge, samples), judge.listen(whole.impressions))
    places, best = (np.array(rank_of_right(judge, said, right)) for said in verdicts)
    count, chance, like = len(samples), 1 / len(judge.styles), "tempo and chords of renders"
    return [
        Measure(f"{like}: style first", share(places < 1), share(best < 1), chance, count),
        Measure(f"{like}: first three", share(places < 3), share(best < 3), 3 * chance, count),
    ]


def _names_family(
    judge: Judge, verdict: Verdict, truth: Sequence[str], families: dict[str, int]
) -> npt.NDArray[np.bool_]:
    named = family_scores(verdict.styles, judge.styles, families).argmax(1).numpy()
    return np.asarray(named == np.array([families[style] for style in truth]))


def prompt_rows(judge: Judge, test: Renders, studio: Studio, seeds: int) -> list[Measure]:
    """The original's seven prompts, and forty in wording the corpus never used.

    The ceiling of a prompt is the same of renders in a style, or with a lead, that would do.
    """
    rows = []
    verdict = judge.listen(test.impressions)
    for name, prompts, within in (
        ("seven known prompts, first or second", NAMED_PROMPTS, 2),
        ("unseen wording, named first", unseen_prompts(), 1),
    ):
        samples = studio.clips(ask(prompts, seeds), name)
        right = [sample.asked.right for sample in samples]
        hits = np.array(rank_of_right(judge, heard(judge, samples), right)) < within
        best = {prompt: _ceiling(judge, verdict, test, names, within) for prompt, names in prompts}
        known = [value for value in best.values() if value is not None]
        ceiling = float(np.mean(known)) if known else None
        chance = float(np.mean([_chance(judge, names, within) for names in right]))
        rows.append(Measure(name, share(hits), ceiling, chance, len(samples)))
        if within == 2:
            rows += by_prompt(samples, hits, best)
    return rows


def _ceiling(
    judge: Judge, verdict: Verdict, test: Renders, names: Sequence[str], within: int
) -> float | None:
    """How often what a render is comes first, of renders that are one of ``names``."""
    songs = [test.song(n) for n in range(len(test))]
    fitting = [tuple({s.style, lead_family(s.lead)} & set(names)) for s in songs]
    hits = np.array(rank_of_right(judge, verdict, fitting)) < within
    asked = np.array([bool(one) for one in fitting])
    return share(hits[asked]) if asked.any() else None


def unseen_prompts() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Prompts in wording the corpus never used, and the styles that would do."""
    listing = json.loads(UNSEEN_PROMPTS.read_text())
    return tuple((entry["prompt"], tuple(entry["styles"])) for entry in listing)


def _chance(judge: Judge, names: Sequence[str], within: int) -> float:
    """That one of ``names`` is among the first of a random order of styles, and of leads."""
    missed = 1.0
    for classes in (judge.styles, LEAD_FAMILIES):
        known = len(set(names) & set(classes))
        for place in range(min(within, len(classes))):
            missed *= max(0.0, 1 - known / (len(classes) - place))
    return 1 - missed


def by_prompt(
    samples: Sequence[Sample],
    hits: npt.NDArray[np.bool_],
    ceilings: Mapping[str, float | None] = MappingProxyType({}),
) -> list[Measure]:
    """A row a prompt."""
    prompts = np.array([sample.asked.prompt for sample in samples])
    rows = []
    for prompt in dict.fromkeys(prompts.tolist()):
        own = hits[prompts == prompt]
        rows.append(Measure(f"  {prompt}", share(own), ceilings.get(prompt), clips=len(own)))
    return rows
