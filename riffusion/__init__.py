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

The names are listed in __init__.pyi. Each is loaded when it is first used, so the import itself
costs nothing.
"""

from __future__ import annotations

import os

import lazy_loader

from riffusion.spectral.torchaudio_cpu import allow_cpu_only_torchaudio

__version__ = "0.1.0"

# How PyTorch's idle threads wait, read when it loads. Those that spin for milliseconds keep other
# work off the cores (a browser, a second listener): seven times the time was measured. Those that
# sleep at once wake late: with microseconds of spinning a jam is a sixth faster.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# This must come before anything of ours can import diffusers, transformers or torchaudio.
allow_cpu_only_torchaudio()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
