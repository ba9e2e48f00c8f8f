"""Training of the learned vocoder: the run and the windows it learns from."""
