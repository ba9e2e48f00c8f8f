"""Training of the learned vocoder on recordings, and on music as an engine generates it.

train         the command ``train-vocoder``: the run, its options and its files
data          random crops of recordings as batches of inputs and targets
generated     windows of recordings as an engine generates them again
losses        errors of levels, stereo width and phase derivatives
stereo_width  a correction after training
"""
