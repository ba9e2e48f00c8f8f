"""Train the learned vocoder: ``python -m riffusion train-vocoder SOUND OUT --minutes 60``.

SOUND is a folder with ``train`` and ``validation`` recordings, as ``corpus-sound`` makes it. The
targets, magnitudes and phase derivatives, are all computed from the sound, so that a run of an hour
on one core is enough; there is no discriminator. With ``--generated MODEL`` a part of each batch is
music as that engine generates it.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from riffusion.engines.loading import load_engine
from riffusion.networks.weights import read_network, write_network
from riffusion.training import optimization
from riffusion.training.checkpoint import (
    Progress,
    load_checkpoint,
    save_checkpoint,
    storage_errors,
)
from riffusion.training.plots import draw_curve
from riffusion.training.precision import choose_autocast
from riffusion.training.vocoder.data import (
    Recordings,
    VocoderBatch,
    count_samples,
    draw_equalizers,
    make_batch,
)
from riffusion.training.vocoder.generated import GeneratedWindows, check_engine
from riffusion.training.vocoder.losses import vocoder_losses, weight_losses
from riffusion.training.vocoder.stereo_width import match_stereo_width
from riffusion.vocoder.network import VocoderNetwork

CHECKPOINT_S = 240.0
LOG_STEPS = 50
AVERAGE_DECAY = 0.995  # short, since runs that start from other weights may be short as well
VALIDATION_BATCHES = 6
WIDTH_BATCHES = 24
GENERATED_SHARE = 0.25  # of each batch, where an engine is given


@dataclass(frozen=True)
class VocoderOptions:
    """The settings of a run.

    ``minutes`` is the whole time budget, that of earlier parts of the run included; ``frames`` is
    the length of a crop; ``generated`` is the folder of an engine that generates
    ``generated_windows`` windows for training and ``validation_windows`` for validation.
    """

    minutes: float
    batch: int = 16
    frames: int = 96
    rate: float = 1e-3
    seed: int = 0
    device: str = "cpu"
    compiled: bool = True
    start_from: Path | None = None
    generated: Path | None = None
    generated_windows: int = 1000
    validation_windows: int = 32


class VocoderTrainer:
    """One training run in a folder: the network, its average, the optimizers and the progress."""

    def __init__(self, sound: Path, out: Path, options: VocoderOptions) -> None:
        """Open the recordings, build the network and resume the run in ``out``, if there is one.

        Raises InvalidInput where there are no recordings, or the checkpoint or the engine does not
        fit.
        """
        torch.manual_seed(options.seed)
        self.options, self.out = options, out
        begin = options.start_from
        network = read_network(VocoderNetwork, begin) if begin else VocoderNetwork()
        self.network = nn.Module.to(network, options.device).train()
        self.params = self.network.params
        self.train = Recordings(sound / "train", self.params.sample_rate)
        self.validation = Recordings(sound / "validation", self.params.sample_rate)
        self.generated_train, self.generated_validation = self._generate_windows()
        self.average = copy.deepcopy(self.network).eval()
        self.optimizers = optimization.make_optimizers(self.network, options.rate)
        config = asdict(self.network.config)
        self.config = {name: config[name] for name in ("width", "hidden", "depth")}
        run = out / "run"
        loaded = load_checkpoint(run, self.network, self.average, self.optimizers, self.config)
        self.progress = loaded or Progress(0, 0, 0.0, self.config)
        self._compiled: Any = torch.compile(self._losses) if options.compiled else self._losses

    def run(self) -> None:
        """Train until the time budget is used, with a checkpoint every four minutes.

        Raises ModelError where a loss is not finite, and StorageError on a full disk.
        """
        options, total_s = self.options, self.options.minutes * 60.0
        begin = saved = time.perf_counter()
        before_s, step, windows = self.progress.elapsed_s, self.progress.step, self.progress.windows
        rng = np.random.default_rng([options.seed, step])
        smooth: npt.NDArray[np.float64] | None = None
        while (spent_s := before_s + time.perf_counter() - begin) < total_s:
            rate = options.rate * optimization.learning_rate(step, spent_s / total_s)
            optimization.set_learning_rate(self.optimizers, rate)
            losses = self.train_step(rng)
            optimization.check_losses(losses, step)
            smooth = losses if smooth is None else 0.98 * smooth + 0.02 * losses
            step, windows = step + 1, windows + options.batch
            if step % LOG_STEPS == 0:
                print(
                    f"step {step:6}  level, sides, advance, slope, bass {np.round(smooth, 4)}  "
                    f"{(total_s - spent_s) / 60:5.1f} min left",
                    flush=True,
                )
            if time.perf_counter() - saved > CHECKPOINT_S:
                saved = time.perf_counter()
                self._save(step, windows, before_s + saved - begin, smooth)
        if smooth is not None:
            self._save(step, windows, before_s + time.perf_counter() - begin, smooth)

    def train_step(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Train on one random batch, update the average and return the five losses."""
        batch = self._draw_training_batch(rng)
        # Autocast surrounds the compiled function: inside it, every trace would measure again
        # which precision is faster.
        with self._autocast():
            losses = self._compiled(self.network, batch)
        optimization.take_step(self.network, self.optimizers, weight_losses(losses))
        optimization.update_average(self.average, self.network, AVERAGE_DECAY)
        return _to_numpy(losses)

    @torch.no_grad()
    def validate(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the five losses of the averaged network on fixed crops.

        ``validation`` has those of recordings; ``generated`` those of generated windows, where an
        engine is given.
        """
        size = self.options.batch
        sources = {"validation": partial(self._draw_batch, self.validation)}
        if self.generated_validation is not None:
            sources["generated"] = partial(self._draw_generated_batch, self.generated_validation)
        losses = {}
        for name, draw in sources.items():
            rng = np.random.default_rng(1)
            batches = [draw(rng, size) for _ in range(VALIDATION_BATCHES)]
            with self._autocast():
                each = [self._losses(self.average, batch) for batch in batches]
            losses[name] = _to_numpy(torch.stack(each).mean(0))
        return losses

    def match_stereo_width(self, network: VocoderNetwork) -> None:
        """Correct the stereo width of ``network`` by training music without equalizers or tones."""
        rng = np.random.default_rng(2)
        samples = count_samples(self.options.frames, self.params)
        size, bands = self.options.batch, self.params.mel_bands
        flat = torch.zeros(size, bands, device=self.options.device)
        music = (
            self.train.draw_crops(rng, size, samples, tones=0.0).to(flat)
            for _ in range(WIDTH_BATCHES)
        )
        match_stereo_width(network, (make_batch(sound, flat, self.params) for sound in music))

    def _losses(self, network: VocoderNetwork, batch: VocoderBatch) -> torch.Tensor:
        return vocoder_losses(network(batch.levels), batch, self.params, self.network.bass_bins)

    def _autocast(self) -> torch.autocast:
        return choose_autocast(torch.device(self.options.device).type)

    def _generate_windows(self) -> tuple[GeneratedWindows | None, GeneratedWindows | None]:
        """Generate windows of both splits with the engine of the options, if there is one."""
        options = self.options
        if options.generated is None:
            return None, None
        engine = load_engine(str(options.generated), options.device)
        check_engine(engine, self.params)
        rng = np.random.default_rng(options.seed)
        return (
            GeneratedWindows(self.train, engine, options.generated_windows, rng),
            GeneratedWindows(self.validation, engine, options.validation_windows, rng),
        )

    def _draw_training_batch(self, rng: np.random.Generator) -> VocoderBatch:
        if self.generated_train is None:
            return self._draw_batch(self.train, rng, self.options.batch)
        generated = round(GENERATED_SHARE * self.options.batch)
        recorded = self._draw_batch(self.train, rng, self.options.batch - generated)
        return recorded.joined(self._draw_generated_batch(self.generated_train, rng, generated))

    def _draw_batch(
        self, recordings: Recordings, rng: np.random.Generator, size: int
    ) -> VocoderBatch:
        samples = count_samples(self.options.frames, self.params)
        return self._equalize(rng, recordings.draw_crops(rng, size, samples))

    def _draw_generated_batch(
        self, windows: GeneratedWindows, rng: np.random.Generator, size: int
    ) -> VocoderBatch:
        return self._equalize(rng, *windows.draw_crops(rng, size, self.options.frames))

    def _equalize(
        self, rng: np.random.Generator, sound: torch.Tensor, levels: torch.Tensor | None = None
    ) -> VocoderBatch:
        """Return a batch of crops through random equalizers; ``levels`` are generated ones."""
        device = self.options.device
        curves = draw_equalizers(rng, len(sound), self.params.mel_bands).to(device)
        levels = levels if levels is None else levels.to(device)
        with torch.no_grad():
            return make_batch(sound.to(device), curves, self.params, levels)

    def _save(
        self, step: int, windows: int, elapsed_s: float, training: npt.NDArray[np.float64]
    ) -> None:
        progress = Progress(step, windows, elapsed_s, self.config)
        run = self.out / "run"
        save_checkpoint(run, self.network, self.average, self.optimizers, progress)
        final = copy.deepcopy(self.average)
        self.match_stereo_width(final)
        with storage_errors(self.out):
            write_network(final, self.out)
        validation = self.validate()
        point: dict[str, float] = {"step": step, "windows": windows}
        named = {"training": training, **validation}
        point |= {
            name: float(weight_losses(torch.from_numpy(loss))) for name, loss in named.items()
        }
        with (run / "curve.jsonl").open("a") as curve:
            curve.write(json.dumps(point) + "\n")
        draw_curve(run / "curve.jsonl", run / "curve.png")
        shown = ", ".join(f"{name} {np.round(loss, 4)}" for name, loss in validation.items())
        print(f"saved at step {step}, {shown}", flush=True)


def _to_numpy(tensor: torch.Tensor) -> npt.NDArray[np.float64]:
    return np.asarray(tensor.detach().double().cpu())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m riffusion train-vocoder``."""
    parser.add_argument("sound", type=Path, help="folder made by `riffusion corpus-sound`")
    parser.add_argument("out", type=Path, help="folder the vocoder goes to")
    parser.add_argument("--minutes", type=float, default=60.0, help="time budget (default 60)")
    parser.add_argument("--batch", type=int, default=16, help="crops a step (default 16)")
    parser.add_argument("--frames", type=int, default=96, help="length of a crop (default 96)")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate (default 0.001)")
    parser.add_argument("--seed", type=int, default=0, help="of crops and weights (default 0)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--start-from", type=Path, help="a vocoder's folder to begin with")
    parser.add_argument(
        "--generated", type=Path, help="a model's folder: also learn from what it generates"
    )
    parser.add_argument(
        "--generated-windows", type=int, default=1000, help="how many it generates (default 1000)"
    )
    parser.add_argument(
        "--validation-windows",
        type=int,
        default=32,
        help="how many of them for validation beside those (default 32)",
    )
    parser.add_argument(
        "--no-compile", dest="compiled", action="store_false", help="do without torch.compile"
    )


def main(args: argparse.Namespace) -> None:
    """Train a vocoder, or resume its training."""
    names = [field.name for field in fields(VocoderOptions)]
    options = VocoderOptions(**{name: getattr(args, name) for name in names})
    VocoderTrainer(args.sound, args.out, options).run()
