"""Serve the page with ``python app.py``. A Hugging Face Space runs this file too."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence

from riffusion.engines.arguments import add_engine_arguments, load_chosen_engine
from riffusion.errors import RiffusionError
from riffusion.live.registry import MAX_JAMS
from riffusion.serving.memory import return_freed_memory
from riffusion.serving.server import HOST, serve


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C and return the exit code: 0 stopped, 1 could not start."""
    options = parse_options(argv)
    return_freed_memory()
    try:
        engine = load_chosen_engine(options)
        with serve(engine, options.host, options.port, warm=True, max_jams=options.jams) as serving:
            sys.stdout.write(f"Riffusion is at {serving.url}  (Ctrl-C stops it)\n")
            sys.stdout.flush()
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    except RiffusionError as error:
        sys.stderr.write(f"riffusion: {error}\n")
        return 1
    return 0


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line. A Space gives the address and the port in the environment."""
    host = os.environ.get("GRADIO_SERVER_NAME", HOST)
    port = os.environ.get("GRADIO_SERVER_PORT")
    parser = argparse.ArgumentParser(description="Live, infinite AI jamming in your browser.")
    parser.add_argument("--host", default=host, help="0.0.0.0 serves the whole network")
    parser.add_argument("--port", type=int, default=port, help="default: first free from 7860 on")
    add_engine_arguments(parser)
    parser.add_argument(
        "--jams", type=int, default=MAX_JAMS, help="most jams at a time (default %(default)s)"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
