"""Fit the patterns of metre and key: ``python -m riffusion train-analysis FOLDER``.

Both are logistic regressions over candidates, of which one is right, with a penalty on the squares
of the weights, and in bars on the squares of differences of neighbours: what is heard a twelfth of
a beat later means about the same. There are some 700 weights, so some hundred songs are enough.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from riffusion.analysis.metre import HARMONICS
from riffusion.analysis.onsets import CURVES
from riffusion.analysis.patterns import SHIPPED, STEPS, Patterns, save_patterns
from riffusion.analysis.pitch import SEMITONES
from riffusion.audio.progress import progress
from riffusion.training.analysis.examples import (
    BarExample,
    KeyExample,
    make_bar_examples,
    make_key_examples,
)
from riffusion.training.analysis.songs import read_known_songs
from riffusion.training.corpus.build import SONG_S

BAR_PENALTY, STEP_PENALTY, PULSE_PENALTY, KEY_PENALTY = 4e-3, 1e-2, 4e-4, 3e-3
ITERATIONS = 120
TEMPO_WEIGHTS = 2
EACH_BEAT = 6  # candidates


def fit(weights: Sequence[torch.Tensor], loss: Callable[[], torch.Tensor]) -> None:
    """Minimise ``loss`` over ``weights`` by L-BFGS."""
    for weight in weights:
        weight.requires_grad_()
    optimizer = torch.optim.LBFGS(list(weights), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]


def penalize_bar(pattern: torch.Tensor) -> torch.Tensor:
    """Return the penalty of a pattern (curves, steps), whose last step is beside its first."""
    steps = pattern - pattern.roll(1, dims=1)
    return BAR_PENALTY * pattern.square().sum() + STEP_PENALTY * steps.square().sum()


def fit_bars(examples: Sequence[BarExample]) -> dict[str, torch.Tensor]:
    """Return the weights of bars, pulse and tempo, by name."""
    bars = [
        torch.cat([torch.from_numpy(e.bars[metre]).flatten(0, 1) for e in examples])
        for metre in range(2)
    ]
    general = torch.cat([torch.from_numpy(e.general) for e in examples])
    counts = [len(e.general) for e in examples]
    patterns = [torch.zeros(CURVES * STEPS * beats) for beats in (3, 4)]
    pulse, tempo, waltz = (torch.zeros(n) for n in (CURVES * len(HARMONICS), TEMPO_WEIGHTS, 1))

    def loss() -> torch.Tensor:
        beside = (general @ torch.cat([pulse, tempo]))[:, None]
        three = (bars[0] @ patterns[0]).view(len(general), -1) + beside + waltz
        four = (bars[1] @ patterns[1]).view(len(general), -1) + beside
        total = torch.zeros(())
        for example, a, b in zip(
            examples, torch.split(three, counts), torch.split(four, counts), strict=True
        ):
            right = (a, b)[example.metre][example.tempo, 0]
            total = total + torch.cat([a.flatten(), b.flatten()]).logsumexp(0) - right
        penalty = sum(penalize_bar(pattern.view(CURVES, -1)) for pattern in patterns)
        return total / len(examples) + penalty + PULSE_PENALTY * pulse.square().sum()

    fit([*patterns, pulse, tempo, waltz], loss)
    return {
        "three": patterns[0].view(CURVES, -1),
        "four": patterns[1].view(CURVES, -1),
        "pulse": pulse.view(CURVES, -1),
        "tempo": tempo,
        "waltz": waltz,
    }


def fit_keys(examples: Sequence[KeyExample]) -> dict[str, torch.Tensor]:
    """Return the weights of keys, by name."""
    heard = torch.stack([torch.from_numpy(e.pitch_classes) for e in examples])
    right = torch.tensor([e.key for e in examples])
    key, mode = torch.zeros(2, heard.shape[2]), torch.zeros(2)

    def loss() -> torch.Tensor:
        scores = (heard @ key.T + mode).transpose(1, 2).reshape(-1, 2 * SEMITONES)
        return F.cross_entropy(scores, right) + KEY_PENALTY * key.square().sum()

    fit([key, mode], loss)
    return {"key": key, "mode": mode}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m riffusion train-analysis``."""
    parser.add_argument("folder", type=Path, help="songs by corpus-sound --split train")
    parser.add_argument("--seed", type=int, default=0, help="that of the songs (default 0)")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where the patterns go")


def main(args: argparse.Namespace) -> None:
    """Fit the patterns on the songs of a folder, and write them."""
    bars: list[BarExample] = []
    keys: list[KeyExample] = []
    songs = len(list(args.folder.glob("*.flac")))
    with progress("songs", songs * SONG_S) as advance:
        for song in read_known_songs(args.folder, args.seed):
            bars += make_bar_examples(song)
            keys += make_key_examples(song)
            advance(song.sound.duration_s)
    weights = {**fit_bars(bars), **fit_keys(keys)}
    patterns = {name: weight.detach().double().numpy() for name, weight in weights.items()}
    save_patterns(Patterns(**patterns), args.out)
