"""Train the learned vocoder: ``python -m riffusion train-vocoder SOUND OUT --minutes 60``.

SOUND is a folder of ``train`` and ``validation`` recordings, as ``corpus-sound`` makes it. What is
learnt is all told by the sound itself, magnitudes and the steps of its phases, so that a run of an
hour on one core is enough; nothing is trained against a discriminator. With ``--generated MODEL``
a part of each batch is music as that engine draws it.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from riffusion.engines.loading import load_engine
from riffusion.networks.weights import read_network, write_network
from riffusion.spectral.spectrogram import SpectrogramParams, mel_bank
from riffusion.training.checkpoint import Progress, load_checkpoint, room_in, save_checkpoint
from riffusion.training.engine.train import check_losses, learning_rate, make_optimizers
from riffusion.training.plots import draw_curve
from riffusion.training.precision import fastest
from riffusion.training.vocoder.data import (
    Lesson,
    Recordings,
    make_lesson,
    random_curves,
    samples_under,
)
from riffusion.training.vocoder.generated import GeneratedWindows, check_engine
from riffusion.vocoder.network import QUIETEST_LEVEL, VocoderNetwork, VocoderOutput

CHECKPOINT_S = 240.0
LOG_STEPS = 50
AVERAGE_DECAY = 0.995  # also of short runs that go on from another's weights
VALIDATION_BATCHES = 6
LEVELLING_BATCHES = 24
# Of each batch, the share that an engine drew, and how many windows of both splits it draws.
GENERATED = 0.25
GENERATED_WINDOWS, VALIDATION_WINDOWS = 1000, 32
TINY = 1e-9
MAGNITUDE_WEIGHT, SIDES_WEIGHT, BASS_LEVEL_WEIGHT = 4.0, 0.5, 2.0


@dataclass(frozen=True)
class VocoderOptions:
    """What a run is made of. ``minutes`` is the whole budget, earlier tries counted in."""

    minutes: float
    batch: int = 16
    frames: int = 96
    rate: float = 1e-3
    seed: int = 0
    device: str = "cpu"
    compiled: bool = True
    start_from: Path | None = None
    generated: Path | None = None


def vocoder_losses(
    drawing: VocoderOutput, lesson: Lesson, params: SpectrogramParams, bass_bins: int
) -> torch.Tensor:
    """Mean errors (5,): of the middle's level, the sides', the phase's two steps, and all but the
    sides' of the lowest ``bass_bins`` alone.

    Those are few, so that means over all bins hardly tell them, and loud (docs/sound.md).
    """
    middle, fine_bins = lesson.middle, drawing.advance.shape[2]
    size = middle.abs()
    wanted = size.clamp(min=10**QUIETEST_LEVEL).log10()
    silent = torch.relu(drawing.middle - QUIETEST_LEVEL)
    levels = torch.where(wanted > QUIETEST_LEVEL, (drawing.middle - wanted).abs(), silent)
    sides = (drawing.sides - lesson.sides).abs().mean()
    bins = torch.arange(fine_bins, device=middle.device)[:, None]
    turn = 2 * math.pi * (bins * params.hop_length / params.win_length % 1.0)
    low, low_size = middle[:, :fine_bins], size[:, :fine_bins]
    real, imaginary = _product(low[..., 1:], low[..., :-1])
    advance = torch.stack(
        [
            real * turn.cos() + imaginary * turn.sin(),
            imaginary * turn.cos() - real * turn.sin(),
        ],
        1,
    )
    slope = torch.stack(_product(middle[:, 1:], middle[:, :-1]), 1)
    advances = drawing.advance[..., 1:], advance, low_size[..., 1:] * low_size[..., :-1]
    slopes = drawing.slope[:, :, :-1], slope, size[:, 1:] * size[:, :-1]
    level = levels.mean()
    steps, across = _step_error(*advances), _step_error(*slopes)
    bass = _step_error(*_lowest(advances, bass_bins)) + _step_error(*_lowest(slopes, bass_bins))
    loud = _loudness(size[:, :bass_bins])
    bass = bass + BASS_LEVEL_WEIGHT * (loud * levels[:, :bass_bins]).mean()
    return torch.stack([level, sides, steps, across, bass])


Steps = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _lowest(steps: Steps, bins: int) -> Steps:
    drawn, step, power = steps
    return drawn[:, :, :bins], step[:, :, :bins], power[:, :bins]


def _product(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary part of ``a`` times the conjugate of ``b``."""
    return a.real * b.real + a.imag * b.imag, a.imag * b.real - a.real * b.imag


