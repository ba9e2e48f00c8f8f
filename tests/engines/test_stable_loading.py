"""Checkpoints and LoRAs load, and what is refused is refused with a way to go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.engines.stable.engine import StableEngine
from riffusion.engines.stable.loading import load_stable
from riffusion.engines.stable.options import Lora, Scheduler, StableOptions, is_hub_id
from riffusion.errors import InvalidInput, ModelError
from riffusion.spectral.spectrogram import Spectrogram
from tests.tiny_stable import tiny_unet, write_index

FRAMES = 64
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tiny_stable_folder: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint that a test may damage."""
    copy = tmp_path / "copy"
    shutil.copytree(tiny_stable_folder, copy)
    return copy


def load(folder: Path, *loras: Lora, pickles: bool = False) -> Engine:
    options = StableOptions(loras=loras, frames=FRAMES, pickles=pickles)
    return load_engine(str(folder), "cpu", options)


def clip(engine: Engine) -> Spectrogram:
    request = ClipRequest(Prompt("church bells", 1), Prompt("beats", 2), alpha=0.5, steps=2)
    return engine.generate([request])[0]


def same(a: Engine, b: Engine) -> bool:
    return torch.equal(clip(a).magnitudes, clip(b).magnitudes)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("riffusion/riffusion-model-v1", True),
        ("owner/name.with-dots_1", True),
        ("name", False),
        ("./owner/name", False),
        ("/owner/name", False),
        ("../name", False),
        ("a/b/c", False),
        ("owner/..", False),
        ("tests/tiny_stable.py", False),
    ],
)
def test_hub_ids_are_told_from_paths(
    model: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert is_hub_id(model) is expected


def test_half_precision_files_load_where_there_are_no_others(folder: Path) -> None:
    whole = load(folder)
    for path in list(folder.rglob("*.safetensors")):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    assert same(load(folder), whole)


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model_index\.json.*owner/name"):
        load_engine(str(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_index_is_named(folder: Path, content: str) -> None:
    (folder / "model_index.json").write_text(content)
    with pytest.raises(ModelError, match=r"no checkpoint in diffusers format"):
        load(folder)


def test_another_kind_of_model_is_refused(folder: Path) -> None:
    write_index(folder, "StableDiffusionXLPipeline")
    with pytest.raises(ModelError, match="StableDiffusionXLPipeline: use a Stable Diffusion 1 or"):
        load(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    with pytest.raises(ModelError, match=part):
        load(folder)


@pytest.mark.parametrize("damage", ["truncated", "text"])
def test_damaged_weights_are_named(folder: Path, damage: str) -> None:
    weights = folder / "unet" / WEIGHTS
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"not weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)


def test_parts_of_different_checkpoints_are_refused(folder: Path) -> None:
    shutil.rmtree(folder / "unet")
    tiny_unet(text_width=24).save_pretrained(folder / "unet")
    with pytest.raises(ModelError, match="24 numbers a word and the text encoder gives 16"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("in_channels", 9, "with 4"), ("time_cond_proj_dim", 256, "LCM-LoRA")],
)
def test_networks_that_need_other_inputs_are_refused(
    folder: Path, name: str, value: int, message: str
) -> None:
    settings = json.loads((folder / "unet" / "config.json").read_text())
    unet = type(tiny_unet()).from_config({**settings, name: value})
    unet.save_pretrained(folder / "unet")
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_pickled_weights_are_refused_unless_asked_for(folder: Path) -> None:
    whole = load(folder)
    weights = folder / "unet" / WEIGHTS
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelError, match=r"can run any program.*|run any program.*pickles=True"):
        load(folder)
    assert same(load(folder, pickles=True), whole)


def test_a_single_pickled_checkpoint_is_refused(folder: Path) -> None:
    (folder / "vae" / WEIGHTS).rename(folder / "vae" / "model.ckpt")
    for pickles in (False, True):
        with pytest.raises(ModelError, match="pickle"):
            load(folder, pickles=pickles)


def test_options_for_the_shipped_kind_are_refused(tiny_model_folder: Path) -> None:
    with pytest.raises(InvalidInput, match="for Stable Diffusion checkpoints"):
        load_engine(str(tiny_model_folder), "cpu", StableOptions(scheduler="ddim"))


@pytest.fixture
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub on this machine that has no repository at all and says so."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    thread = Thread(target=server.serve_forever)
    thread.start()
    point_to(server.server_port, monkeypatch)
    yield
    server.shutdown()
    server.server_close()
    thread.join()


def point_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")


@pytest.mark.usefixtures("hub")
def test_an_unknown_hub_id_says_how_to_use_a_folder() -> None:
    with pytest.raises(ModelError, match=r"no 'nobody/nothing' on the hub.*name its folder"):
        load_engine("nobody/nothing", "cpu")


def test_no_network_says_how_to_use_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    point_to(1, monkeypatch)  # nothing listens there
    with pytest.raises(ModelError, match=r"cannot be reached.*name its folder"):
        load_engine("nobody/nothing", "cpu")


@pytest.mark.usefixtures("hub")
def test_an_unknown_lora_on_the_hub_is_named(tiny_stable_folder: Path) -> None:
    with pytest.raises(ModelError, match="no 'nobody/lora' on the hub"):
        load(tiny_stable_folder, Lora("nobody/lora"))


def save_lora(file: Path, seed: int, width: int = 16, *, module: str = "attn2.to_q") -> Path:
    """Save a LoRA for the tiny UNet's cross-attention in diffusers' format."""
    generator = torch.Generator().manual_seed(seed)
    block = "unet.down_blocks.1.attentions.0.transformer_blocks.0"
    save_file(
        {
            f"{block}.{module}.lora_A.weight": torch.randn(4, width, generator=generator),
            f"{block}.{module}.lora_B.weight": torch.randn(width, 4, generator=generator),
        },
        file,
    )
    return file


def test_loras_are_added_up_with_their_weights(tiny_stable_folder: Path, tmp_path: Path) -> None:
    files = [str(save_lora(tmp_path / f"{seed}.safetensors", seed)) for seed in (1, 2)]
    loras = (Lora(files[0], 0.8), Lora(files[1], -0.5))
    plain = load_stable(str(tiny_stable_folder), StableOptions(), "cpu").unet.state_dict()
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_q.weight"
    expected = plain[name].clone()
    for lora in loras:
        a, b = (tensor for _, tensor in sorted(load_file(lora.model).items()))
        expected += lora.weight * (b @ a)
    options = StableOptions(loras=loras)
    found = load_stable(str(tiny_stable_folder), options, "cpu").unet.state_dict()
    assert set(found) == set(plain)
    assert torch.allclose(found[name], expected, atol=1e-5)


def test_loras_are_heard_and_named(tiny_stable_folder: Path, tmp_path: Path) -> None:
    files = [str(save_lora(tmp_path / f"{seed}.safetensors", seed)) for seed in (1, 2)]
    engine = load(tiny_stable_folder, Lora(files[0], 0.8), Lora(files[1], -0.5))
    assert not same(engine, load(tiny_stable_folder))
    assert engine.name == "tiny-stable + 1:0.8 + 2:-0.5 + 64 frames"


@pytest.mark.parametrize("scheduler", ["lcm", "tcd"])
def test_a_few_step_lora_draws_with_its_scheduler_in_four_steps(
    tiny_stable_folder: Path, tmp_path: Path, scheduler: Scheduler
) -> None:
    lora = Lora(str(save_lora(tmp_path / "few.safetensors", 1)))
    asked = ClipRequest(Prompt("bells", 1), Prompt("beats", 2), alpha=0.5, steps=4, guidance=1.0)
    clips = []
    for loras in ((lora,), ()):
        options = StableOptions(scheduler=scheduler, loras=loras, frames=FRAMES)
        model = load_stable(str(tiny_stable_folder), options, "cpu")
        engine = StableEngine(model, options)
        calls: list[int] = []
        model.unet.register_forward_pre_hook(
            lambda _, inputs, calls=calls: calls.append(len(inputs[0]))
        )
        clips.append(engine.generate([asked])[0].magnitudes)
        assert calls == [1, 1, 1, 1], "four steps, and no second half for guidance"
    assert torch.isfinite(clips[0]).all()
    assert not torch.equal(*clips)


@pytest.mark.parametrize("fault", ["wider", "elsewhere", "no lora", "damaged"])
def test_a_lora_of_another_architecture_is_refused(
    tiny_stable_folder: Path, tmp_path: Path, fault: str
) -> None:
    file = tmp_path / "foreign.safetensors"
    if fault == "wider":
        save_lora(file, 1, width=320)
    elif fault == "elsewhere":
        save_lora(file, 1, module="attn9.to_q")
    elif fault == "no lora":
        save_file({"weight": torch.zeros(2)}, file)
    else:
        file.write_bytes(b"not weights")
    with pytest.raises(ModelError, match=r"foreign.*made for the same Stable Diffusion version"):
        load(tiny_stable_folder, Lora(str(file)))


@pytest.mark.parametrize("name", ["missing.safetensors", "lora.bin"])
def test_a_lora_that_is_no_safetensors_file_is_refused(
    tiny_stable_folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "lora.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"no \.safetensors file"):
        load(tiny_stable_folder, Lora(str(tmp_path / name)))


@pytest.mark.parametrize("weight", [5.0, float("nan")])
def test_a_lora_weight_out_of_reason_is_refused(weight: float) -> None:
    with pytest.raises(InvalidInput, match="from -4 to 4"):
        Lora("lora.safetensors", weight)
