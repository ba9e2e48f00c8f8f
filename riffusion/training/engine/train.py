"""Train the shipped engine: ``python -m riffusion train CORPUS OUT --minutes 90``.

Flow matching (Lipman et al., 2023) with a clean-image prediction and a velocity loss, logit-normal
times, an averaged network, Muon for the matrices of the blocks (Jordan et al., 2024) and AdamW for
the rest. The run stops when its minutes are used, and the same command goes on after a cut.
"""

from __future__ import annotations

import argparse
import copy
import inspect
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.network import SpectrogramTransformer
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.errors import ModelError
from riffusion.training.checkpoint import Progress, load_checkpoint, room_in, save_checkpoint
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.corpus.shards import CHANNELS
from riffusion.training.engine.critics.both import critics_of
from riffusion.training.engine.critics.loss import lesson
from riffusion.training.engine.flow import Network, flow_loss, guess, velocity_error
from riffusion.training.engine.prompt_adapter import fit_prompt_adapter
from riffusion.training.engine.sample_sheet import draw_sheet
from riffusion.training.engine.warm_start import scale_of, start_from
from riffusion.training.plots import draw_curve
from riffusion.training.precision import halves_pay

CHECKPOINT_S = 240.0
SHEET_EVERY = 5  # checkpoints
LOG_STEPS = 50
WARMUP_STEPS = 100
DECAY_FROM = 0.6
MIN_RATE = 0.01
AVERAGE_DECAY = 0.999
VALIDATION_BATCHES = 4


@dataclass(frozen=True)
class TrainOptions:
    """What a run is made of. ``minutes`` is the whole budget, earlier tries counted in."""

    minutes: float
    batch: int = 64
    rate: float = 1e-3
    seed: int = 0
    width: int = 320
    depth: int = 10
    heads: int = 5
    modulation_rank: int = 64
    device: str = "cpu"
    compiled: bool = True
    start_from: Path | None = None
    emphasis: tuple[str, ...] = ()
    critic: float = 0.0


def learning_rate(step: int, spent: float) -> float:
    """Factor of the rate: a short warm-up, flat, then down to almost nothing."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    left = (1 - spent) / (1 - DECAY_FROM)
    return warm * max(MIN_RATE, min(1.0, left))


def check_losses(losses: float | npt.NDArray[np.float64], step: int) -> None:
    """Raises ModelError where a run has broken, before anything of it is saved.

    torch.compile of 2.13 with bfloat16 was seen to make gradients of trained weights no numbers.
    """
    if not np.isfinite(losses).all():
        raise ModelError(
            f"the losses are no numbers any more after {step} steps, so the run stops and its last "
            "checkpoint stays as it is: go on from there with --no-compile, or begin in another "
            "folder with a lower --rate"
        )


def make_optimizers(network: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside blocks, AdamW for embeddings, modulation and the output.

    AdamW for both on processors to which bfloat16, in which Muon has its products, is foreign: six
    seconds a step of the vocoder on two cores, where all else takes one.
    """
    device = next(network.parameters()).device.type
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        is_matrix = "blocks." in name and parameter.ndim == 2 and "modulation" not in name
        (matrices if is_matrix else others).append(parameter)
    if halves_pay(device):
        first: torch.optim.Optimizer = torch.optim.Muon(
            matrices, lr=rate, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        )
    else:
        first = _adam(matrices, rate)
    return [first, _adam(others, rate)]


def _adam(parameters: list[nn.Parameter], rate: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.95), weight_decay=0.01)


