"""An instrument for live, infinite AI jamming.

    import riffusion

    engine = riffusion.load_engine()
    settings = riffusion.JamSettings(
        prompt_a=riffusion.Prompt("church bells", seed=1),
        prompt_b=riffusion.Prompt("electronic beats", seed=2),
        bpm=94, key="Cm",
    )
    for block in riffusion.JamSession(engine, settings):
        ...  # block.samples: float32 (channels, samples), from block.start on, without end

The names below are loaded when they are first used, so the import itself costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from riffusion.spectral.torchaudio_cpu import allow_cpu_only_torchaudio

if TYPE_CHECKING:
    from riffusion.audio.track import TrackFile as TrackFile
    from riffusion.audio.waveform import Waveform as Waveform
    from riffusion.audio.waveform import read_audio as read_audio
    from riffusion.audio.waveform import write_audio as write_audio
    from riffusion.engines.clip import ClipRequest as ClipRequest
    from riffusion.engines.clip import Controls as Controls
    from riffusion.engines.clip import LeadSheet as LeadSheet
    from riffusion.engines.clip import Mix as Mix
    from riffusion.engines.clip import Prompt as Prompt
    from riffusion.engines.loading import load_engine as load_engine
    from riffusion.engines.protocol import Engine as Engine
    from riffusion.engines.rendering import clip_image as clip_image
    from riffusion.engines.rendering import clip_sound as clip_sound
    from riffusion.engines.stable.options import Lora as Lora
    from riffusion.engines.stable.options import StableOptions as StableOptions
    from riffusion.errors import RiffusionError as RiffusionError
    from riffusion.jam.anchors import library as library
    from riffusion.jam.anchors import read_anchor as read_anchor
    from riffusion.jam.loops import load_anchor_ref as load_anchor_ref
    from riffusion.jam.loops import load_mask_ref as load_mask_ref
    from riffusion.jam.masks import read_mask as read_mask
    from riffusion.jam.session import JamSession as JamSession
    from riffusion.jam.session import JamSettings as JamSettings
    from riffusion.jam.session import render as render
    from riffusion.jam.session import replay as replay
    from riffusion.jam.session import save_session as save_session
    from riffusion.jam.session_file import load_session as load_session
    from riffusion.jam.speed import measure_speed as measure_speed
    from riffusion.song.model import Section as Section
    from riffusion.song.model import Song as Song
    from riffusion.song.model import Transition as Transition
    from riffusion.song.plan import load_plan as load_plan
    from riffusion.song.plan import save_plan as save_plan
    from riffusion.song.planner import plan_song as plan_song
    from riffusion.song.session import SongSession as SongSession
    from riffusion.spectral.griffin_lim import griffin_lim as griffin_lim
    from riffusion.spectral.image import ImageInfo as ImageInfo
    from riffusion.spectral.image import audio_to_image as audio_to_image
    from riffusion.spectral.image import from_image as from_image
    from riffusion.spectral.image import image_to_audio as image_to_audio
    from riffusion.spectral.image import read_image as read_image
    from riffusion.spectral.image import to_image as to_image
    from riffusion.spectral.image import write_image as write_image
    from riffusion.spectral.long_image import open_long_image as open_long_image
    from riffusion.spectral.long_image import write_sound_image as write_sound_image
    from riffusion.spectral.spectrogram import Spectrogram as Spectrogram
    from riffusion.spectral.spectrogram import SpectrogramParams as SpectrogramParams
    from riffusion.spectral.spectrogram import mel_spectrogram as mel_spectrogram

__version__ = "0.1.0"

PUBLIC = {
    "riffusion.jam.anchors": ("library", "read_anchor"),
    "riffusion.engines.clip": ("ClipRequest", "Controls", "LeadSheet", "Mix", "Prompt"),
    "riffusion.engines.loading": ("load_engine",),
    "riffusion.engines.protocol": ("Engine",),
    "riffusion.engines.stable.options": ("Lora", "StableOptions"),
    "riffusion.errors": ("RiffusionError",),
    "riffusion.jam.session": ("JamSession", "JamSettings", "render", "replay", "save_session"),
    "riffusion.spectral.long_image": ("open_long_image", "write_sound_image"),
    "riffusion.jam.loops": ("load_anchor_ref", "load_mask_ref"),
    "riffusion.jam.masks": ("read_mask",),
    "riffusion.spectral.griffin_lim": ("griffin_lim",),
    "riffusion.engines.rendering": ("clip_image", "clip_sound"),
    "riffusion.jam.session_file": ("load_session",),
    "riffusion.song.model": ("Section", "Song", "Transition"),
    "riffusion.song.plan": ("load_plan", "save_plan"),
    "riffusion.song.planner": ("plan_song",),
    "riffusion.song.session": ("SongSession",),
    "riffusion.spectral.spectrogram": ("Spectrogram", "SpectrogramParams", "mel_spectrogram"),
    "riffusion.spectral.image": (
        "ImageInfo",
        "audio_to_image",
        "from_image",
        "image_to_audio",
        "read_image",
        "to_image",
        "write_image",
    ),
    "riffusion.jam.speed": ("measure_speed",),
    "riffusion.audio.track": ("TrackFile",),
    "riffusion.audio.waveform": ("Waveform", "read_audio", "write_audio"),
}

# How PyTorch's idle threads wait, read when it loads. Those that spin for milliseconds keep other
# work off the cores (a browser, a second listener): seven times the time was measured. Those that
# sleep at once wake late: with microseconds of spinning a jam is a sixth faster.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# Before anything of ours can import diffusers, transformers or torchaudio.
allow_cpu_only_torchaudio()


def __getattr__(name: str) -> object:
    for module, names in PUBLIC.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'riffusion' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *(name for names in PUBLIC.values() for name in names)])
