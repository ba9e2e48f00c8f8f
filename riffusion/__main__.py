"""``python -m riffusion``: the command line."""

from riffusion.cli.main import run

run()
