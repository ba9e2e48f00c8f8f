"""The command line, for ``python -m riffusion``."""

from riffusion.cli.main import run

run()
