"""Stable Diffusion checkpoints as an engine: riffusion-model-v1 and its fine-tunes.

engine          StableEngine: clip requests in, spectrograms out, in batches that fit the memory
denoiser        the UNet with classifier-free guidance
latents         the autoencoder: anchors, contexts and masks to latents, latents to spectrograms
loading         a checkpoint from a folder or a hub, with LoRAs
options         StableOptions and Lora: how a checkpoint is run
prompt_encoder  weighted prompts of any length to CLIP embeddings
schedulers      diffusers' schedulers by name
image           spectrograms as the images that checkpoints see
"""
