"""Options of a command line choose the engine that is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from riffusion.engines.arguments import add_engine_arguments, load_chosen_engine, parse_lora
from riffusion.engines.stable.options import Lora
from riffusion.errors import InvalidInput, RiffusionError


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_engine_arguments(parser)
    return parser.parse_args(words)


def test_a_checkpoint_is_run_as_asked(tiny_stable_folder: Path) -> None:
    words = ["--model", str(tiny_stable_folder), "--device", "cpu"]
    engine = load_chosen_engine(parsed(*words, "--scheduler", "ddim", "--frames", "64"))
    assert engine.frames == 64
    assert "ddim" in engine.name
    assert load_chosen_engine(parsed(*words)).frames == 512


def test_a_model_in_the_arguments_wins(tiny_stable_folder: Path, tiny_model_folder: Path) -> None:
    assert load_chosen_engine(parsed("--device", "cpu"), str(tiny_model_folder)).name == "tiny"
    chosen = load_chosen_engine(parsed("--model", str(tiny_stable_folder)), str(tiny_model_folder))
    assert chosen.name == tiny_stable_folder.name


@pytest.mark.parametrize(
    ("text", "lora"),
    [
        ("style.safetensors", Lora("style.safetensors")),
        ("owner/style=0.8", Lora("owner/style", 0.8)),
        ("a=b.safetensors=-1", Lora("a=b.safetensors", -1.0)),
    ],
)
def test_a_lora_and_its_weight(text: str, lora: Lora) -> None:
    assert parse_lora(text) == lora


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lora", "style=loud"], "use a number"),
        (["--lora", "style=99"], "from -4 to 4"),
        (["--scheduler", "magic"], "dpm\\+\\+, unipc"),
        (["--frames", "100"], "multiple of 8"),
        (["--precision", "int4"], "float32"),
    ],
)
def test_what_cannot_be_is_named(words: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_chosen_engine(parsed(*words))


def test_the_shipped_kind_takes_no_options_of_checkpoints(tiny_model_folder: Path) -> None:
    with pytest.raises(RiffusionError, match="Stable Diffusion"):
        load_chosen_engine(parsed("--model", str(tiny_model_folder), "--scheduler", "ddim"))
