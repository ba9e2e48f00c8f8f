"""The critics of a run, trained on the training split and kept beside the corpus."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from riffusion.training.corpus.dataset import Corpus
from riffusion.training.engine.critics.score import ScoreCritic, train_score_critic
from riffusion.training.engine.critics.style import StyleCritic, train_style_critic
from riffusion.training.evaluation.judge_training import load_weights

STYLE_STEPS, SCORE_STEPS = 2200, 2200


@dataclass(frozen=True)
class Critics:
    """A critic of style and lead, and one of beat and chords."""

    style: StyleCritic
    score: ScoreCritic

    def to(self, device: torch.device) -> Critics:
        """The same on another device."""
        return Critics(self.style.to(device), self.score.to(device))


def critics_of(corpus: Corpus, folder: Path, steps: int | None = None) -> Critics:
    """The critics in ``folder`` of the styles and the scale of ``corpus``; those missing are
    trained first and written there, with ``steps`` instead of the usual number for each.

    Raises ModelError where one is damaged.
    """
    styles = sorted({song.style for song in corpus.songs})
    style_path, score_path = (critic_path(corpus, folder, name) for name in ("style", "score"))
    if not style_path.exists():
        save_file(train_style_critic(corpus, steps or STYLE_STEPS).state_dict(), style_path)
    if not score_path.exists():
        save_file(train_score_critic(corpus, steps or SCORE_STEPS).state_dict(), score_path)
    critics = Critics(StyleCritic(styles), ScoreCritic())
    load_weights(critics.style.requires_grad_(False), style_path, "critic")
    load_weights(critics.score.requires_grad_(False), score_path, "critic")
    return critics


def critic_path(corpus: Corpus, folder: Path, name: str) -> Path:
    """Where the critic is kept: it hears images, and those of another scale would sound wrong."""
    styles = sorted({song.style for song in corpus.songs})
    heard = repr((styles, corpus.statistics.scale)).encode()
    return folder / f"{name}-critic-{hashlib.sha256(heard).hexdigest()[:16]}.safetensors"
