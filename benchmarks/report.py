"""Rows of the table, the machine they were measured on, and how both are shown."""

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
    """One measured number. ``target`` is what the project asks for, ``note`` how it was taken."""

    what: str
    value: float
    unit: str = ""
    target: str = ""
    note: str = ""


def machine() -> dict[str, str]:
    """Where this runs: processor, memory, system, versions, commit, and how busy it was."""
    gib = psutil.virtual_memory().total / 2**30
    return {
        "processor": f"{processor()}, {cores()} cores",
        "memory": f"{gib:.0f} GiB",
        "load at start": f"{os.getloadavg()[0]:.1f}",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "commit": commit(),
    }


def processor() -> str:
    """The processor's own name, where the system tells it."""
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def cores() -> int:
    """Cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"


def table(rows: Sequence[Row], facts: dict[str, str]) -> str:
    """Markdown: the machine first, then one line for each row."""
    lines = [f"{name}: {fact}  " for name, fact in facts.items()]
    lines += ["", "| what | measured | target | how |", "| --- | ---: | --- | --- |"]
    for row in rows:
        measured = f"{row.value:.4g} {row.unit}".strip()
        lines.append(f"| {row.what} | {measured} | {row.target} | {row.note} |")
    return "\n".join(lines)


def as_json(rows: Sequence[Row], facts: dict[str, str]) -> str:
    return json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}, indent=2)
