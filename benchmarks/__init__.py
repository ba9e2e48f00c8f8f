"""Measurements of the whole instrument: ``python -m benchmarks`` prints one table."""

# Before PyTorch, whose threads are then measured as they wait in the app.
import riffusion as riffusion
