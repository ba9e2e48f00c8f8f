"""Splitting a recording into stems: drums, bass, vocals and the rest, by demucs.

demucs is an extra: ``pip install 'riffusion[stems]'``. It fetches its own weights the first time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

from riffusion.errors import InvalidInput, MissingTool, RiffusionError
from riffusion.interop.files import checked_extension, output_folder
from riffusion.waveform import WRITTEN_AS as AUDIO
from riffusion.waveform import read_audio, write_audio

PACKAGE = "demucs"
LONGEST_COMPLAINT = 300


def split(arguments: Namespace) -> None:
    """Write one file for each stem of a recording."""
    if find_spec(PACKAGE) is None:
        raise MissingTool(
            "splitting stems needs demucs, which is not installed: "
            "pip install -r requirements-stems.txt, or pip install 'riffusion[stems]'"
        )
    suffix = checked_extension("--extension", arguments.extension, AUDIO)
    if not arguments.stem_model.replace("_", "").isalnum():
        raise InvalidInput("--stem-model", arguments.stem_model, "use a name like htdemucs")
    sound = read_audio(arguments.audio)
    folder = output_folder(arguments.output_dir)
    with tempfile.TemporaryDirectory(prefix="riffusion-") as work:
        source = Path(work) / "mix.wav"
        write_audio(sound, source)
        _run_demucs(source, Path(work), arguments.stem_model, arguments.device)
        for stem in sorted(Path(work).glob("*/mix/*.wav")):
            path = folder / f"{Path(arguments.audio).stem}_{stem.stem}{suffix}"
            write_audio(read_audio(stem), path)
            print(f"Wrote {path}")


def _run_demucs(source: Path, folder: Path, model: str, device: str) -> None:
    chosen = [] if device == "auto" else ["--device", device]
    done = subprocess.run(
        [sys.executable, "-m", PACKAGE, "-n", model, *chosen, "-o", str(folder), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        why = done.stderr.strip()[-LONGEST_COMPLAINT:]
        raise RiffusionError(f"demucs could not split it: {why}")
