"""Stable Diffusion checkpoints as an engine: riffusion-model-v1 and its fine-tunes.

engine      StableEngine: requests in, spectrograms out
loading     a checkpoint from a folder or a hub, with LoRAs
options     StableOptions and Lora: how a checkpoint is run
text        weighted prompts of any length
schedulers  diffusers' schedulers by name
image       spectrograms as the images that checkpoints see
"""
