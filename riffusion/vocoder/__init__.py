"""The learned vocoder: magnitudes to sound in a small part of the time Griffin-Lim takes."""

from riffusion.vocoder.learned import LearnedVocoder

__all__ = ["LearnedVocoder"]
