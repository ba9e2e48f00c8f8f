"""Distil the shipped engine to few steps: ``python -m riffusion distill MODEL CORPUS OUT``.

The student walks its own few steps without guidance, and at each of them learns from the teacher,
which takes guided steps from the same noisy image (``lessons``). What is trained and written is a
change of the weights of low rank: ``few_steps.safetensors``, which goes beside the weights of the
teacher.
The run stops when its minutes are used, and the same command resumes it.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from riffusion.engines.clip import DEFAULT_GUIDANCE
from riffusion.engines.compact.engine import FEW_STEPS_FILE, CompactEngine
from riffusion.engines.compact.network import SpectrogramTransformer
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.engines.compact.sampler import FEW_STEPS, few_steps
from riffusion.networks.low_rank import (
    apply_change,
    load_change,
    read_change,
    save_change,
    train_low_rank,
    write_change,
)
from riffusion.networks.weights import read_network
from riffusion.training import optimization
from riffusion.training.checkpoint import (
    Progress,
    load_checkpoint,
    save_checkpoint,
    storage_errors,
)
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.engine.flow import Network
from riffusion.training.engine.lessons import (
    CONTINUED,
    Lesson,
    continue_lesson,
    draw_lesson,
    lesson_loss,
    teach,
)
from riffusion.training.engine.sample_sheet import draw_comparison
from riffusion.training.engine.warm_start import read_scale
from riffusion.training.plots import draw_curve
from riffusion.training.precision import choose_autocast

CHECKPOINT_S = 240.0
LOG_STEPS = 25
AVERAGE_DECAY = 0.998
VALIDATION_WINDOWS = 32


@dataclass(frozen=True)
class DistillOptions:
    """The settings of a run.

    ``minutes`` is the whole time budget, that of earlier parts of the run included; ``rank`` is
    that of the change of each matrix; ``start_from`` is a change of an earlier run.
    """

    minutes: float
    batch: int = 16
    rate: float = 3e-4
    rank: int = 64
    seed: int = 0
    device: str = "cpu"
    compiled: bool = True
    start_from: Path | None = None


class Distiller:
    """One run in a folder: teacher, student, its average, the optimizer and the progress."""

    def __init__(self, model: Path, corpus: Path, out: Path, options: DistillOptions) -> None:
        """Open the corpus and the model, and resume the run in ``out``, if there is one.

        Raises InvalidInput where the corpus or the checkpoint is damaged or does not fit, and
        ModelError where there is no model.
        """
        torch.manual_seed(options.seed)
        self.options, self.out = options, out
        scale = read_scale(model)
        self.train = Corpus(corpus, "train", scale)
        self.validation = Corpus(corpus, "validation", scale)
        self._prompt_adapter = PromptAdapter.load(model)
        if self._prompt_adapter is not None:
            self.train.adapt_captions(self._prompt_adapter)
            self.validation.adapt_captions(self._prompt_adapter)
        read = read_network(SpectrogramTransformer, model)
        self.teacher = nn.Module.to(read, options.device).requires_grad_(False)
        self.student = copy.deepcopy(self.teacher).requires_grad_(True)
        train_low_rank(self.student, options.rank)
        if options.start_from is not None:
            write_change(self.student, load_change(options.start_from))
        self.average = copy.deepcopy(self.student).requires_grad_(False)
        trained = [value for value in self.student.parameters() if value.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=options.rate, betas=(0.9, 0.95), weight_decay=0.0
        )
        self.config = {"few_steps": FEW_STEPS, "rank": options.rank}
        loaded = load_checkpoint(
            out / "run", self.student, self.average, [self.optimizer], self.config
        )
        self.progress = loaded or Progress(0, 0, 0.0, self.config)
        # The networks themselves stay as they are, so that their weights keep their names.
        self._teach: Network = torch.compile(self.teacher) if options.compiled else self.teacher
        self._learn: Network = torch.compile(self.student) if options.compiled else self.student
        self._last: tuple[Lesson, torch.Tensor] | None = None

    def run(self) -> None:
        """Train until the time budget is used, with a checkpoint every four minutes.

        Raises ModelError where a loss is not finite, and StorageError on a full disk.
        """
        options, total_s = self.options, self.options.minutes * 60.0
        begin = saved = time.perf_counter()
        before_s, step, windows = self.progress.elapsed_s, self.progress.step, self.progress.windows
        rng = np.random.default_rng([options.seed, step])
        noise_rng = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        smooth = 0.0
        while (spent_s := before_s + time.perf_counter() - begin) < total_s:
            rate = options.rate * optimization.learning_rate(step, spent_s / total_s)
            optimization.set_learning_rate([self.optimizer], rate)
            losses = self.train_on(self._next_lesson(rng), noise_rng)
            optimization.check_losses(losses, step)
            step, windows = step + 1, windows + options.batch
            smooth = 0.95 * smooth + 0.05 * losses.mean() if smooth else losses.mean()
            now = time.perf_counter()
            if step % LOG_STEPS == 0:
                print(
                    f"step {step:6}  {windows / 1000:6.2f} k windows  loss {smooth:.4f} "
                    f"{np.round(losses, 3)}  {(total_s - spent_s) / 60:5.1f} min left",
                    flush=True,
                )
            if now - saved > CHECKPOINT_S:
                self._save(step, windows, before_s + now - begin, smooth)
                saved = time.perf_counter()
        self._save(step, windows, before_s + time.perf_counter() - begin, smooth)
        self._compare()

    def _compare(self) -> None:
        """Draw clips of the teacher and of the student for prompts as they are played."""
        with storage_errors(self.out):
            played = copy.deepcopy(self.teacher)
            apply_change(played, load_change(self.out / FEW_STEPS_FILE))
            engine = CompactEngine(
                copy.deepcopy(self.teacher),
                "student",
                self.options.device,
                prompt_adapter=self._prompt_adapter,
                few_step_network=played,
            )
            sharpness = draw_comparison(engine, self.out / "run" / "sheet")
        print(f"sharpness over prompts as they are played, of the teacher's: {sharpness:.3f}")

    def _next_lesson(self, rng: np.random.Generator) -> Lesson:
        """Return a lesson of new windows, or one that continues the clips of the last one."""
        if self._last is not None and rng.random() < CONTINUED:
            return continue_lesson(self.train, *self._last, rng)
        return draw_lesson(self.train, rng, self.options.batch)

    def train_on(self, lesson: Lesson, rng: torch.Generator) -> npt.NDArray[np.float64]:
        """Walk the steps of a lesson, train on each and return their losses, (steps,)."""
        lesson = lesson.to(torch.device(self.options.device))
        image, losses = lesson.begin(rng), []
        for now, following in pairwise(few_steps(lesson.start)):
            image = torch.where(lesson.given, lesson.known, image)
            wanted = teach(self._teach, lesson, image, now, following, DEFAULT_GUIDANCE)
            clean = _denoise(self._learn, lesson, image, now)
            loss = lesson_loss(clean, wanted, lesson, now)
            optimization.take_step(self.student, [self.optimizer], loss)
            optimization.update_average(self.average, self.student, AVERAGE_DECAY)
            losses.append(float(loss.detach()))
            image = _step(image, clean.detach(), now, following)
        self._last = lesson.to(torch.device("cpu")), image.cpu()
        return np.array(losses)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Compare the averaged student with the teacher's steps on fixed validation windows.

        Returns the mean loss, ``validation``, and ``sharpness``: the mean difference of
        neighbouring bands over that of the clips of the teacher from the same noise.
        """
        rng, noise_rng = np.random.default_rng(1), torch.Generator().manual_seed(1)
        lesson = draw_lesson(self.validation, rng, VALIDATION_WINDOWS)
        lesson = lesson.to(torch.device(self.options.device))
        image = taught = lesson.begin(noise_rng)
        losses = []
        for now, following in pairwise(few_steps(lesson.start)):
            image, taught = (torch.where(lesson.given, lesson.known, x) for x in (image, taught))
            wanted = teach(self.teacher, lesson, image, now, following, DEFAULT_GUIDANCE)
            clean = _denoise(self.average, lesson, image, now)
            losses.append(float(lesson_loss(clean, wanted, lesson, now)))
            aim = teach(self.teacher, lesson, taught, now, following, DEFAULT_GUIDANCE)
            image, taught = (
                _step(image, clean, now, following),
                _step(taught, aim, now, following),
            )
        sharpness = [
            float((x[:, :1].diff(dim=2).abs() * ~lesson.given).sum()) for x in (image, taught)
        ]
        return {"validation": float(np.mean(losses)), "sharpness": sharpness[0] / sharpness[1]}

    def _save(self, step: int, windows: int, elapsed_s: float, training: float) -> None:
        run = self.out / "run"
        progress = Progress(step, windows, elapsed_s, self.config)
        save_checkpoint(run, self.student, self.average, [self.optimizer], progress)
        with storage_errors(self.out):
            change = read_change(self.average, self.teacher)
            save_change(change, self.out / FEW_STEPS_FILE)
            measured = self.validate()
            point: dict[str, Any] = {"step": step, "windows": windows, "training": training}
            with (run / "curve.jsonl").open("a") as curve:
                curve.write(json.dumps(point | measured) + "\n")
            draw_curve(run / "curve.jsonl", run / "curve.png")
        shown = "  ".join(f"{name} {value:.4f}" for name, value in measured.items())
        print(f"saved at {windows / 1000:.1f} k windows  {shown}", flush=True)


