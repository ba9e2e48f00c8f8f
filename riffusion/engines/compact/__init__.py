"""The shipped engine: a transformer that denoises log-mel images, live on two CPU cores.

engine             CompactEngine: clip requests in, spectrograms out
few_steps          FewSteps: samples in four steps, in 8 bits on processors
inputs             clip requests as tensors
features           tempo, controls and lead sheets as the numbers that condition the network
network            SpectrogramTransformer, the denoiser
patches            images to overlapping patches and back
sampler            the ODE steps from noise to a clean image, and their guidance scale
prompt_encoder     sentence embeddings of prompts
prompt_adapter     PromptAdapter: brings wordings that training never saw near to known ones
parallel_guidance  both evaluations of a guided step, in parallel on all cores
"""
