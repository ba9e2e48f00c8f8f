"""The state of a training run on disk: tensors as safetensors, numbers as JSON.

A checkpoint is written as a whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from riffusion.errors import InvalidInput, StorageError


@dataclass(frozen=True)
class Progress:
    """The progress of a run, whose network has ``config``; it resumes with the same one only."""

    step: int
    windows: int
    elapsed_s: float
    config: dict[str, Any]


def save_checkpoint(
    folder: Path,
    network: nn.Module,
    average: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    progress: Progress,
) -> None:
    """Write networks, optimizers and progress to ``folder``. Raises StorageError on a full disk."""
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                key = f"{_optimizer_prefix(number, optimizer)}{index}/{name}"
                tensors[key] = torch.as_tensor(value)
    partial = folder / "checkpoint.part"
    with storage_errors(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            metadata = {"progress": json.dumps(asdict(progress))}
            save_file({k: v.contiguous().clone() for k, v in tensors.items()}, partial, metadata)
            partial.replace(folder / "checkpoint.safetensors")
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn errors of writing to ``folder`` into StorageError, which says what to do."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"the run in {folder} could not be saved: {error}; free some space and start it again: "
            "it goes on from its last checkpoint"
        ) from error


def load_checkpoint(
    folder: Path,
    network: nn.Module,
    average: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    config: dict[str, Any],
) -> Progress | None:
    """Restore a run from ``folder``; return its progress, or None where there is no checkpoint.

    An optimizer of another kind than the saved one, as another machine uses, starts anew. Raises
    InvalidInput where the checkpoint is damaged or belongs to another configuration.
    """
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return None
    try:
        tensors = load_file(path)
        progress = _read_progress(path)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        hint = f"it is damaged ({error}); delete it to start over"
        raise InvalidInput("checkpoint", str(path), hint) from error
    if progress.config != config:
        changed = sorted(k for k in config if progress.config.get(k) != config[k])
        hint = f"was made with another {', '.join(changed)}; use another folder or delete it"
        raise InvalidInput("checkpoint", str(path), hint)
    try:
        network.load_state_dict(_select("network/", tensors))
        average.load_state_dict(_select("average/", tensors))
    except RuntimeError as error:
        hint = "is of another version of the network; use another folder or delete it"
        raise InvalidInput("checkpoint", str(path), hint) from error
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _select(_optimizer_prefix(number, optimizer), tensors).items():
            index, key = name.split("/")
            state.setdefault(int(index), {})[key] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return progress


def _optimizer_prefix(number: int, optimizer: torch.optim.Optimizer) -> str:
    return f"optimizer/{number}/{type(optimizer).__name__}/"


def _select(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors whose name starts with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _read_progress(path: Path) -> Progress:
    with safe_open(path, "pt") as file:
        return Progress(**json.loads(file.metadata()["progress"]))
