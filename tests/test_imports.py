"""What starts quickly does not import what it does not need: seconds, and hundreds of megabytes."""

from __future__ import annotations

import subprocess
import sys

import pytest

NOTHING = ""
NAME = "import riffusion"
HELP = "from riffusion.cli.main import build_parser; build_parser().format_help()"
JAM = """
import riffusion
engine = riffusion.load_engine(device="cpu")
bells = riffusion.Prompt("church bells")
settings = riffusion.JamSettings(bells, bells, steps=1)
assert riffusion.JamSession(engine, settings).block().samples.any()
"""
SERVER = "import riffusion.serving.server"
STABLE = ("diffusers", "transformers", "accelerate", "peft")
TRAINING = ("matplotlib", "librosa", "sklearn", "sentence_transformers", "torch._dynamo", "sympy")


@pytest.mark.parametrize(
    ("work", "unwanted"),
    [
        (NAME, ("torch", "numpy", "gradio", *STABLE, *TRAINING)),
        (HELP, ("torch", "numpy", "gradio", *STABLE, *TRAINING)),
        (JAM, ("gradio", "pandas", *STABLE, *TRAINING)),
        (SERVER, (*STABLE, *TRAINING)),
    ],
    ids=["import", "help", "jam", "server"],
)
def test_only_what_is_needed_is_imported(work: str, unwanted: tuple[str, ...]) -> None:
    look = f"import sys; print(*[name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{work}\n{look}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
