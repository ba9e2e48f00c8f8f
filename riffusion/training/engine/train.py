"""Train the shipped engine: ``python -m riffusion train CORPUS OUT --minutes 90``.

The loss is that of flow matching (Lipman et al., 2023) with a clean-image prediction, at
logit-normal times. Muon (Jordan et al., 2024) trains the matrices of the blocks and AdamW the rest;
the exponential average of the weights is what is written. The run stops when its minutes are used,
and the same command resumes it.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.network import SpectrogramTransformer
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.networks.weights import write_network
from riffusion.training import optimization
from riffusion.training.checkpoint import (
    Progress,
    load_checkpoint,
    save_checkpoint,
    storage_errors,
)
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.corpus.shards import CHANNELS
from riffusion.training.corpus.windows import draw_batch
from riffusion.training.engine.critics.loading import load_critics
from riffusion.training.engine.critics.loss import critic_loss
from riffusion.training.engine.flow import Network, denoise, flow_loss, velocity_error
from riffusion.training.engine.prompt_adapter import fit_prompt_adapter
from riffusion.training.engine.sample_sheet import draw_sample_sheet
from riffusion.training.engine.warm_start import read_scale, warm_start
from riffusion.training.plots import draw_curve

CHECKPOINT_S = 240.0
SHEET_EVERY = 5  # checkpoints
LOG_STEPS = 50
AVERAGE_DECAY = 0.999
VALIDATION_BATCHES = 4
VALIDATION_BATCH = 32


@dataclass(frozen=True)
class TrainOptions:
    """The settings of a run.

    ``minutes`` is the whole time budget, that of earlier parts of the run included; ``emphasis``
    lists styles that are drawn three times as often; ``critic`` is the weight of the critic loss.
    """

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


class Trainer:
    """One training run in a folder: the network, its average, the optimizers and the progress."""

    def __init__(self, corpus: Path, out: Path, options: TrainOptions) -> None:
        """Open the corpus, build the network and resume the run in ``out``, if there is one.

        Raises InvalidInput where the corpus or the checkpoint is damaged or does not fit, and
        ModelError where the model to start from does not.
        """
        torch.manual_seed(options.seed)
        self.options, self.out = options, out
        scale = read_scale(options.start_from) if options.start_from is not None else None
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
            warm_start(self.network, options.start_from)
        self.average = copy.deepcopy(self.network).eval()
        self.optimizers = optimization.make_optimizers(self.network, options.rate)
        self.config = asdict(self.network.config)
        loaded = load_checkpoint(
            out / "run", self.network, self.average, self.optimizers, self.config
        )
        self.progress = loaded or Progress(0, 0, 0.0, self.config)
        self.critics = (
            load_critics(self.train, corpus).to(torch.device(options.device))
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

    def run(self) -> None:
        """Train until the time budget is used, with a checkpoint every four minutes.

        Raises ModelError where a loss is not finite, and StorageError on a full disk.
        """
        options, total_s = self.options, self.options.minutes * 60.0
        begin, saved, smooth = time.perf_counter(), time.perf_counter(), np.zeros(2)
        before_s, step, windows = self.progress.elapsed_s, self.progress.step, self.progress.windows
        rng = np.random.default_rng([options.seed, step])
        noise_rng = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        while (spent_s := before_s + time.perf_counter() - begin) < total_s:
            rate = options.rate * optimization.learning_rate(step, spent_s / total_s)
            optimization.set_learning_rate(self.optimizers, rate)
            losses = self.train_step(rng, noise_rng)
            optimization.check_losses(losses, step)
            step, windows = step + 1, windows + options.batch
            decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
            optimization.update_average(self.average, self.network, decay)
            smooth = 0.98 * smooth + 0.02 * losses if smooth.any() else losses
            now = time.perf_counter()
            if step % LOG_STEPS == 0:
                speed = (windows - self.progress.windows) / (now - begin)
                self._log(step, windows, smooth, speed, (total_s - spent_s) / 60)
            if now - saved > CHECKPOINT_S:
                self._save(step, windows, before_s + now - begin, float(smooth[0]))
                saved = time.perf_counter()
        self._save(step, windows, before_s + time.perf_counter() - begin, float(smooth[0]))

    def train_step(
        self, rng: np.random.Generator, noise_rng: torch.Generator
    ) -> npt.NDArray[np.float64]:
        """Train on one batch and return its losses, (2,): of the velocity and of the critics.

        ``rng`` draws the windows, ``noise_rng`` times and noise. The second is 0 without critics.
        """
        device = torch.device(self.options.device)
        batch = draw_batch(self.train, rng, self.options.batch).to(device)
        denoised = denoise(self.compiled, batch.images, batch.conditioning, noise_rng)
        error = velocity_error(denoised, batch.images, batch.conditioning.context)
        criticised = error.new_zeros(())
        if self.critics is not None:
            criticised = critic_loss(self.critics, self.compiled, denoised, batch, noise_rng)
        loss = error + self.options.critic * criticised
        optimization.take_step(self.network, self.optimizers, loss)
        return np.array([float(error.detach()), float(criticised.detach())])

    @torch.no_grad()
    def validate(self) -> float:
        """Return the flow-matching loss of the averaged network on fixed validation windows."""
        rng, noise_rng = np.random.default_rng(1), torch.Generator().manual_seed(1)
        device = torch.device(self.options.device)
        losses = []
        for _ in range(VALIDATION_BATCHES):
            batch = draw_batch(self.validation, rng, VALIDATION_BATCH).to(device)
            error = flow_loss(self.average, batch.images, batch.conditioning, noise_rng)
            losses.append(float(error))
        return float(np.mean(losses))

    def _log(
        self, step: int, windows: int, losses: npt.NDArray[np.float64], speed: float, left: float
    ) -> None:
        of_critics = f"critics {losses[1]:.3f}  " if self.critics is not None else ""
        print(
            f"step {step:6}  {windows / 1000:6.1f} k windows  {speed:5.1f}/s  "
            f"loss {losses[0]:.4f}  {of_critics}{left:5.1f} min left",
            flush=True,
        )

    def _save(self, step: int, windows: int, elapsed_s: float, training: float) -> None:
        progress = Progress(step, windows, elapsed_s, self.config)
        save_checkpoint(self.out / "run", self.network, self.average, self.optimizers, progress)
        with storage_errors(self.out):
            self._write_model(step, windows, training)

    def _write_model(self, step: int, windows: int, training: float) -> None:
        """Write the averaged model, the curve of losses, and every fifth time a sample sheet."""
        export(self.average, self.out)
        if self.prompt_adapter is not None:
            self.prompt_adapter.save(self.out)
        loss = self.validate()
        point = {"step": step, "windows": windows, "training": training, "validation": loss}
        listing = self.out / "run" / "curve.jsonl"
        with listing.open("a") as curve:
            curve.write(json.dumps(point) + "\n")
        draw_curve(listing, self.out / "run" / "curve.png")
        if self._saves % SHEET_EVERY == 0:
            draw_sample_sheet(self.out, self.out / "run" / f"sheet-{windows:08}")
        self._saves += 1
        print(f"saved at {windows / 1000:.1f} k windows, validation loss {loss:.4f}", flush=True)


def export(network: SpectrogramTransformer, folder: Path) -> None:
    """Write half-precision weights and the configuration, as ``load_engine`` reads them."""
    write_network(copy.deepcopy(network).half(), folder, exact=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m riffusion train``."""
    parser.add_argument("corpus", type=Path, help="folder made by `riffusion corpus`")
    parser.add_argument("out", type=Path, help="folder the model goes to")
    parser.add_argument("--minutes", type=float, default=90.0, help="time budget (default 90)")
    parser.add_argument("--batch", type=int, default=64, help="windows a step (default 64)")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate (default 0.001)")
    parser.add_argument("--seed", type=int, default=0, help="of windows and noise (default 0)")
    parser.add_argument("--width", type=int, default=320, help="of the network (default 320)")
    parser.add_argument("--depth", type=int, default=10, help="number of blocks (default 10)")
    parser.add_argument("--heads", type=int, default=5, help="of attention (default 5)")
    parser.add_argument(
        "--modulation-rank", type=int, default=64, help="of each block's own part of adaLN"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--start-from", type=Path, help="a model folder to begin with, of any mel scale or channels"
    )
    parser.add_argument(
        "--emphasis",
        type=_parse_styles,
        default=(),
        metavar="STYLES",
        help="styles to draw three times as often as others: 'blues, funk'",
    )
    parser.add_argument(
        "--critic",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="weight of the loss by two critics, which are trained first if missing (default 0)",
    )
    parser.add_argument(
        "--no-compile", dest="compiled", action="store_false", help="do without torch.compile"
    )


def _parse_styles(text: str) -> tuple[str, ...]:
    return tuple(style for part in text.split(",") if (style := part.strip()))


def main(args: argparse.Namespace) -> None:
    """Train a model, or resume its training."""
    names = [field.name for field in fields(TrainOptions)]
    options = TrainOptions(**{name: getattr(args, name) for name in names})
    Trainer(args.corpus, args.out, options).run()
