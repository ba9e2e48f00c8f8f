"""A tiny Stable Diffusion checkpoint with random weights, in the format of the large ones."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TEXT_WIDTH = 16
# The noise schedule of riffusion/riffusion-model-v1 and of Stable Diffusion 1.
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def tiny_tokenizer() -> CLIPTokenizer:
    """Return CLIP's byte-level tokenizer with one token for each letter and no merges."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'()[]\\-"
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocab = {
        word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])
    }
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def tiny_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return a CLIP text encoder of two layers with random weights."""
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # Embeddings of trained encoders have a mean. Without this bias the mean would be rounding
    # errors, which differ from processor to processor.
    encoder.get_parameter("final_layer_norm.bias").data.fill_(0.1)
    return encoder


def tiny_unet(text_width: int = TEXT_WIDTH) -> UNet2DConditionModel:
    """Return a UNet of two levels with random weights."""
    return UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=4,
    )


def tiny_vae() -> AutoencoderKL:
    """Return an autoencoder with four levels, whose latents cover 8 pixels each way."""
    return AutoencoderKL(
        sample_size=512,
        block_out_channels=(4, 4, 4, 8),
        layers_per_block=1,
        norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def save_tiny_stable(folder: Path) -> None:
    """Write the checkpoint into a folder, with PNDM as its scheduler."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder / "tokenizer")
    tiny_text_encoder(tokenizer).save_pretrained(folder / "text_encoder")
    tiny_unet().save_pretrained(folder / "unet")
    tiny_vae().save_pretrained(folder / "vae")
    PNDMScheduler(**SCHEDULE, skip_prk_steps=True).save_pretrained(folder / "scheduler")
    write_index(folder)


def write_index(folder: Path, kind: str = "StableDiffusionPipeline") -> None:
    """Write the model_index.json of a pipeline of class ``kind``."""
    parts = {
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind, **parts}))
