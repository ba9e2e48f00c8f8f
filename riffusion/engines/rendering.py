"""Rendering: a generated spectrogram becomes the sound and the image that people keep."""

from __future__ import annotations

from PIL import Image

from riffusion.audio.mastering import master_whole
from riffusion.audio.waveform import Waveform
from riffusion.spectral.image import audio_to_image, to_image
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram
from riffusion.spectral.tags import ImageInfo
from riffusion.vocoder.protocol import Vocoder


def clip_sound(spectrogram: Spectrogram, vocoder: Vocoder) -> Waveform:
    """Decode one clip and master it to the loudness of a jam.

    Parameters
    ----------
    spectrogram : Spectrogram
        Magnitudes, float32 (channels, mel, frames).
    vocoder : Vocoder
        The vocoder of the engine that generated the clip.

    Returns
    -------
    Waveform
        Float32 (channels, samples) at the sample rate of the spectrogram.

    Raises
    ------
    InvalidInput
        When the vocoder does not know the grid or the channels of the spectrogram.

    Examples
    --------
    >>> import riffusion
    >>> engine = riffusion.load_engine(device="cpu")
    >>> bells = riffusion.Prompt("church bells")
    >>> (clip,) = engine.generate([riffusion.ClipRequest(bells, bells, steps=1)])
    >>> sound = riffusion.clip_sound(clip, engine.vocoder)
    >>> sound.sample_rate, sound.channels, round(sound.duration_s, 2)
    (44100, 2, 5.11)
    """
    sound = vocoder(spectrogram, prefix=None)
    return Waveform(master_whole(sound.samples, sound.sample_rate), sound.sample_rate)


def clip_image(
    spectrogram: Spectrogram, sound: Waveform, info: ImageInfo | None = None
) -> Image.Image:
    """Draw the spectrogram image of one clip in Riffusion's geometry.

    A clip whose grid is Riffusion's own is drawn as it is; any other is analysed anew from its
    sound.

    Parameters
    ----------
    spectrogram : Spectrogram
        Magnitudes, float32 (channels, mel, frames).
    sound : Waveform
        The sound of the same clip, from ``clip_sound``.
    info : ImageInfo or None
        What the tags of the image say about the clip.

    Returns
    -------
    PIL.Image.Image
        An RGB image, 512 pixels high and one pixel wide for each 10 ms.

    Raises
    ------
    InvalidInput
        When the clip has more than two channels, or values that are not finite.

    Examples
    --------
    >>> import torch
    >>> import riffusion
    >>> clip = riffusion.Spectrogram(torch.rand(1, 512, 512), riffusion.SpectrogramParams())
    >>> sound = riffusion.clip_sound(clip, riffusion.griffin_lim)
    >>> riffusion.clip_image(clip, sound).size
    (512, 512)
    """
    if spectrogram.params == RIFFUSION:
        return to_image(spectrogram, info)
    return audio_to_image(sound, info=info)
