"""A critic that tells style and lead through noise, and by which a model is taught to be told.

Guidance amplifies what a model itself knows of a style, and that is learnt slowly: it has to draw
all of the music. A classifier of noisy images learns what tells styles apart in minutes, and
could lead every step of the sampler ("Diffusion Models Beat GANs on Image Synthesis", Dhariwal
and Nichol, 2021). Here it leads the training instead: what the model draws for a prompt, guided
as it will be and noisy again as the sampler's next step will be, is to be told as what the prompt
names. Playing costs nothing more. With the judges it shares the loop of the training and the form
of its file, neither the network nor what it hears.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from riffusion.engines.compact import COMPACT_PARAMS
from riffusion.training.captions import Named
from riffusion.training.dataset import FRAMES, Batch, Corpus
from riffusion.training.flow import Guess, Network, blend, random_times
from riffusion.training.hearing import load_named, save_named, train
from riffusion.training.instruments import LEAD_FAMILIES, lead_family
from riffusion.training.precision import fastest

BATCH = 32
STEPS = 2200
TAUGHT = 12  # windows of a batch
GUIDANCE = 3.0
RATE = 2e-3
WIDTHS = (48, 96, 160, 160, 224)
STRIDES = (2, 2, 1, 2)
FIRST_STRIDE = 4
TIMES = 32  # sines and cosines of the time
SOON = 0.4  # of what is left to go
UNNAMED = -100  # a style or lead that a caption does not name


@dataclass(frozen=True)
class Heard:
    """Scores (clips, styles) and (clips, families of leads)."""

    styles: torch.Tensor
    leads: torch.Tensor

    def error(self, styles: torch.Tensor, leads: torch.Tensor) -> torch.Tensor:
        """Mean cross entropy with the right classes (clips,), those ``UNNAMED`` left out."""
        return _error(self.styles, styles) + _error(self.leads, leads)


class Critic(nn.Module):
    """(batch, channels, mel, 512) noisy images and (batch,) times to what is heard in their
    loudness: the balance tells little."""

    def __init__(self, styles: list[str]) -> None:
        super().__init__()
        self.styles = styles
        rows = COMPACT_PARAMS.mel_bands // FIRST_STRIDE
        self.first = nn.Conv2d(1, WIDTHS[0], FIRST_STRIDE + 2, FIRST_STRIDE, 1)
        # Music moved in pitch is other music: a convolution alone would not know where it is.
        self.rows = nn.Parameter(torch.zeros(WIDTHS[0], rows, 1))
        self.layers = nn.ModuleList(
            _Layer(inputs, outputs, stride)
            for (inputs, outputs), stride in zip(pairwise(WIDTHS), STRIDES, strict=True)
        )
        self.style_scores = nn.Linear(2 * WIDTHS[-1], len(styles))
        self.lead_scores = nn.Linear(2 * WIDTHS[-1], len(LEAD_FAMILIES))

    def forward(self, noisy: torch.Tensor, times: torch.Tensor) -> Heard:
        # The deviation of an image and of noise is one, of their blend less.
        deviation = (times**2 + (1 - times) ** 2).sqrt()[:, None, None, None]
        turns = times[:, None] * torch.arange(1, TIMES // 2 + 1, device=times.device) * torch.pi
        waves = torch.cat([turns.cos(), turns.sin()], 1)
        x = self.first(noisy[:, :1] / deviation) + self.rows
        for layer in self.layers:
            x = layer(x, waves)
        seen = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return Heard(self.style_scores(seen), self.lead_scores(seen))

    def classes(
        self, named: Sequence[Named], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The numbers of the styles and of the leads, (captions,) each."""
        styles = [_number(self.styles, one.style) for one in named]
        leads = [_number(LEAD_FAMILIES, one.lead) for one in named]
        return torch.tensor(styles, device=device), torch.tensor(leads, device=device)


def _number(classes: Sequence[str], name: str | None) -> int:
    return classes.index(name) if name in classes else UNNAMED


class _Layer(nn.Module):
    """A convolution whose channels are scaled and moved by the time."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, inputs)
        self.convolve = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.by_time = nn.Linear(TIMES, 2 * inputs)
        nn.init.zeros_(self.by_time.weight)
        nn.init.zeros_(self.by_time.bias)

    def forward(self, x: torch.Tensor, waves: torch.Tensor) -> torch.Tensor:
        scale, shift = self.by_time(waves)[:, :, None, None].chunk(2, 1)
        moved: torch.Tensor = self.convolve(F.silu(self.norm(x) * (1 + scale) + shift))
        return moved


def _error(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    named = (right != UNNAMED).sum().clamp(min=1)
    summed = F.cross_entropy(scores.float(), right, ignore_index=UNNAMED, reduction="sum")
    return summed / named


def train_critic(corpus: Corpus, steps: int, seed: int = 3) -> Critic:
    """Train a critic on random windows of ``corpus``, which should be its training split."""
    torch.manual_seed(seed)
    rng, noise_rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    critic = Critic(sorted({song.style for song in corpus.songs}))
    styles = torch.tensor([critic.styles.index(song.style) for song in corpus.songs])
    leads = torch.tensor([LEAD_FAMILIES.index(lead_family(song.lead)) for song in corpus.songs])

    def error() -> torch.Tensor:
        picks = rng.integers(len(corpus.songs), size=BATCH)
        images = corpus.images(rng, picks)
        times = later(random_times(BATCH, noise_rng), noise_rng)
        with fastest("cpu"):
            heard: Heard = critic(blend(images, times, noise_rng), times)
        return heard.error(styles[picks], leads[picks])

    train(
        critic, error, steps, RATE, "training the critic", BATCH * FRAMES * COMPACT_PARAMS.frame_s
    )
    return critic


def later(times: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Times (batch,) soon after ``times``, as the sampler's next steps may be."""
    return times + (1 - times) * SOON * torch.rand(len(times), generator=rng).to(times.device)


def lesson(
    critic: Critic, network: Network, guessed: Guess, batch: Batch, rng: torch.Generator
) -> torch.Tensor:
    """How little the critic hears, in what the network makes of prompts, what they name.

    Of the first ``TAUGHT`` windows with a prompt and no context: the guided guess, noisy again.
    Zero where there are not so many.
    """
    conditioning = batch.conditioning
    alone = (conditioning.text_known[:, 0] > 0) & (conditioning.context.amax(1) == 0)
    picks = alone.nonzero()[:TAUGHT, 0]
    if len(picks) < TAUGHT:
        return guessed.clean.new_zeros(())
    times = guessed.times[picks]
    with torch.no_grad(), fastest(times.device.type):
        free = network(guessed.noisy[picks], times, conditioning.rows(picks).unguided()).float()
    guided = free + GUIDANCE * (guessed.clean[picks] - free)
    soon = later(times, rng)
    heard: Heard = critic(blend(guided, soon, rng), soon)
    return heard.error(*critic.classes([batch.named[n] for n in picks.tolist()], times.device))


def critic_of(corpus: Corpus, path: Path, steps: int = STEPS) -> Critic:
    """The critic in ``path``, trained on ``corpus`` and written there if it is missing.

    Raises ModelError where it is damaged.
    """
    if not path.exists():
        critic = train_critic(corpus, steps)
        save_named(critic, path, critic.styles)
    return load_named(Critic, path, "critic").requires_grad_(False)
