"""Loading Stable Diffusion checkpoints from a folder or the Hugging Face hub, with LoRAs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from riffusion.engines._messages import first_line
from riffusion.engines.stable.options import Lora, Precision, StableOptions, is_hub_id
from riffusion.errors import ModelError

INDEX = "model_index.json"
NETWORKS = ("unet", "vae", "text_encoder")
# The parts that are used. The safety checker is not: it judges photographs, and what it says of
# spectrograms means nothing.
PARTS = (INDEX, *(f"{part}/*" for part in (*NETWORKS, "tokenizer", "scheduler")))
PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth", "*.pkl", "*.msgpack")
LATENT_CHANNELS = 4
ADAPTER = "lora"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class StableModel:
    """The parts of a checkpoint, still on the CPU. ``name`` identifies it in sessions."""

    name: str
    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Mapping[str, Any]


def load_stable(model: str, options: StableOptions, device: str) -> StableModel:
    """Load a checkpoint from a folder or a hub id and add the LoRAs to its weights.

    Raises ModelError when anything is missing, damaged or of another kind; the message says what
    to do.
    """
    # Progress bars for loads of a moment would only disturb our own.
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    dtype = choose_dtype(options.precision, device)
    if is_hub_id(model):
        folder, name = _download(model, options.pickles), model
    else:
        folder, name = Path(model), Path(model).resolve().name
    loaded = _load_folder(folder, name, options.pickles, dtype)
    _add_loras(loaded, options.loras)
    return loaded


def choose_dtype(precision: Precision, device: str) -> torch.dtype:
    """Return the type of the weights. "auto" is half precision on CUDA only, where it is fast."""
    if precision == "auto":
        return torch.float16 if device == "cuda" else torch.float32
    return DTYPES[precision]


def choose_memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout that convolutions are fastest with: channels last, except on Apple's."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def _download(model: str, pickles: bool) -> Path:
    """Return the folder of a hub id, downloaded unless it is in the cache."""
    unwanted = () if pickles else PICKLES
    return _fetch_from_hub(model, PARTS, unwanted)


def _fetch_from_hub(model: str, wanted: Sequence[str], unwanted: Sequence[str]) -> Path:
    """Download the files that match ``wanted`` and not ``unwanted``. Raises ModelError."""
    folder = "Or fetch the whole repository on any machine and name its folder instead."
    try:
        return Path(snapshot_download(model, allow_patterns=[*wanted], ignore_patterns=[*unwanted]))
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"there is no {model!r} on the hub, or it needs a login (hf auth login), and no such "
            f"folder here: check the spelling of owner/name. {folder}"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise ModelError(
            f"{model!r} is no folder here and the hub cannot be reached to fetch it "
            f"({first_line(error)}): check the network. {folder}"
        ) from error
    except HFValidationError as error:
        raise ModelError(f"{model!r} is no folder here and no hub id: {error}") from error


def _load_folder(folder: Path, name: str, pickles: bool, dtype: torch.dtype) -> StableModel:
    """Load the parts of a checkpoint with weights of type ``dtype``. Raises ModelError."""
    _check_kind(folder)
    weights = [_choose_weights(folder / part, pickles) for part in NETWORKS]
    kinds: tuple[Any, ...] = (UNet2DConditionModel, AutoencoderKL, CLIPTextModel)
    try:
        unet, vae, text_encoder = (
            kind.from_pretrained(folder / part, torch_dtype=dtype, local_files_only=True, **how)
            for part, kind, how in zip(NETWORKS, kinds, weights, strict=True)
        )
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    except Exception as error:
        raise ModelError(
            f"the checkpoint in {folder} cannot be loaded: {first_line(error)} "
            "Fetch the folder again, or name another one."
        ) from error
    _check_networks(folder, unet.config, vae.config, text_encoder.config)
    return StableModel(name, unet, vae, text_encoder, tokenizer, scheduler)


def _check_kind(folder: Path) -> None:
    """Raise ModelError unless the index of a folder names a pipeline that runs here."""
    try:
        index = json.loads((folder / INDEX).read_text())
        kind = str(index.get("_class_name"))
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{folder} is no checkpoint in diffusers format: its {INDEX} cannot be read. Name the "
            "folder that holds model_index.json, unet, vae, text_encoder, tokenizer, scheduler; a "
            "single .ckpt or .safetensors file is to be converted first."
        ) from error
    if not re.fullmatch(r"(StableDiffusion(Img2Img|Inpaint\w*)?|Riffusion)Pipeline", kind):
        raise ModelError(
            f"{folder} holds a {kind}: use a Stable Diffusion 1 or 2 checkpoint, for example "
            "riffusion/riffusion-model-v1."
        )


def _choose_weights(folder: Path, pickles: bool) -> dict[str, Any]:
    """Return the options of ``from_pretrained`` for the weights of one part.

    Full precision is preferred, and pickled weights are opened only when ``pickles`` allows them.
    Raises ModelError when there are no weights that may be opened.
    """
    names = [path.name for path in folder.glob("*.safetensors")]
    plain = [name for name in names if ".fp16." not in name and ".non_ema." not in name]
    if plain:
        return {"use_safetensors": True}
    if names:
        return {"use_safetensors": True, "variant": "fp16"}
    pickled = any(folder.glob(pattern) for pattern in PICKLES[:1])
    if pickled and pickles:
        return {"use_safetensors": False}
    if any(list(folder.glob(pattern)) for pattern in PICKLES):
        raise ModelError(
            f"the weights in {folder} are pickled: opening such a file can run any program hidden "
            "in it. Get the checkpoint as safetensors, or, if you trust who made it, ask for "
            "pickles by name (StableOptions(pickles=True))."
        )
    raise ModelError(
        f"{folder} has no weights in safetensors, so {folder.parent.name} is no whole checkpoint. "
        "Fetch it again. If it offers only pickled weights, which can run any program hidden in "
        "them, they must be asked for by name (StableOptions(pickles=True))."
    )


def _check_networks(folder: Path, unet: Any, vae: Any, text: Any) -> None:
    """Raise ModelError when the parts do not fit each other or need inputs that we do not have."""
    channels = (unet.in_channels, unet.out_channels, vae.latent_channels)
    if channels != (LATENT_CHANNELS,) * 3:
        raise ModelError(
            f"the checkpoint in {folder} has {channels} channels in UNet and VAE: use one for "
            "text to image, with 4; those for inpainting, depth or upscaling have more."
        )
    if unet.time_cond_proj_dim is not None:
        raise ModelError(
            f"the checkpoint in {folder} is a distilled LCM that needs its guidance told: use the "
            "usual one with an LCM-LoRA and the lcm scheduler."
        )
    if unet.cross_attention_dim != text.hidden_size:
        raise ModelError(
            f"in {folder} the UNet listens to {unet.cross_attention_dim} numbers a word and the "
            f"text encoder gives {text.hidden_size}: the parts are of different checkpoints."
        )


def _add_loras(model: StableModel, loras: Sequence[Lora]) -> None:
    """Fuse LoRAs into the weights, so that they cost nothing when clips are generated."""
    if not loras:
        return
    # Imported here because it takes seconds that only LoRAs need.
    from diffusers import StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline(  # type: ignore[no-untyped-call]
        vae=model.vae,
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        unet=model.unet,
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    for lora in loras:
        _load_lora(pipeline, lora)
        pipeline.set_adapters([ADAPTER], [lora.weight])
        pipeline.fuse_lora(adapter_names=[ADAPTER])
        pipeline.unload_lora_weights()


def _load_lora(pipeline: Any, lora: Lora) -> None:
    """Load one LoRA into a pipeline. Raises ModelError when it does not fit the checkpoint."""
    file = _find_lora(lora.model)
    try:
        pipeline.load_lora_weights(
            file.parent, weight_name=file.name, adapter_name=ADAPTER, use_safetensors=True
        )
    except Exception as error:
        raise ModelError(
            f"the LoRA {lora.model} does not fit this checkpoint or is damaged "
            f"({first_line(error)}): use one made for the same Stable Diffusion version."
        ) from error
    if not any(ADAPTER in adapters for adapters in pipeline.get_list_adapters().values()):
        raise ModelError(
            f"the LoRA {lora.model} has nothing for this checkpoint: use one made for the same "
            "Stable Diffusion version."
        )


def _find_lora(model: str) -> Path:
    """Return the safetensors file of a LoRA, downloaded for a hub id. Raises ModelError."""
    if is_hub_id(model):
        folder = _fetch_from_hub(model, ["*.safetensors"], [])
        files = sorted(folder.glob("*.safetensors"))
        if len(files) == 1:
            return files[0]
        raise ModelError(
            f"{model} has {len(files)} safetensors files, not one LoRA: download the one you "
            "want and name the file."
        )
    file = Path(model)
    if file.suffix != ".safetensors" or not file.is_file():
        raise ModelError(
            f"the LoRA {model} is no .safetensors file here and no hub id: check the name. Other "
            "formats are refused, because opening them can run any program hidden in them."
        )
    return file
