"""What a student of few steps learns from: windows as a jam asks for them, and the teacher's steps.

A lesson is the conditioning of a batch, as ``windows`` draws it, and more of what a jam asks for:
prompts between two captions, clips that start from an anchor, and clips that continue what the
student itself has made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F

from riffusion.engines.compact.features import lead_sheet_features
from riffusion.engines.compact.network import BEAT_KNOWN, CHORDS, TURNS, Conditioning
from riffusion.engines.compact.sampler import Denoised, advance, guidance_at
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.corpus.windows import MAX_CONTEXT, PATCH, Batch, draw_batch
from riffusion.training.engine.flow import BALANCE_WEIGHT, MIN_TIME_LEFT, Network
from riffusion.training.precision import choose_autocast

# The shares of lessons that begin with an anchor, and of those that continue the one before.
ANCHORED, CONTINUED = 0.15, 0.4
# The shares of prompts that lie between two captions, and of those that change in a continuation.
BLENDED, CHANGED = 0.25, 0.3
MIN_CONTEXT = 12  # patches, of a continuation
MAX_START = 0.8  # of an anchor; beyond it, hardly anything is left to draw
# The steps of the teacher for each one of the student, and for its last one, which draws the
# detail: with two there, clips are less sharp than those of the teacher's own eight steps.
TEACHER_STEPS, LAST_TEACHER_STEPS = 2, 4
# The weight of the error of detail beside that of the velocity; detail is measured over squares of
# so many bands and frames.
DETAIL_WEIGHT = 1.0
DETAIL_SIZE = 8
FAINTEST_DETAIL = 1e-4


@dataclass(frozen=True)
class Lesson:
    """A batch of clips to generate.

    ``known`` (batch, channels, mel, frames) holds the contexts, and anchors where ``start``, the
    time at which sampling begins, is above 0. ``songs`` and ``begins`` say which frames of the
    corpus the lead sheets belong to.
    """

    known: torch.Tensor
    conditioning: Conditioning
    start: float
    songs: tuple[int, ...]
    begins: tuple[int, ...]

    @property
    def given(self) -> torch.Tensor:
        """Where the context is: boolean, (batch, 1, 1, frames)."""
        return self.conditioning.context[:, None, None, :] > 0

    def begin(self, rng: torch.Generator) -> torch.Tensor:
        """Return the noisy images that sampling begins with."""
        noise = torch.randn(self.known.shape, generator=rng).to(self.known.device)
        return self.start * self.known + (1 - self.start) * noise if self.start else noise

    def to(self, device: torch.device) -> Lesson:
        """Return the same on another device."""
        known, conditioning = self.known.to(device), self.conditioning.to(device)
        return replace(self, known=known, conditioning=conditioning)


def draw_lesson(corpus: Corpus, rng: np.random.Generator, size: int) -> Lesson:
    """Return a lesson of ``size`` random windows of ``corpus``."""
    batch: Batch = draw_batch(corpus, rng, size)
    conditioning = _blend_prompts(batch.conditioning, rng, BLENDED)
    start = MAX_START * float(rng.random()) if rng.random() < ANCHORED else 0.0
    return Lesson(batch.images, conditioning, start, batch.songs, batch.begins)


def continue_lesson(
    corpus: Corpus, lesson: Lesson, images: torch.Tensor, rng: np.random.Generator
) -> Lesson:
    """Return a lesson whose contexts are the last frames of ``images``, made in ``lesson``.

    Beats and chords go on as in the songs; some of the prompts change, as they do in a jam.
    """
    length = PATCH * int(rng.integers(MIN_CONTEXT, MAX_CONTEXT + 1))
    known, context = torch.zeros_like(images), torch.zeros(len(images), FRAMES)
    known[..., :length], context[:, :length] = images[..., -length:], 1.0
    begins = tuple(begin + FRAMES - length for begin in lesson.begins)
    before = lesson.conditioning.to(torch.device("cpu"))
    sheets = torch.stack(
        [
            lead_sheet_features(corpus.lead_sheet(corpus.songs[song], begin, FRAMES), FRAMES)
            for song, begin in zip(lesson.songs, begins, strict=True)
        ]
    )
    sheets[..., TURNS] *= before.lead_sheet[:, -1:, BEAT_KNOWN, None]
    sheets[..., BEAT_KNOWN] *= before.lead_sheet[:, -1:, BEAT_KNOWN]
    sheets[..., CHORDS] *= before.lead_sheet[..., CHORDS].amax((1, 2), keepdim=True)
    conditioning = replace(before, lead_sheet=sheets, context=context)
    conditioning = _blend_prompts(conditioning, rng, CHANGED)
    return Lesson(known.cpu(), conditioning, 0.0, lesson.songs, begins)


def _blend_prompts(
    conditioning: Conditioning, rng: np.random.Generator, share: float
) -> Conditioning:
    """Return the same with a ``share`` of the prompts moved towards another one of the batch."""
    size = len(conditioning.text)
    others = torch.from_numpy(rng.permutation(size))
    chosen = torch.from_numpy((rng.random((size, 1)) < share).astype(np.float32))
    both = chosen * conditioning.text_known * conditioning.text_known[others]
    weight = both * torch.from_numpy(rng.random((size, 1), np.float32))
    return replace(
        conditioning, text=torch.lerp(conditioning.text, conditioning.text[others], weight)
    )


@torch.no_grad()
def teach(
    teacher: Network,
    lesson: Lesson,
    image: torch.Tensor,
    now: float,
    following: float,
    scale: float,
) -> torch.Tensor:
    """Return the clean image with which one step leads where guided ones of ``teacher`` lead.

    The steps go from ``image`` at time ``now`` to time ``following``: Salimans and Ho,
    "Progressive Distillation for Fast Sampling of Diffusion Models", 2022, with the guidance
    distilled at once: Meng et al., "On Distillation of Guided Diffusion Models", 2023.
    """
    both = lesson.conditioning.joined(lesson.conditioning.unguided())
    moved, before = image, None
    parts = LAST_TEACHER_STEPS if following >= 1 else TEACHER_STEPS
    for at, then in pairwise(np.linspace(now, following, parts + 1).tolist()):
        moved = torch.where(lesson.given, lesson.known, moved)
        with choose_autocast(moved.device.type):
            rows = teacher(torch.cat([moved, moved]), moved.new_full((2 * len(moved),), at), both)
        prompted, free = rows.float().chunk(2)
        clean = free + guidance_at(scale, at) * (prompted - free)
        denoised = Denoised(at, clean)
        moved = advance(moved, denoised, then, before)
        before = denoised
    left = (1 - following) / (1 - now)
    return (moved - left * image) / (1 - left)


def lesson_loss(
    clean: torch.Tensor, wanted: torch.Tensor, lesson: Lesson, now: float
) -> torch.Tensor:
    """Return the error of a student's clean images, as a mean outside the context.

    It is the squared error of the velocity, and how much the local detail differs in strength: the
    squared error alone is least where the student blurs what it is not sure about.
    """
    shares = torch.tensor([1.0, BALANCE_WEIGHT], device=clean.device)[: clean.shape[1]]
    weight = shares[:, None, None] * ~lesson.given
    left = max(1 - now, MIN_TIME_LEFT)
    squared = ((clean - wanted) ** 2 * weight).sum() / weight.expand_as(clean).sum() / left**2
    return squared + DETAIL_WEIGHT / left * detail_error(clean[:, :1], wanted[:, :1], lesson.given)


def detail_error(clean: torch.Tensor, wanted: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Return the mean difference between the local strengths of detail of two batches of images.

    Detail is the difference of neighbouring bands and of neighbouring frames; its strength is the
    root mean square over a few of them. It does not matter where in there the detail is.
    """
    total = clean.new_zeros(())
    for axis in (2, 3):
        strengths = []
        for images in (clean, wanted):
            squares = F.avg_pool2d(images.diff(dim=axis).square(), DETAIL_SIZE, DETAIL_SIZE // 2)
            strengths.append((squares + FAINTEST_DETAIL).sqrt())
        free = 1 - F.max_pool2d(
            given.to(clean).expand_as(clean).narrow(axis, 0, clean.shape[axis] - 1),
            DETAIL_SIZE,
            DETAIL_SIZE // 2,
        )
        total = total + ((strengths[0] - strengths[1]).abs() * free).sum() / free.sum().clamp(min=1)
    return total
