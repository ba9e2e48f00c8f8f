"""Engines turn prompts into mel spectrograms.

protocol   Engine: the one interface, ClipRequest batches in, Spectrogram batches out
clip       ClipRequest, Prompt, Controls, LeadSheet and Mix
loading    load_engine: the one place that chooses an engine
arguments  the options of a command line that choose an engine
rendering  a generated spectrogram as the sound and image that people keep
compact    the shipped engine
stable     Stable Diffusion checkpoints
"""
