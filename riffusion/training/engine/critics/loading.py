"""The critics of a run, trained on the training split and stored beside the corpus."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from riffusion.training.corpus.dataset import Corpus
from riffusion.training.engine.critics.lead_sheet import LeadSheetCritic, train_lead_sheet_critic
from riffusion.training.engine.critics.style import StyleCritic, train_style_critic
from riffusion.training.evaluation.judge_training import load_weights

STYLE_STEPS, LEAD_SHEET_STEPS = 2200, 2200


@dataclass(frozen=True)
class Critics:
    """The critic of style and lead, and that of beat and chords."""

    style: StyleCritic
    lead_sheet: LeadSheetCritic

    def to(self, device: torch.device) -> Critics:
        """Return the same critics on another device."""
        return Critics(self.style.to(device), self.lead_sheet.to(device))


def load_critics(corpus: Corpus, folder: Path, steps: int | None = None) -> Critics:
    """Return the critics in ``folder`` for the styles and the image scale of ``corpus``.

    Missing ones are trained first and written there, with ``steps`` instead of the usual number.
    Raises ModelError where one is damaged.
    """
    styles = sorted({song.style for song in corpus.songs})
    style_path, score_path = (get_critic_path(corpus, folder, name) for name in ("style", "score"))
    if not style_path.exists():
        save_file(train_style_critic(corpus, steps or STYLE_STEPS).state_dict(), style_path)
    if not score_path.exists():
        save_file(
            train_lead_sheet_critic(corpus, steps or LEAD_SHEET_STEPS).state_dict(), score_path
        )
    critics = Critics(StyleCritic(styles), LeadSheetCritic())
    load_weights(critics.style.requires_grad_(False), style_path, "critic")
    load_weights(critics.lead_sheet.requires_grad_(False), score_path, "critic")
    return critics


def get_critic_path(corpus: Corpus, folder: Path, name: str) -> Path:
    """Return the path of a critic; it depends on the styles and the scale of the images."""
    styles = sorted({song.style for song in corpus.songs})
    inputs = repr((styles, corpus.statistics.scale)).encode()
    return folder / f"{name}-critic-{hashlib.sha256(inputs).hexdigest()[:16]}.safetensors"
