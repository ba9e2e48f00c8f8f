"""From what an engine made to what people keep: a sound and an image of it."""

from __future__ import annotations

from PIL import Image

from riffusion.audio.mastering import master_whole
from riffusion.audio.waveform import Waveform
from riffusion.spectral.image import audio_to_image, to_image
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram
from riffusion.spectral.tags import ImageInfo
from riffusion.vocoder.protocol import Vocoder


def clip_sound(spectrogram: Spectrogram, vocoder: Vocoder) -> Waveform:
    """The sound of one clip, as loud as a jam."""
    sound = vocoder(spectrogram, prefix=None)
    return Waveform(master_whole(sound.samples, sound.sample_rate), sound.sample_rate)


def clip_image(
    spectrogram: Spectrogram, sound: Waveform, info: ImageInfo | None = None
) -> Image.Image:
    """The image of one clip, in Riffusion's geometry: the engine's own where that is its own."""
    if spectrogram.params == RIFFUSION:
        return to_image(spectrogram, info)
    return audio_to_image(sound, info=info)
