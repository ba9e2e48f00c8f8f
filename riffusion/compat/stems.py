"""Splitting a recording into stems: drums, bass, vocals and the rest, by demucs.

demucs is an extra: ``pip install 'riffusion[stems]'``. Its weights are a name that it knows and
fetches from the hub the first time, or a folder as the hub has it: safetensors files, and a YAML
file that lists them where they are several. Its older, pickled weights are not read: a pickle
runs whatever program is in it.
"""

from __future__ import annotations

from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open

from riffusion.audio.waveform import WRITTEN_AS as AUDIO
from riffusion.audio.waveform import Waveform, read_audio, write_audio
from riffusion.compat.files import check_extension, make_folder
from riffusion.engines.loading import choose_device
from riffusion.errors import InvalidInput, MissingTool, ModelError

PACKAGE = "demucs"
# A file says which class it is made of: no other code than these may be named.
NETWORKS = ("demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", "demucs.htdemucs.HTDemucs")
QUIET = 1e-8


def split(arguments: Namespace) -> None:
    """Write one file for each stem of a recording."""
    if find_spec(PACKAGE) is None:
        raise MissingTool(
            "splitting stems needs demucs, which is not installed: "
            "pip install -r requirements-stems.txt, or pip install 'riffusion[stems]'"
        )
    suffix = check_extension("--extension", arguments.extension, AUDIO)
    device = choose_device(arguments.device)
    sound = read_audio(arguments.audio)
    model = load_model(arguments.stem_model)
    folder = make_folder(arguments.output_dir)
    for name, stem in separate_stems(sound, model, device).items():
        path = folder / f"{Path(arguments.audio).stem}_{name}{suffix}"
        write_audio(stem, path)
        print(f"Wrote {path}")


def separate_stems(sound: Waveform, model: Any, device: str = "cpu") -> dict[str, Waveform]:
    """The stems of ``sound`` by name, each as long as it, at the rate and channels of ``model``."""
    from demucs.apply import apply_model

    rate = model.samplerate
    given = sound.resample(rate)
    if given.channels != model.audio_channels:
        given = Waveform(given.mono().samples.repeat(model.audio_channels, axis=0), rate)
    mix = torch.from_numpy(given.samples)
    # The scale that the network was trained on. Without random shifts, so that the same sound
    # always gives the same stems.
    middle = mix.mean(0)
    mean, deviation = middle.mean(), middle.std() + QUIET
    with torch.inference_mode():
        (scaled,) = apply_model(
            model, ((mix - mean) / deviation)[None], shifts=0, device=device, progress=True
        )
    stems = scaled * deviation + mean
    return {
        name: Waveform(stem.numpy(), rate) for name, stem in zip(model.sources, stems, strict=True)
    }


def load_model(name: str) -> Any:
    """A model by the name that demucs has for it, or from a folder. Raises ModelError."""
    from demucs.hf import get_hf_model

    if Path(name).is_dir():
        return _model_in(Path(name))
    if not name.replace("_", "").isalnum():
        legal = "use a name like htdemucs, or a folder with its safetensors files"
        raise InvalidInput("--stem-model", name, legal)
    try:
        return get_hf_model(name).eval()
    except (OSError, ValueError) as error:
        raise ModelError(
            f"demucs has no weights of {name!r} here and could not fetch them: check the name and "
            "the network, or name a folder that has its safetensors files with --stem-model"
        ) from error


def _model_in(folder: Path) -> Any:
    """The model of a folder: one YAML file that lists the networks, or all that there are."""
    from demucs.apply import BagOfModels
    from demucs.hf import load_safetensors_model

    lists = sorted(folder.glob("*.yaml"))
    bag = yaml.safe_load(lists[0].read_text("utf-8")) if lists else {}
    names = bag.get("models") or sorted(path.stem for path in folder.glob("*.safetensors"))
    if not names:
        raise ModelError(f"{folder} is no demucs model: it needs safetensors files")
    paths = [folder / f"{Path(str(name)).name}.safetensors" for name in names]
    for path in paths:
        _check_network(path)
    networks = [load_safetensors_model(path) for path in paths]
    return BagOfModels(networks, bag.get("weights"), bag.get("segment")).eval()


def _check_network(path: Path) -> None:
    """Raise ModelError where a file is not one of demucs's networks."""
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from error
    if said.get("klass") not in NETWORKS or "structure" in said:
        raise ModelError(
            f"{path} is no network of demucs: it says {said.get('klass')!r}, "
            f"known are {', '.join(NETWORKS)}, not quantised"
        )
