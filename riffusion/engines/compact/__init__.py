"""The shipped engine: a transformer that denoises log-mel images, live on two CPU cores.

engine             CompactEngine: requests in, spectrograms out
network            SpectrogramTransformer, the denoiser
sampler            the steps from noise to a clean image
prompt_encoder     sentence embeddings of prompts
prompt_adapter     PromptAdapter: brings wordings that training never saw near to known ones
parallel_guidance  both evaluations of a guided step, side by side on all cores
"""
