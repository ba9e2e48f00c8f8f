"""The rows of the table, the machine they were measured on, and both as text and JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = ("torch", "numpy", "diffusers", "gradio", "soundfile")


@dataclass(frozen=True)
class Row:
    """One measured number. ``target`` is what the project aims at, ``note`` how it was measured."""

    what: str
    value: float
    unit: str = ""
    target: str = ""
    note: str = ""


def describe_machine() -> dict[str, str]:
    """Return the facts about this machine: processor, memory, system, versions, commit and load."""
    gib = psutil.virtual_memory().total / 2**30
    return {
        "processor": f"{find_processor()}, {count_cores()} cores",
        "memory": f"{gib:.0f} GiB",
        "load at start": f"{os.getloadavg()[0]:.1f}",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "commit": describe_commit(),
    }


def find_processor() -> str:
    """Return the name of the processor, where the system tells it."""
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_commit() -> str:
    """Return the commit of this folder, "unknown" outside a repository."""
    command = ["git", "describe", "--always", "--dirty"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"


def format_table(rows: Sequence[Row], facts: dict[str, str]) -> str:
    """Return Markdown: the facts first, then one line for each row."""
    lines = [f"{name}: {fact}  " for name, fact in facts.items()]
    lines += ["", "| what | measured | target | how |", "| --- | ---: | --- | --- |"]
    for row in rows:
        measured = f"{row.value:.4g} {row.unit}".strip()
        lines.append(f"| {row.what} | {measured} | {row.target} | {row.note} |")
    return "\n".join(lines)


def format_json(rows: Sequence[Row], facts: dict[str, str]) -> str:
    """Return facts and rows as JSON."""
    return json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}, indent=2)
