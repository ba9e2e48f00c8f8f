"""Measurements of the whole instrument: ``python -m benchmarks`` prints one table."""
