"""What is asked of an engine and what comes back: frozen data, no behaviour beyond checks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from riffusion.errors import InvalidInput
from riffusion.spectral.spectrogram import Spectrogram

MAX_PROMPT_LENGTH = 2000
MAX_SEED = 2**63 - 1
# With the shipped weights 8 follows prompts further than 6, and is a little less like renders
# (docs/model.md).
DEFAULT_GUIDANCE = 8.0
# As near to where the finest steps lead as twelve first-order ones (docs/model.md).
DEFAULT_STEPS = 8
MAX_GUIDANCE = 30


@dataclass(frozen=True)
class Prompt:
    """What to play and which noise to start from. Text is stripped; it may be in any script.

    ``negative`` says what not to play; empty for nothing in particular.
    """

    text: str
    seed: int = 0
    negative: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            legal = "describe some music, for example 'church bells'"
            raise InvalidInput("prompt", self.text, legal)
        if not isinstance(self.negative, str):
            raise InvalidInput("negative prompt", self.negative, "give text, or leave it out")
        for what, text in (("prompt", self.text), ("negative prompt", self.negative)):
            if len(text) > MAX_PROMPT_LENGTH:
                legal = f"has {len(text)} characters; use at most {MAX_PROMPT_LENGTH}"
                raise InvalidInput(what, text, legal)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise InvalidInput("seed", self.seed, "use a whole number, for example 42")
        if not 0 <= self.seed <= MAX_SEED:
            raise InvalidInput("seed", self.seed, f"use a whole number from 0 to {MAX_SEED}")
        object.__setattr__(self, "text", self.text.strip())
        object.__setattr__(self, "negative", self.negative.strip())


@dataclass(frozen=True)
class Controls:
    """Musical controls, each 0 to 1, or None to leave it to the prompt."""

    density: float | None = None
    brightness: float | None = None
    drums: float | None = None

    def __post_init__(self) -> None:
        for name in ("density", "brightness", "drums"):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise InvalidInput(name, value, "use a number from 0 to 1, or leave it out")


@dataclass(frozen=True)
class LeadSheet:
    """Where the beat and the harmony are, frame by frame. Arrays are read-only.

    ``beats``: float64 (frames,), position in beats from the start of the track.
    ``beats_per_bar``: beats in a bar.
    ``chroma``: float32 (frames, 12), 1 where a pitch class (C first) belongs to the chord that
    sounds, all 0 where no chord is asked for.
    """

    beats: npt.NDArray[np.float64]
    beats_per_bar: int
    chroma: npt.NDArray[np.float32]

    @property
    def frames(self) -> int:
        return len(self.beats)


@dataclass(frozen=True)
class Mix:
    """The layout of an anchor with the content of a prompt.

    J. H. Liew, H. Yan, D. Zhou and J. Feng, "MagicMix: Semantic Mixing with Diffusion Models",
    arXiv 2210.16056. After the first step and while more than ``until`` of the steps are to go,
    the denoiser sees ``share`` of its own clip and the rest of the anchor, equally noisy. The
    request's strength is where it begins (k max), ``until`` where mixing ends (k min). Stable
    Diffusion checkpoints go on from their own clip, as the original Riffusion's playground did,
    the shipped engine from the mix, as the paper has it.
    """

    until: float = 0.3
    share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("until", "share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(f"mix {name}", getattr(self, name), "use a number from 0 to 1")

    def applies(self, step: int, steps: int) -> bool:
        """Whether step ``step`` of the whole ``steps``, the first being 0, sees the mix."""
        return step < steps - int(self.until * steps)


@dataclass(frozen=True)
class ClipRequest:
    """One clip to generate.

    Conditioning is a walk from ``start`` to ``end`` at ``alpha``: text lerps, noise slerps.
    ``context``: the first frames of the window, already sounding, to be continued unchanged.
    ``anchor``: a spectrogram of the whole window to start from, re-noised by ``strength``
    (1 ignores the anchor, 0 returns it). ``mask``: float32 (mel, frames), 1 = repaint, 0 = keep
    the anchor. ``guidance`` is the classifier-free guidance scale, ``steps`` the denoiser
    evaluations. ``end_strength`` and ``end_guidance`` are those of the other end of the walk,
    where they differ: both lerp in ``alpha`` too. ``mix`` holds on to the anchor's layout.
    """

    start: Prompt
    end: Prompt
    alpha: float = 0.0
    bpm: float | None = None
    controls: Controls = field(default_factory=Controls)
    lead_sheet: LeadSheet | None = None
    context: Spectrogram | None = None
    anchor: Spectrogram | None = None
    strength: float = 1.0
    mask: npt.NDArray[np.float32] | None = None
    guidance: float = DEFAULT_GUIDANCE
    steps: int = DEFAULT_STEPS
    end_strength: float | None = None
    end_guidance: float | None = None
    mix: Mix | None = None

    def __post_init__(self) -> None:
        for name in ("alpha", "strength", "end_strength"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InvalidInput(name, value, "use a number from 0 to 1")
        for name in ("guidance", "end_guidance"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= MAX_GUIDANCE:
                raise InvalidInput(name, value, f"use a number from 0 to {MAX_GUIDANCE}")
        if not 1 <= self.steps <= 1000:
            raise InvalidInput("steps", self.steps, "use a whole number from 1 to 1000")
        if self.mask is not None and self.anchor is None:
            raise InvalidInput("mask", "a mask without an anchor", "give the anchor it keeps")
        if self.mix is not None and self.anchor is None:
            raise InvalidInput("mix", "a mix without an anchor", "give the anchor to mix with")

    @property
    def walked_strength(self) -> float:
        """The strength at ``alpha``."""
        return self._walked(self.strength, self.end_strength)

    @property
    def walked_guidance(self) -> float:
        """The guidance at ``alpha``."""
        return self._walked(self.guidance, self.end_guidance)

    def _walked(self, start: float, end: float | None) -> float:
        return start if end is None else (1 - self.alpha) * start + self.alpha * end
