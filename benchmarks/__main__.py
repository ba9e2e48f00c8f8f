"""Run all measurements, or those named, and print one table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import analysis, browser, codec, decode, hour, latency, seams, setup, song, speed, stable
from benchmarks.options import Options
from benchmarks.report import describe_machine, format_json, format_table

MEASUREMENTS = {
    "speed": speed.measure,
    "latency": latency.measure,
    "seams": seams.measure,
    "song": song.measure,
    "codec": codec.measure,
    "decode": decode.measure,
    "browser": browser.measure,
    "hour": hour.measure,
    "setup": setup.measure,
    "stable": stable.measure,
    "analysis": analysis.measure,
}
USUAL = [name for name in MEASUREMENTS if name not in ("setup", "stable")]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the measurements of the command line, and print and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--model", help="a model folder (default: the one that comes with this)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument(
        "--repeats", type=int, default=5, help="number of runs of which the median is given"
    )
    parser.add_argument("--jam-minutes", type=float, default=60, help="length of the hour")
    parser.add_argument("--soak-minutes", type=float, default=15, help="length in the browser")
    parser.add_argument("--songs", help="a folder by corpus-sound, for analysis")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    given = parser.parse_args(argv)
    unknown = [name for name in given.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; use {', '.join(MEASUREMENTS)}")

    facts = {**describe_machine(), "model": given.model or "the shipped one"}
    options = Options(
        model=given.model,
        device=given.device,
        repeats=given.repeats,
        jam_minutes=given.jam_minutes,
        soak_minutes=given.soak_minutes,
        songs=given.songs,
    )
    rows = [row for name in given.names or USUAL for row in MEASUREMENTS[name](options)]
    print(format_table(rows, facts))
    if given.json:
        given.json.write_text(format_json(rows, facts) + "\n")


if __name__ == "__main__":
    main()
