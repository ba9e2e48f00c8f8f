"""What a model learns from its critics: to be heard as it was asked."""

from __future__ import annotations

import torch

from riffusion.training.corpus.dataset import Batch
from riffusion.training.engine.critics.both import Critics
from riffusion.training.engine.critics.through_noise import later
from riffusion.training.engine.flow import Guess, Network, blend
from riffusion.training.precision import fastest

ALONE, CONTINUED = 12, 6  # windows of a batch that are taught
GUIDANCE = 3.0
SCORE_WEIGHT = 0.5  # beside style and lead


def lesson(
    critics: Critics, network: Network, guessed: Guess, batch: Batch, rng: torch.Generator
) -> torch.Tensor:
    """How little the critics hear, in what the network makes of what it is asked, of that.

    Of some prompted windows: the guided guess, noisy again. Style and lead are asked of those
    without a context only, since what went before may be other music; beat and chords of all
    frames that were not given. Zero where there are not enough windows.
    """
    conditioning = batch.conditioning
    prompted = conditioning.text_known[:, 0] > 0
    continued = conditioning.context.amax(1) > 0
    alone = (prompted & ~continued).nonzero()[:ALONE, 0]
    if len(alone) < ALONE:
        return guessed.clean.new_zeros(())
    picks = torch.cat([alone, (prompted & continued).nonzero()[:CONTINUED, 0]])
    asked = conditioning.rows(picks)
    times = guessed.times[picks]
    with torch.no_grad(), fastest(times.device.type):
        free = network(guessed.noisy[picks], times, asked.unguided()).float()
    guided = free + GUIDANCE * (guessed.clean[picks] - free)
    given = asked.context[:, None, None]
    soon = later(times, rng)
    noisy = blend(torch.where(given > 0, batch.images[picks], guided), soon, rng)
    named = [batch.named[n] for n in alone.tolist()]
    style = critics.style(noisy[:ALONE], soon[:ALONE])
    unheard: torch.Tensor = style.error(*critics.style.classes(named, times.device))
    score = critics.score(noisy, soon)
    missed = score.error(asked.lead_sheet, batch.pitched[picks], 1 - asked.context)
    error: torch.Tensor = unheard + SCORE_WEIGHT * missed
    return error
