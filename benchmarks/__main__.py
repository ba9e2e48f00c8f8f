"""Run all measurements, or those named, and print one table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    analysis,
    browser,
    codec,
    cohesion,
    decode,
    hour,
    latency,
    seams,
    setup,
    song,
    speed,
    stable,
)
from benchmarks.options import Options
from benchmarks.report import describe_machine, format_json, format_table
from riffusion.errors import InvalidInput
from riffusion.jam.schema import BY_NAME
from riffusion.jam.setting_values import LIBRARY, read_value

MEASUREMENTS = {
    "speed": speed.measure,
    "latency": latency.measure,
    "seams": seams.measure,
    "cohesion": cohesion.measure,
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
    parser.add_argument("--minutes", type=float, default=2 / 3, help="length of held jams")
    parser.add_argument("--seeds", type=int, default=3, help="jams of each prompt and pair")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the jams whose seams or cohesion is measured; may be given repeatedly",
    )
    parser.add_argument("--songs", help="a folder by corpus-sound, for analysis")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    given = parser.parse_args(argv)
    unknown = [name for name in given.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; use {', '.join(MEASUREMENTS)}")

    try:
        settings = read_given(given.set)
    except InvalidInput as error:
        parser.error(str(error))

    facts = {**describe_machine(), "model": given.model or "the shipped one"}
    if settings:
        facts["settings"] = ", ".join(given.set)
    options = Options(
        model=given.model,
        device=given.device,
        repeats=given.repeats,
        jam_minutes=given.jam_minutes,
        soak_minutes=given.soak_minutes,
        held_minutes=given.minutes,
        seeds=given.seeds,
        settings=settings,
        songs=given.songs,
    )
    rows = [row for name in given.names or USUAL for row in MEASUREMENTS[name](options)]
    print(format_table(rows, facts))
    if given.json:
        given.json.write_text(format_json(rows, facts) + "\n")


def read_given(given: Sequence[str]) -> dict[str, object]:
    """Read settings written as ``name=value``, by their names in the schema.

    Raises InvalidInput for an unknown name or a bad value.
    """
    settings: dict[str, object] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or name not in BY_NAME:
            raise InvalidInput(
                "setting", text, f"write NAME=VALUE with one of {', '.join(BY_NAME)}"
            )
        settings[name] = read_value(BY_NAME[name], value, LIBRARY)
    return settings


if __name__ == "__main__":
    main()
