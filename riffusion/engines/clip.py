"""Clip requests: what an engine is asked to generate, as frozen data that checks itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from riffusion.engines.noise import MAX_SEED as MAX_SEED
from riffusion.engines.noise import LoopNoise as LoopNoise
from riffusion.engines.noise import NoisePlace as NoisePlace
from riffusion.errors import InvalidInput
from riffusion.spectral.spectrogram import Spectrogram

MAX_PROMPT_LENGTH = 2000
# With the shipped weights a scale of 8 follows prompts further than 6 does, and its clips are a
# little less like the training renders (docs/model.md).
DEFAULT_GUIDANCE = 8.0
# Eight second-order steps end as near to the limit of ever finer steps as twelve first-order ones
# do (docs/model.md).
DEFAULT_STEPS = 8
MAX_GUIDANCE = 30
MAX_STEPS = 1000
MAX_PROMPTS = 8
Quality = Literal["live", "fine"]


@dataclass(frozen=True)
class Prompt:
    """A text prompt with the seed of its noise.

    Parameters
    ----------
    text : str
        Description of the music, 1 to 2000 characters in any script. Surrounding white space is
        stripped.
    seed : int
        Seed of the noise that the denoiser starts from, 0 to 2**63 - 1. It means the same noise
        on every device.
    negative : str
        Description of what guidance leads away from. Empty means nothing in particular.

    Raises
    ------
    InvalidInput
        When the text is empty or too long, or the seed is not a whole number in its range.

    Examples
    --------
    >>> import riffusion
    >>> prompt = riffusion.Prompt("  church bells ", seed=7, negative="drums")
    >>> prompt.text, prompt.seed
    ('church bells', 7)
    """

    text: str
    seed: int = 0
    negative: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            hint = "describe some music, for example 'church bells'"
            raise InvalidInput("prompt", self.text, hint)
        if not isinstance(self.negative, str):
            raise InvalidInput("negative prompt", self.negative, "give text, or leave it out")
        for what, text in (("prompt", self.text), ("negative prompt", self.negative)):
            if len(text) > MAX_PROMPT_LENGTH:
                hint = f"has {len(text)} characters; use at most {MAX_PROMPT_LENGTH}"
                raise InvalidInput(what, text, hint)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise InvalidInput("seed", self.seed, "use a whole number, for example 42")
        if not 0 <= self.seed <= MAX_SEED:
            raise InvalidInput("seed", self.seed, f"use a whole number from 0 to {MAX_SEED}")
        object.__setattr__(self, "text", self.text.strip())
        object.__setattr__(self, "negative", self.negative.strip())


@dataclass(frozen=True)
class Controls:
    """Musical controls that the shipped engine is trained on.

    Parameters
    ----------
    density, brightness, drums : float or None
        How many onsets there are, how much high-frequency energy, and how loud the drums are, each
        from 0 to 1. None leaves the control to the prompt.

    Raises
    ------
    InvalidInput
        When a value is not a number from 0 to 1.

    Examples
    --------
    >>> import riffusion
    >>> riffusion.Controls(density=0.8)
    Controls(density=0.8, brightness=None, drums=None)
    """

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
    """The beat position and the chord of every frame of a clip.

    Parameters
    ----------
    beats : ndarray of float64, shape (frames,)
        Position of each frame in beats from the start of the track.
    beats_per_bar : int
        Number of beats in a bar.
    chroma : ndarray of float32, shape (frames, 12)
        1 where a pitch class (C first) belongs to the sounding chord and 0 elsewhere. A row of
        zeros leaves the harmony to the prompt.

    Examples
    --------
    A bar of four beats at 120 bpm is 200 frames of 10 ms, here over a C major chord:

    >>> import numpy as np
    >>> import riffusion
    >>> chroma = np.zeros((512, 12), np.float32)
    >>> chroma[:, [0, 4, 7]] = 1
    >>> sheet = riffusion.LeadSheet(np.arange(512) * 0.01 * 120 / 60, 4, chroma)
    >>> sheet.frames
    512
    """

    beats: npt.NDArray[np.float64]
    beats_per_bar: int
    chroma: npt.NDArray[np.float32]

    @property
    def frames(self) -> int:
        """The number of frames."""
        return len(self.beats)


@dataclass(frozen=True)
class Mix:
    """A semantic mix: the layout of an anchor with the content of a prompt.

    J. H. Liew, H. Yan, D. Zhou and J. Feng, "MagicMix: Semantic Mixing with Diffusion Models",
    arXiv 2210.16056. After the first step, and while more than ``until`` of the steps remain, the
    denoiser sees an interpolation of its own clip and the equally noisy anchor. The strength of
    the request is where mixing begins (k max in the paper), ``until`` where it ends (k min).
    Stable Diffusion checkpoints then continue from their own clip, as the original Riffusion's
    playground did; the shipped engine continues from the mix, as in the paper.

    Parameters
    ----------
    until : float
        The share of the steps that remain when mixing ends, 0 to 1.
    share : float
        The weight of the generated clip in the mix, 0 to 1; the rest is the anchor.

    Raises
    ------
    InvalidInput
        When a value is not a number from 0 to 1.

    Examples
    --------
    >>> import riffusion
    >>> mix = riffusion.Mix(until=0.25, share=0.5)
    >>> [mix.applies(step, steps=8) for step in (0, 5, 6)]
    [True, True, False]
    """

    until: float = 0.3
    share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("until", "share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(f"mix {name}", getattr(self, name), "use a number from 0 to 1")

    def applies(self, step: int, steps: int) -> bool:
        """Return whether the denoiser sees the mix in step ``step`` (from 0) of ``steps``."""
        return step < steps - int(self.until * steps)


@dataclass(frozen=True)
class WeightedPrompt:
    """A further prompt of a clip, beside those that the walk lies between.

    Parameters
    ----------
    prompt : Prompt
    weight : float
        Its weight where the walk has weight 1. It is over 0.

    Raises
    ------
    InvalidInput
        When the weight is not a finite number over 0.

    Examples
    --------
    >>> import riffusion
    >>> riffusion.WeightedPrompt(riffusion.Prompt("strings"), 0.5).weight
    0.5
    """

    prompt: Prompt
    weight: float = 1.0

    def __post_init__(self) -> None:
        is_number = isinstance(self.weight, int | float) and not isinstance(self.weight, bool)
        if not is_number or not 0 < self.weight < float("inf"):
            raise InvalidInput("weight of a prompt", self.weight, "use a number over 0")


@dataclass(frozen=True)
class ClipRequest:
    """One clip to generate, on a walk from one prompt to another.

    At ``alpha`` the text embeddings of ``start`` and ``end`` are interpolated linearly and their
    noises spherically. Where there are ``others``, the text is the weighted mean of all prompts and
    the noise their weighted sum at unit length.

    Parameters
    ----------
    start, end : Prompt
        The two ends of the walk. Give the same prompt twice for a clip of one prompt.
    alpha : float
        The position on the walk, from 0 (``start``) to 1 (``end``).
    bpm : float or None
        The tempo in beats per minute, or None to leave it to the prompt.
    controls : Controls
        Musical controls.
    lead_sheet : LeadSheet or None
        Beat and chord of each frame of the window.
    context : Spectrogram or None
        The first frames of the window, which sound already. They come back unchanged and the
        clip continues them. Their number must be a multiple of the engine's ``context_step``.
    anchor : Spectrogram or None
        A spectrogram of the whole window to start from instead of noise alone.
    strength : float
        How far the anchor is re-noised: 0 returns the anchor, 1 ignores it.
    mask : ndarray of float32, shape (mel bands, frames), or None
        1 where the anchor is repainted and 0 where it stays. It needs an anchor.
    guidance : float
        The scale of classifier-free guidance, 0 to 30.
    steps : int
        The number of steps of quality "fine", 1 to 1000.
    end_strength, end_guidance : float or None
        Strength and guidance at ``end`` when they differ from those at ``start``. They are
        interpolated linearly in ``alpha``.
    mix : Mix or None
        Holds on to the layout of the anchor. It needs an anchor.
    others : tuple of WeightedPrompt
        At most six further prompts.
    noise : LoopNoise or None
        The noise of the window in a loop. Without it, noise is drawn from the seeds alone.
    quality : {"live", "fine"}
        How the clip is made: by a model of few steps, where the engine has one, or in ``steps``.

    Raises
    ------
    InvalidInput
        When a value is outside its range, or a mask or mix has no anchor.

    Examples
    --------
    >>> import riffusion
    >>> bells, beats = riffusion.Prompt("church bells", 1), riffusion.Prompt("techno", 2)
    >>> request = riffusion.ClipRequest(bells, beats, alpha=0.25, bpm=120, end_guidance=4)
    >>> request.guidance_at_alpha
    7.0
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
    others: tuple[WeightedPrompt, ...] = ()
    noise: LoopNoise | None = None
    quality: Quality = "fine"

    def __post_init__(self) -> None:
        for name in ("alpha", "strength", "end_strength"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InvalidInput(name, value, "use a number from 0 to 1")
        for name in ("guidance", "end_guidance"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= MAX_GUIDANCE:
                raise InvalidInput(name, value, f"use a number from 0 to {MAX_GUIDANCE}")
        if not 1 <= self.steps <= MAX_STEPS:
            raise InvalidInput("steps", self.steps, f"use a whole number from 1 to {MAX_STEPS}")
        if self.mask is not None and self.anchor is None:
            raise InvalidInput("mask", "a mask without an anchor", "give the anchor it keeps")
        if self.mix is not None and self.anchor is None:
            raise InvalidInput("mix", "a mix without an anchor", "give the anchor to mix with")
        if len(self.others) > MAX_PROMPTS - 2:
            hint = f"use at most {MAX_PROMPTS}"
            raise InvalidInput("prompts of a clip", f"{len(self.others) + 2} prompts", hint)

    @property
    def strength_at_alpha(self) -> float:
        """The strength at ``alpha``, interpolated between both ends."""
        return self._lerp_in_alpha(self.strength, self.end_strength)

    @property
    def guidance_at_alpha(self) -> float:
        """The guidance scale at ``alpha``, interpolated between both ends."""
        return self._lerp_in_alpha(self.guidance, self.end_guidance)

    def _lerp_in_alpha(self, start: float, end: float | None) -> float:
        """Interpolate between the ends; ``end`` None is the same at both."""
        return start if end is None else (1 - self.alpha) * start + self.alpha * end
