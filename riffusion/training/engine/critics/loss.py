"""The loss by which a model learns from its critics to generate what its conditioning asks."""

from __future__ import annotations

import torch

from riffusion.training.corpus.windows import Batch
from riffusion.training.engine.critics.critic_training import draw_later_times
from riffusion.training.engine.critics.loading import Critics
from riffusion.training.engine.flow import DenoisedBatch, Network, add_noise
from riffusion.training.precision import choose_autocast

# The loss is that of at most so many windows of a batch: without a context, and with one.
ALONE, CONTINUED = 12, 6
GUIDANCE = 3.0
LEAD_SHEET_WEIGHT = 0.5  # beside style and lead


def critic_loss(
    critics: Critics, network: Network, denoised: DenoisedBatch, batch: Batch, rng: torch.Generator
) -> torch.Tensor:
    """Return how unlikely the conditioning is, given what the network generates for it.

    The critics get the guided estimate of some windows with a prompt, noisy again. Style and lead
    count for windows without a context only, since a context may be other music; beat and chords
    count for all frames outside the context. The loss is zero where there are not enough windows.
    """
    conditioning = batch.conditioning
    prompted = conditioning.text_known[:, 0] > 0
    continued = conditioning.context.amax(1) > 0
    alone = (prompted & ~continued).nonzero()[:ALONE, 0]
    if len(alone) < ALONE:
        return denoised.clean.new_zeros(())
    picks = torch.cat([alone, (prompted & continued).nonzero()[:CONTINUED, 0]])
    chosen = conditioning.rows(picks)
    times = denoised.times[picks]
    with torch.no_grad(), choose_autocast(times.device.type):
        free = network(denoised.noisy[picks], times, chosen.unguided()).float()
    guided = free + GUIDANCE * (denoised.clean[picks] - free)
    given = chosen.context[:, None, None]
    soon = draw_later_times(times, rng)
    noisy = add_noise(torch.where(given > 0, batch.images[picks], guided), soon, rng)
    labels = [batch.labels[n] for n in alone.tolist()]
    style = critics.style(noisy[:ALONE], soon[:ALONE])
    style_error = style.error(*critics.style.find_classes(labels, times.device))
    lead_sheet = critics.lead_sheet(noisy, soon)
    lead_sheet_error = lead_sheet.error(chosen.lead_sheet, batch.pitched[picks], 1 - chosen.context)
    total: torch.Tensor = style_error + LEAD_SHEET_WEIGHT * lead_sheet_error
    return total