def _step_error(drawn: torch.Tensor, step: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Squared distance of drawn phasors to the steps' directions, louder bins weighing more."""
    power = power + TINY
    weight = _loudness(power.sqrt())
    return (weight * (drawn - step / power[:, None]).square().sum(1)).mean()


def _loudness(size: torch.Tensor) -> torch.Tensor:
    """What bins (batch, bins, frames) with magnitudes ``size`` weigh, louder ones more."""
    return (size / (size.mean((1, 2), keepdim=True) + TINY)).sqrt()


class VocoderTrainer:
    """One training run in a folder."""

    def __init__(self, sound: Path, out: Path, options: VocoderOptions) -> None:
        torch.manual_seed(options.seed)
        self.options, self.out = options, out
        begin = options.start_from
        network = read_network(VocoderNetwork, begin) if begin else VocoderNetwork()
        self.network = nn.Module.to(network, options.device).train()
        self.params = self.network.params
        self.train = Recordings(sound / "train", self.params.sample_rate)
        self.validation = Recordings(sound / "validation", self.params.sample_rate)
        self.drawn_train, self.drawn_validation = self._redrawn()
        self.average = copy.deepcopy(self.network).eval()
        self.optimizers = make_optimizers(self.network, options.rate)
        config: Any = self.network.config
        self.config = {name: config[name] for name in ("width", "hidden", "depth")}
        run = out / "run"
        loaded = load_checkpoint(run, self.network, self.average, self.optimizers, self.config)
        self.progress = loaded or Progress(0, 0, 0.0, self.config)
        self._compiled: Any = torch.compile(self._losses) if options.compiled else self._losses

    def run(self) -> None:
        """Train until the budget is spent, saving as it goes."""
        options, total_s = self.options, self.options.minutes * 60.0
        begin = saved = time.perf_counter()
        before_s, step, windows = self.progress.elapsed_s, self.progress.step, self.progress.windows
        rng = np.random.default_rng([options.seed, step])
        smooth: npt.NDArray[np.float64] | None = None
        while (spent_s := before_s + time.perf_counter() - begin) < total_s:
            for group in (g for optimizer in self.optimizers for g in optimizer.param_groups):
                group["lr"] = options.rate * learning_rate(step, spent_s / total_s)
            losses = self._step(rng)
            check_losses(losses, step)
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

    def _losses(self, network: VocoderNetwork, lesson: Lesson) -> torch.Tensor:
        drawing = network(lesson.levels)
        return vocoder_losses(drawing, lesson, self.params, self.network.bass_bins)

    def _precision(self) -> torch.autocast:
        return fastest(torch.device(self.options.device).type)

    def _redrawn(self) -> tuple[GeneratedWindows | None, GeneratedWindows | None]:
        """Windows of both splits as an engine draws them, if that is asked for."""
        if self.options.generated is None:
            return None, None
        engine = load_engine(str(self.options.generated), self.options.device)
        check_engine(engine, self.params)
        rng = np.random.default_rng(self.options.seed)
        return (
            GeneratedWindows(self.train, engine, GENERATED_WINDOWS, rng),
            GeneratedWindows(self.validation, engine, VALIDATION_WINDOWS, rng),
        )

    def _training_lesson(self, rng: np.random.Generator) -> Lesson:
        if self.drawn_train is None:
            return self._lesson(self.train, rng, self.options.batch)
        drawn = round(GENERATED * self.options.batch)
        heard = self._lesson(self.train, rng, self.options.batch - drawn)
        return heard.joined(self._drawn_lesson(self.drawn_train, rng, drawn))

    def _lesson(self, recordings: Recordings, rng: np.random.Generator, size: int) -> Lesson:
        samples = samples_under(self.options.frames, self.params)
        return self._seen(rng, recordings.batch(rng, size, samples))

    def _drawn_lesson(
        self, windows: GeneratedWindows, rng: np.random.Generator, size: int
    ) -> Lesson:
        return self._seen(rng, *windows.batch(rng, size, self.options.frames))

    def _seen(
        self, rng: np.random.Generator, sound: torch.Tensor, drawn: torch.Tensor | None = None
    ) -> Lesson:
        """A lesson through random equalizers."""
        device = self.options.device
        curves = random_curves(rng, len(sound), self.params.mel_bands).to(device)
        drawn = drawn if drawn is None else drawn.to(device)
        with torch.no_grad():
            return make_lesson(sound.to(device), curves, self.params, drawn)

    def _step(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        lesson = self._training_lesson(rng)
        # Around what is compiled: within, each trace would look for the fastest again.
        with self._precision():
            losses = self._compiled(self.network, lesson)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        weighed(losses).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
        with torch.no_grad():
            for kept, new in pairs:
                kept.lerp_(new, 1 - AVERAGE_DECAY)
        return _numbers(losses)

    @torch.no_grad()
    def _validate(self) -> dict[str, npt.NDArray[np.float64]]:
        """The losses of the average on validation recordings, and as an engine draws them."""
        size = self.options.batch
        lessons = {"validation": partial(self._lesson, self.validation)}
        if self.drawn_validation is not None:
            lessons["generated"] = partial(self._drawn_lesson, self.drawn_validation)
        losses = {}
        for name, lesson in lessons.items():
            rng = np.random.default_rng(1)
            batches = [lesson(rng, size) for _ in range(VALIDATION_BATCHES)]
            with self._precision():
                each = [self._losses(self.average, batch) for batch in batches]
            losses[name] = _numbers(torch.stack(each).mean(0))
        return losses

    def _save(
        self, step: int, windows: int, elapsed_s: float, training: npt.NDArray[np.float64]
    ) -> None:
        progress = Progress(step, windows, elapsed_s, self.config)
        run = self.out / "run"
        save_checkpoint(run, self.network, self.average, self.optimizers, progress)
        final = copy.deepcopy(self.average)
        self._level(final)
        with room_in(self.out):
            write_network(final, self.out)
        validation = self._validate()
        point: dict[str, float] = {"step": step, "windows": windows}
        named = {"training": training, **validation}
        point |= {name: float(weighed(torch.from_numpy(loss))) for name, loss in named.items()}
        with (run / "curve.jsonl").open("a") as curve:
            curve.write(json.dumps(point) + "\n")
        draw_curve(run / "curve.jsonl", run / "curve.png")
        shown = ", ".join(f"{name} {np.round(loss, 4)}" for name, loss in validation.items())
        print(f"saved at step {step}, {shown}", flush=True)

    def _level(self, network: VocoderNetwork) -> None:
        """``level_sides`` by training music as it is."""
        rng = np.random.default_rng(2)
        samples = samples_under(self.options.frames, self.params)
        size, bands = self.options.batch, self.params.mel_bands
        flat = torch.zeros(size, bands, device=self.options.device)
        music = (
            self.train.batch(rng, size, samples, tones=0.0).to(flat)
            for _ in range(LEVELLING_BATCHES)
        )
        level_sides(network, (make_lesson(sound, flat, self.params) for sound in music))


@torch.no_grad()
def level_sides(network: VocoderNetwork, lessons: Iterable[Lesson]) -> None:
    """Let the sides that ``network`` draws be as loud as those of the median crop, in place.

    It learns the median of each level, and energy is more than the medians': without this its
    music is a little narrow. One number for all bands, in the bias of the last layer: how wide a
    single song is, a mel spectrogram does not tell, and the mean is that of the widest songs.
    """
    bank = mel_bank(network.params).to(network.device)
    ratios = []
    for lesson in lessons:
        power = bank @ lesson.middle.abs().square()
        wanted, drawn = (
            (power * 10 ** (2 * sides)).sum((1, 2)) + TINY
            for sides in (lesson.sides, network(lesson.levels).sides)
        )
        ratios.append(wanted / drawn)
    louder = torch.cat(ratios).median().log10() / 2
    network.sides_bias.add_(louder)


def weighed(losses: torch.Tensor) -> torch.Tensor:
    """The loss that is minimised, of the five of ``vocoder_losses``."""
    weights = torch.tensor([MAGNITUDE_WEIGHT, SIDES_WEIGHT, 1.0, 1.0, 1.0]).to(losses)
    return (losses * weights).sum()


def _numbers(tensor: torch.Tensor) -> npt.NDArray[np.float64]:
    return np.asarray(tensor.detach().double().cpu())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m riffusion train-vocoder``."""
    parser.add_argument("sound", type=Path, help="folder made by `riffusion corpus-sound`")
    parser.add_argument("out", type=Path, help="folder the vocoder goes to")
    parser.add_argument("--minutes", type=float, default=60.0, help="time budget (default 60)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--frames", type=int, default=96, help="length of a crop")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate (default 0.001)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--start-from", type=Path, help="a vocoder's folder to begin with")
    parser.add_argument(
        "--generated", type=Path, help="a model's folder: also learn from what it draws"
    )
    parser.add_argument("--no-compile", dest="compiled", action="store_false")


def main(args: argparse.Namespace) -> None:
    """Train, or go on training, a vocoder."""
    names = [field.name for field in fields(VocoderOptions)]
    options = VocoderOptions(**{name: getattr(args, name) for name in names})
    VocoderTrainer(args.sound, args.out, options).run()
