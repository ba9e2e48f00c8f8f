"""Command-line options that choose an engine, and the engine that they choose."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from riffusion.engines.stable.options import FRAMES, PRECISIONS, SCHEDULERS, Lora, StableOptions
from riffusion.errors import InvalidInput

if TYPE_CHECKING:
    from riffusion.engines.protocol import Engine


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``, ``--device`` and the options of Stable Diffusion checkpoints to a parser."""
    parser.add_argument(
        "--model",
        help="a model folder, or a Stable Diffusion checkpoint's folder or hub id, for example "
        "riffusion/riffusion-model-v1 (default: the model that comes with this)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    group = parser.add_argument_group("Stable Diffusion checkpoints")
    group.add_argument("--scheduler", help=f"{', '.join(SCHEDULERS)} (default: the checkpoint's)")
    group.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="MODEL[=WEIGHT]",
        help="a .safetensors file or hub id, with its weight (default 1); may be given repeatedly",
    )
    group.add_argument("--frames", type=int, default=FRAMES, help="window, 512 (5.1 s) to 2048")
    group.add_argument("--precision", default="auto", help=", ".join(PRECISIONS))
    group.add_argument(
        "--batch-size", type=int, default=1, help="clips drawn at once, for GPUs (default 1)"
    )
    group.add_argument(
        "--pickles", action="store_true", help="accept weights that can run code when loaded"
    )


def load_chosen_engine(arguments: argparse.Namespace, model: str | None = None) -> Engine:
    """Load the engine that parsed options choose.

    ``model`` is the folder or hub id to load when ``--model`` was not given; None is the shipped
    model. Raises InvalidInput for illegal option values and ModelError as ``load_engine`` does.
    """
    # Imported late, so that --help answers before PyTorch is loaded.
    from riffusion.engines.loading import load_engine

    options = StableOptions(
        scheduler=arguments.scheduler,
        loras=tuple(parse_lora(text) for text in arguments.lora),
        frames=arguments.frames,
        precision=arguments.precision,
        pickles=arguments.pickles,
        batch=arguments.batch_size,
    )
    given = None if options == StableOptions() else options
    return load_engine(arguments.model or model, arguments.device, given)


def parse_lora(text: str) -> Lora:
    """Parse ``MODEL[=WEIGHT]``, for example ``style.safetensors=0.8``.

    Raises InvalidInput when the weight is not a number.
    """
    model, found, weight = text.rpartition("=")
    if not found:
        return Lora(text)
    try:
        number = float(weight)
    except ValueError as error:
        hint = "use a number, for example --lora style.safetensors=0.8"
        raise InvalidInput("LoRA weight", weight, hint) from error
    return Lora(model, number)
