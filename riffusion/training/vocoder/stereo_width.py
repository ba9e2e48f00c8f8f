"""A correction of the stereo width of a trained vocoder."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from riffusion.spectral.spectrogram import mel_bank
from riffusion.training.vocoder.data import VocoderBatch
from riffusion.training.vocoder.losses import TINY
from riffusion.vocoder.network import VocoderNetwork


@torch.no_grad()
def match_stereo_width(network: VocoderNetwork, batches: Iterable[VocoderBatch]) -> None:
    """Make the predicted sides as loud as those of the median crop, by a bias, in place.

    The network learns the median of each level, and the energy of music exceeds that of its
    medians: without the correction the music is a little narrow. It is one number for all bands, in
    the bias of the last layer. A mel spectrogram does not tell how wide a single song is, and the
    mean over songs is that of the widest ones.
    """
    bank = mel_bank(network.params).to(network.sides_bias.device)
    ratios = []
    for batch in batches:
        power = bank @ batch.middle.abs().square()
        wanted, predicted = (
            (power * 10 ** (2 * sides)).sum((1, 2)) + TINY
            for sides in (batch.sides, network(batch.levels).sides)
        )
        ratios.append(wanted / predicted)
    louder = torch.cat(ratios).median().log10() / 2
    network.sides_bias.add_(louder)
