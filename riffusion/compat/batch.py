"""Many clips from one JSON file, in the format of the original's playground."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from riffusion.audio.waveform import Waveform, write_audio
from riffusion.compat.files import make_folder, slugify
from riffusion.compat.inference import InferenceInput, PromptInput, to_clip_request
from riffusion.engines.arguments import load_chosen_engine
from riffusion.engines.protocol import Engine
from riffusion.engines.stable.options import FRAMES, SCHEDULERS, Scheduler
from riffusion.errors import InvalidInput
from riffusion.spectral.image import write_image
from riffusion.storage import write_whole

MAX_BYTES = 4 * 2**20
MAX_SEEDS = 100
THE_ORIGINALS: Mapping[str, Scheduler] = {
    "DPMSolverMultistep": "dpm++",
    "PNDM": "pndm",
    "DDIM": "ddim",
    "EulerDiscrete": "euler",
}
Make = Callable[[Engine, Sequence[InferenceInput]], list[tuple[Waveform, Image.Image]]]


class ParamSet(BaseModel):
    """How to make clips. ``checkpoint``, ``scheduler`` and ``width`` (columns of the image) give
    way to --model, --scheduler and --frames."""

    model_config = ConfigDict(strict=True, frozen=True)

    name: str | None = None
    checkpoint: str | None = None
    scheduler: str | None = None
    width: int = FRAMES
    num_inference_steps: int = 50
    guidance: float = 7.0


class Entry(BaseModel):
    """What to play."""

    model_config = ConfigDict(strict=True, frozen=True)

    prompt: str
    negative_prompt: str | None = None
    seed: int = 42


class BatchFile(BaseModel):
    """The file as it is written."""

    params: ParamSet | list[ParamSet]
    entries: list[Entry]


@dataclass(frozen=True)
class Job:
    """One clip: the number of its param set, what it is made with, and what it asks for."""

    params: int
    checkpoint: str | None
    scheduler: Scheduler | None
    width: int
    inputs: InferenceInput

    @property
    def machinery(self) -> tuple[str | None, Scheduler | None, int]:
        """What clips that one engine can make have in common."""
        return self.checkpoint, self.scheduler, self.width

    @property
    def name(self) -> str:
        end = self.inputs.start
        negative = slugify(end.negative_prompt) if end.negative_prompt else ""
        return f"{self.params}_{slugify(end.prompt)}_neg_{negative}_seed_{end.seed}"


def load_batch(path: str, seeds: int) -> list[Job]:
    """The clips that a file asks for, ``seeds`` of each entry. Raises InvalidInput."""
    if not 1 <= seeds <= MAX_SEEDS:
        raise InvalidInput("--num-seeds", seeds, f"use a whole number from 1 to {MAX_SEEDS}")
    file = _read(Path(path))
    sets = file.params if isinstance(file.params, list) else [file.params]
    jobs = [
        Job(
            number,
            params.checkpoint,
            _scheduler(params.scheduler),
            params.width,
            _inputs(params, entry, entry.seed + offset),
        )
        for entry in file.entries
        for offset in range(seeds)
        for number, params in enumerate(sets)
    ]
    for job in jobs:
        to_clip_request(job.inputs)
    return jobs


def make_batch(jobs: list[Job], folder: Path, arguments: Namespace, make: Make) -> Path:
    """Write an MP3 and a JPEG for each job into ``folder``, and an index.json. Its path."""
    make_folder(str(folder))
    index = []
    # One model at a time: several do not fit a small machine.
    for checkpoint, scheduler, width in dict.fromkeys(job.machinery for job in jobs):
        asked: dict[str, Any] = {"scheduler": arguments.scheduler or scheduler}
        if arguments.frames == FRAMES:
            asked["frames"] = width
        engine = load_chosen_engine(Namespace(**{**vars(arguments), **asked}), checkpoint)
        own = [job for job in jobs if job.machinery == (checkpoint, scheduler, width)]
        for first in range(0, len(own), arguments.batch_size):
            some = own[first : first + arguments.batch_size]
            made = make(engine, [job.inputs for job in some])
            for job, (sound, image) in zip(some, made, strict=True):
                names = {
                    "audio_path": f"audio_{job.name}.mp3",
                    "image_path": f"image_{job.name}.jpg",
                }
                write_audio(sound, folder / names["audio_path"])
                write_image(image, folder / names["image_path"])
                index.append({**_described(job), **names})
    path = folder / "index.json"
    write_whole(path, json.dumps({"entries": index}, indent=4).encode())
    return path


def _described(job: Job) -> dict[str, Any]:
    described = asdict(job)
    end = job.inputs.start
    del described["inputs"]
    return {**described, "prompt": end.prompt, "negative_prompt": end.negative_prompt,
            "seed": end.seed}  # fmt: skip


def _scheduler(name: str | None) -> Scheduler | None:
    """Our name of a scheduler of the original's playground. Raises InvalidInput for others."""
    if name is None or name in SCHEDULERS:
        return name
    ours = THE_ORIGINALS.get(name.removesuffix("Scheduler"))
    if ours is None:
        legal = f"use {', '.join(SCHEDULERS)}, or the original's {', '.join(THE_ORIGINALS)}"
        raise InvalidInput("scheduler", name, legal)
    return ours


def _inputs(params: ParamSet, entry: Entry, seed: int) -> InferenceInput:
    end = PromptInput(
        prompt=entry.prompt,
        seed=seed,
        negative_prompt=entry.negative_prompt,
        guidance=params.guidance,
    )
    steps = params.num_inference_steps
    return InferenceInput(alpha=0.0, num_inference_steps=steps, start=end, end=end)


def _read(path: Path) -> BatchFile:
    if not path.is_file():
        raise InvalidInput("--batch", str(path), "no such file; check the name and the folder")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidInput("--batch", path.name, f"has over {MAX_BYTES // 2**20} MB; split it")
    try:
        return BatchFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        legal = f"is no batch: {where}: {problem['msg']}; it needs params and entries"
        raise InvalidInput("--batch", path.name, legal) from error
