"""Stems: demucs splits a recording into drums, bass, vocals and the rest.

demucs is an extra: ``pip install 'riffusion[stems]'``. Its weights are chosen by a name that it
knows and downloads from the hub once, or by a folder of the same contents: safetensors files, and
a YAML file that lists them when there are several. Its older, pickled weights are not read,
because a pickle can run any program.
"""

from __future__ import annotations

from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open

from riffusion.audio.waveform import WRITABLE as AUDIO
from riffusion.audio.waveform import Waveform, check_format, read_audio, write_audio
from riffusion.compat.files import check_extension, make_folder
from riffusion.engines.loading import choose_device
from riffusion.errors import InvalidInput, MissingTool, ModelError

PACKAGE = "demucs"
# A weights file names the class of its network. Only these are accepted, because the name chooses
# the code that runs.
NETWORKS = ("demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", "demucs.htdemucs.HTDemucs")
MIN_DEVIATION = 1e-8


def split(arguments: Namespace) -> None:
    """Split a recording and write one file for each stem. Raises MissingTool without demucs."""
    if find_spec(PACKAGE) is None:
        raise MissingTool(
            "splitting stems needs demucs, which is not installed: "
            "pip install -r requirements-stems.txt, or pip install 'riffusion[stems]'"
        )
    suffix = check_extension("--extension", arguments.extension, AUDIO)
    check_format(suffix)
    device = choose_device(arguments.device)
    sound = read_audio(arguments.audio)
    model = load_model(arguments.stem_model)
    folder = make_folder(arguments.output_dir)
    for name, stem in separate_stems(sound, model, device).items():
        path = folder / f"{Path(arguments.audio).stem}_{name}{suffix}"
        write_audio(stem, path)
        print(f"Wrote {path}")


def separate_stems(sound: Waveform, model: Any, device: str = "cpu") -> dict[str, Waveform]:
    """Separate ``sound`` into stems.

    Returns each stem by its name, as long as ``sound``, at the sample rate and channels of
    ``model``. The same sound always gives the same stems.
    """
    from demucs.apply import apply_model

    rate = model.samplerate
    given = sound.resample(rate)
    if given.channels != model.audio_channels:
        given = Waveform(given.mono().samples.repeat(model.audio_channels, axis=0), rate)
    mix = torch.from_numpy(given.samples)
    # The network was trained on sounds of this scale. Random shifts are off, because they would
    # change the stems from call to call.
    middle = mix.mean(0)
    mean, deviation = middle.mean(), middle.std() + MIN_DEVIATION
    with torch.inference_mode():
        (scaled,) = apply_model(
            model, ((mix - mean) / deviation)[None], shifts=0, device=device, progress=True
        )
    stems = scaled * deviation + mean
    return {
        name: Waveform(stem.numpy(), rate) for name, stem in zip(model.sources, stems, strict=True)
    }


def load_model(name: str) -> Any:
    """Load a demucs model by its name or from a folder.

    Raises InvalidInput for an impossible name and ModelError when the weights cannot be fetched
    or read.
    """
    from demucs.hf import get_hf_model

    if Path(name).is_dir():
        return _load_folder(Path(name))
    if not name.replace("_", "").isalnum():
        hint = "use a name like htdemucs, or a folder with its safetensors files"
        raise InvalidInput("--stem-model", name, hint)
    try:
        return get_hf_model(name).eval()
    except (OSError, ValueError) as error:
        raise ModelError(
            f"demucs has no weights of {name!r} here and could not fetch them: check the name and "
            "the network, or name a folder that has its safetensors files with --stem-model"
        ) from error


def _load_folder(folder: Path) -> Any:
    """Load the networks that the folder's YAML file lists, or else all of the folder."""
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
    """Raise ModelError unless a file holds one of demucs's networks."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from error
    if metadata.get("klass") not in NETWORKS or "structure" in metadata:
        raise ModelError(
            f"{path} is no network of demucs: it says {metadata.get('klass')!r}, "
            f"known are {', '.join(NETWORKS)}, not quantised"
        )
