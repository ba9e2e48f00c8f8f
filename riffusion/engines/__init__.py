"""Engines turn prompts into mel spectrograms.

An engine takes a batch of clip requests and returns a batch of spectrograms, one clip each. Two
kinds exist: the shipped one, which is fast enough to play live on two CPU cores, and Stable
Diffusion checkpoints such as the original Riffusion's.

protocol   Engine: the one interface, ClipRequest batches in, Spectrogram batches out
clip       ClipRequest, Prompt, Controls, LeadSheet and Mix
noise      the noise of a window, or of the places of a loop
blending   the prompts of a clip as one text and one noise
loading    load_engine: the one place that chooses an engine
arguments  the command-line options that choose an engine
prefetch   PrefetchingEngine: the next clip made ahead, in another thread
rendering  a generated spectrogram as the sound and the image that people keep
compact    the shipped engine
stable     Stable Diffusion checkpoints
"""
