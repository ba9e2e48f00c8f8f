"""``python -m riffusion``: the command line."""

from riffusion.cli import run

run()