class Trainer:
    """One training run in a folder: network, average, optimizers and how far they are."""

    def __init__(self, corpus: Path, out: Path, options: TrainOptions) -> None:
        torch.manual_seed(options.seed)
        self.options, self.out = options, out
        scale = scale_of(options.start_from) if options.start_from is not None else None
        self.train = Corpus(corpus, "train", scale, options.emphasis)
        self.validation = Corpus(corpus, "validation", self.train.statistics.scale)
        self.prompt_adapter = self._fit_prompt_adapter()
        self.network = SpectrogramTransformer(
            channels=CHANNELS,
            width=options.width,
            depth=options.depth,
            heads=options.heads,
            modulation_rank=options.modulation_rank,
            max_hz=COMPACT_PARAMS.max_hz,
            **asdict(self.train.statistics.scale),
        ).to(options.device)
        if options.start_from is not None:
            start_from(self.network, options.start_from)
        self.average = copy.deepcopy(self.network).eval()
        self.optimizers = make_optimizers(self.network, options.rate)
        self.config = self._config()
        loaded = load_checkpoint(
            out / "run", self.network, self.average, self.optimizers, self.config
        )
        self.progress = loaded or Progress(0, 0, 0.0, self.config)
        self.critics = (
            critics_of(self.train, corpus).to(torch.device(options.device))
            if options.critic
            else None
        )
        self._saves = 0
        self.compiled: Network = torch.compile(self.network) if options.compiled else self.network

    def _fit_prompt_adapter(self) -> PromptAdapter | None:
        styles = sorted({song.style for song in self.train.songs})
        adapter = fit_prompt_adapter(styles, self.train.plain_captions())
        if adapter is not None:
            self.train.adapt_captions(adapter)
            self.validation.adapt_captions(adapter)
        return adapter

    def _config(self) -> dict[str, Any]:
        names = inspect.signature(SpectrogramTransformer).parameters
        return {name: self.network.config[name] for name in names}

    def run(self) -> None:
        """Train until the budget is spent, saving as it goes."""
        options, total_s = self.options, self.options.minutes * 60.0
        begin, saved, smooth = time.perf_counter(), time.perf_counter(), np.zeros(2)
        before_s, step, windows = self.progress.elapsed_s, self.progress.step, self.progress.windows
        rng = np.random.default_rng([options.seed, step])
        noise_rng = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        while (spent_s := before_s + time.perf_counter() - begin) < total_s:
            self._set_rate(options.rate * learning_rate(step, spent_s / total_s))
            loss = self._step(rng, noise_rng)
            check_losses(loss, step)
            step, windows = step + 1, windows + options.batch
            self._update_average(step)
            smooth = 0.98 * smooth + 0.02 * loss if smooth.any() else loss
            now = time.perf_counter()
            if step % LOG_STEPS == 0:
                speed = (windows - self.progress.windows) / (now - begin)
                self._log(step, windows, smooth, speed, (total_s - spent_s) / 60)
            if now - saved > CHECKPOINT_S:
                self._save(step, windows, before_s + now - begin, float(smooth[0]))
                saved = time.perf_counter()
        self._save(step, windows, before_s + time.perf_counter() - begin, float(smooth[0]))

    def _step(
        self, rng: np.random.Generator, noise_rng: torch.Generator
    ) -> npt.NDArray[np.float64]:
        """One step's errors: of the velocity, and what the critics say, or 0."""
        batch = self.train.batch(rng, self.options.batch).to(torch.device(self.options.device))
        guessed = guess(self.compiled, batch.images, batch.conditioning, noise_rng)
        error = velocity_error(guessed, batch.images, batch.conditioning.context)
        taught = error.new_zeros(())
        if self.critics is not None:
            taught = lesson(self.critics, self.compiled, guessed, batch, noise_rng)
        loss = error + self.options.critic * taught
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return np.array([float(error.detach()), float(taught.detach())])

    def _set_rate(self, rate: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
        for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)

    @torch.no_grad()
    def _validate(self) -> float:
        rng, noise_rng = np.random.default_rng(1), torch.Generator().manual_seed(1)
        device = torch.device(self.options.device)
        losses = []
        for _ in range(VALIDATION_BATCHES):
            batch = self.validation.batch(rng, 32).to(device)
            error = flow_loss(self.average, batch.images, batch.conditioning, noise_rng)
            losses.append(float(error))
        return float(np.mean(losses))

    def _log(
        self, step: int, windows: int, loss: npt.NDArray[np.float64], speed: float, left: float
    ) -> None:
        told = f"critics {loss[1]:.3f}  " if self.critics is not None else ""
        print(
            f"step {step:6}  {windows / 1000:6.1f} k windows  {speed:5.1f}/s  "
            f"loss {loss[0]:.4f}  {told}{left:5.1f} min left",
            flush=True,
        )

    def _save(self, step: int, windows: int, elapsed_s: float, training: float) -> None:
        progress = Progress(step, windows, elapsed_s, self.config)
        save_checkpoint(self.out / "run", self.network, self.average, self.optimizers, progress)
        with room_in(self.out):
            self._show(step, windows, training)

    def _show(self, step: int, windows: int, training: float) -> None:
        """Write the model as it is now, the curve, and now and then a sheet of samples."""
        export(self.average, self.out)
        if self.prompt_adapter is not None:
            self.prompt_adapter.save(self.out)
        loss = self._validate()
        point = {"step": step, "windows": windows, "training": training, "validation": loss}
        listing = self.out / "run" / "curve.jsonl"
        with listing.open("a") as curve:
            curve.write(json.dumps(point) + "\n")
        draw_curve(listing, self.out / "run" / "curve.png")
        if self._saves % SHEET_EVERY == 0:
            draw_sheet(self.out, self.out / "run" / f"sheet-{windows:08}")
        self._saves += 1
        print(f"saved at {windows / 1000:.1f} k windows, validation loss {loss:.4f}", flush=True)


def export(network: SpectrogramTransformer, folder: Path) -> None:
    """Write half-precision weights and configuration that ``load_engine`` reads."""
    half: Any = copy.deepcopy(network)
    half.half().save_pretrained(folder, safe_serialization=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m riffusion train``."""
    parser.add_argument("corpus", type=Path, help="folder made by `riffusion corpus`")
    parser.add_argument("out", type=Path, help="folder the model goes to")
    parser.add_argument("--minutes", type=float, default=90.0, help="time budget (default 90)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate (default 0.001)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--heads", type=int, default=5)
    parser.add_argument(
        "--modulation-rank", type=int, default=64, help="of each block's own part of adaLN"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--start-from", type=Path, help="a model folder to begin with, of any mel scale or channels"
    )
    parser.add_argument(
        "--emphasis",
        type=_styles,
        default=(),
        metavar="STYLES",
        help="styles to draw three times as often as others: 'blues, funk'",
    )
    parser.add_argument(
        "--critic",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="of the lesson of two critics, trained first if missing (default 0)",
    )
    parser.add_argument("--no-compile", dest="compiled", action="store_false")


def _styles(text: str) -> tuple[str, ...]:
    return tuple(style for part in text.split(",") if (style := part.strip()))


def main(args: argparse.Namespace) -> None:
    """Train, or go on training, a model."""
    names = TrainOptions.__dataclass_fields__
    options = TrainOptions(**{name: getattr(args, name) for name in names})
    Trainer(args.corpus, args.out, options).run()