def _denoise(network: Network, lesson: Lesson, image: torch.Tensor, now: float) -> torch.Tensor:
    with choose_autocast(image.device.type):
        times = image.new_full((len(image),), now)
        return network(image, times, lesson.conditioning).float()


def _step(image: torch.Tensor, clean: torch.Tensor, now: float, following: float) -> torch.Tensor:
    left = (1 - following) / (1 - now)
    return left * image + (1 - left) * clean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m riffusion distill``."""
    parser.add_argument("model", type=Path, help="the model folder to learn from")
    parser.add_argument("corpus", type=Path, help="folder made by `riffusion corpus`")
    parser.add_argument("out", type=Path, help=f"folder that {FEW_STEPS_FILE} goes to")
    parser.add_argument("--minutes", type=float, default=75.0, help="time budget (default 75)")
    parser.add_argument("--batch", type=int, default=16, help="windows a lesson (default 16)")
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate (default 0.0003)")
    parser.add_argument("--rank", type=int, default=64, help="of the change (default 64)")
    parser.add_argument("--seed", type=int, default=0, help="of windows and noise (default 0)")
    parser.add_argument("--start-from", type=Path, help=f"a {FEW_STEPS_FILE} to begin with")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--no-compile", dest="compiled", action="store_false", help="do without torch.compile"
    )


def main(args: argparse.Namespace) -> None:
    """Distil a model, or resume its distillation."""
    names = [field.name for field in fields(DistillOptions)]
    options = DistillOptions(**{name: getattr(args, name) for name in names})
    Distiller(args.model, args.corpus, args.out, options).run()
