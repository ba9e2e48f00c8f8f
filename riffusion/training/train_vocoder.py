"""Train the learned vocoder: ``python -m riffusion train-vocoder SOUND OUT --minutes 60``.

SOUND is a folder of ``train`` and ``validation`` recordings, as ``corpus-sound`` makes it. What is
learnt is all told by the sound itself, magnitudes and the steps of its phases, so that a run of an
hour on one core is enough; nothing is trained against a discriminator.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import nn

from riffusion.errors import InvalidInput
from riffusion.spectrogram import SpectrogramParams, mel_bank
from riffusion.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from riffusion.training.plots import draw_curve
from riffusion.training.precision import fastest
from riffusion.training.train import learning_rate, make_optimizers
from riffusion.vocoder.network import QUIETEST_LEVEL, Drawing, VocoderNetwork, band_to_bin

CHECKPOINT_S = 240.0
LOG_STEPS = 50
RELOAD_S = 300.0  # recordings may still be rendered while a run goes on
AVERAGE_DECAY = 0.998
VALIDATION_BATCHES = 6
AUDIO = ("*.flac", "*.wav")
TONES = 0.2  # the share of crops that are tones in place of music
TONE_HZ = (40.0, 3000.0)
MOST_PARTIALS = 10
QUIETEST_POWER = 1e-9
TINY = 1e-9
MAGNITUDE_WEIGHT, SIDES_WEIGHT = 4.0, 0.5
# Deviations in dB of the random equalizer: a level, a tilt and three waves over the range.
EQUALIZER_DB = (4.0, 3.0, 2.0, 1.5, 1.0)


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


class Recordings:
    """Random stereo crops of the audio files in a folder."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self._folder, self._rate = folder, sample_rate
        self._files = self._find()
        self._found_at = time.perf_counter()

    def batch(self, rng: np.random.Generator, size: int, samples: int) -> torch.Tensor:
        """(size, 2, samples) float32. Some are tones of any pitch in place of music."""
        if time.perf_counter() - self._found_at > RELOAD_S:
            self._files, self._found_at = self._find(), time.perf_counter()
        crops = [
            tones(rng, samples, self._rate) if rng.random() < TONES else self._crop(rng, samples)
            for _ in range(size)
        ]
        return torch.from_numpy(np.stack(crops))

    def _find(self) -> list[Path]:
        files = sorted(path for form in AUDIO for path in self._folder.glob(form))
        if not files:
            legal = "it has no FLAC or WAV file; make some: python -m riffusion corpus-sound"
            raise InvalidInput("sound folder", str(self._folder), legal)
        return files

    def _crop(self, rng: np.random.Generator, samples: int) -> npt.NDArray[np.float32]:
        path = self._files[int(rng.integers(len(self._files)))]
        with soundfile.SoundFile(path) as file:
            if file.samplerate != self._rate or file.channels != 2 or file.frames < samples:
                what = f"{path.name}: {file.channels} channels at {file.samplerate} Hz"
                legal = f"needs stereo at {self._rate} Hz, at least {samples} samples"
                raise InvalidInput("recording", what, legal)
            file.seek(int(rng.integers(file.frames - samples + 1)))
            return np.ascontiguousarray(file.read(samples, dtype="float32").T)


def tones(rng: np.random.Generator, samples: int, sample_rate: int) -> npt.NDArray[np.float32]:
    """A few notes, pure or with partials, that stand or fade: (2, samples).

    Rendered music is tuned to one scale and full of partials. A vocoder that has heard nothing
    else plays a whistle or a bent note at the nearest pitch it knows.
    """
    seconds = np.arange(samples) / sample_rate
    sound = np.zeros((2, samples))
    for _ in range(rng.integers(1, 5)):
        pitch_hz = np.exp(rng.uniform(*np.log(TONE_HZ)))
        partials = np.arange(1, rng.integers(1, MOST_PARTIALS + 1) + 1)
        partials = partials[partials * pitch_hz < sample_rate / 2]
        levels = partials ** -rng.uniform(0.5, 2.0)
        turns = np.outer(partials * pitch_hz, seconds) + rng.random((len(partials), 1))
        note = levels @ np.sin(2 * np.pi * turns) * np.exp(-rng.uniform(0, 6) * seconds)
        seat = rng.uniform(0, np.pi / 2)
        sound += rng.uniform(0.02, 0.15) * np.outer([np.cos(seat), np.sin(seat)], note)
    return sound.astype(np.float32)


@dataclass(frozen=True)
class Lesson:
    """What a batch of crops should be drawn as, and from which mel levels.

    ``levels`` (batch, 2, mel, frames); ``middle`` complex (batch, bins, frames), phases at the
    centre of the window; ``sides`` (batch, mel, frames).
    """

    levels: torch.Tensor
    middle: torch.Tensor
    sides: torch.Tensor


def make_lesson(sound: torch.Tensor, curves: torch.Tensor, params: SpectrogramParams) -> Lesson:
    """From (batch, 2, samples), seen through equalizers (batch, mel) in base-10 levels."""
    bank = mel_bank(params).to(sound.device)
    spread = band_to_bin(params)[0].to(sound.device)
    framed = sound.unfold(-1, params.win_length, params.hop_length)
    window = torch.hann_window(params.win_length, device=sound.device)
    spectrum = torch.fft.rfft(framed * window)[..., : len(spread)].transpose(-1, -2)
    spectrum = spectrum * (10 ** (curves @ spread.T))[:, None, :, None]
    levels = (bank @ spectrum.abs()).clamp(min=10**QUIETEST_LEVEL).log10()
    left, right = spectrum.unbind(1)
    centred = torch.tensor([1.0, -1.0], device=sound.device).repeat(len(spread))[: len(spread)]
    middle, side = (left + right) / 2 * centred[:, None], (left - right) / 2
    power = (bank @ middle.abs().square()).clamp(min=QUIETEST_POWER)
    side_power = (bank @ side.abs().square()).clamp(min=QUIETEST_POWER)
    return Lesson(levels, middle, (side_power / power).log10() / 2)


def vocoder_losses(
    drawing: Drawing, lesson: Lesson, params: SpectrogramParams, fine_bins: int
) -> torch.Tensor:
    """Mean errors (4,): of the middle's level, the sides', and the phase's two steps."""
    middle = lesson.middle
    size = middle.abs()
    wanted = size.clamp(min=10**QUIETEST_LEVEL).log10()
    silent = torch.relu(drawing.middle - QUIETEST_LEVEL)
    level = torch.where(wanted > QUIETEST_LEVEL, (drawing.middle - wanted).abs(), silent).mean()
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
    steps = _step_error(drawing.advance[..., 1:], advance, low_size[..., 1:] * low_size[..., :-1])
    slope = torch.stack(_product(middle[:, 1:], middle[:, :-1]), 1)
    slopes = _step_error(drawing.slope[:, :, :-1], slope, size[:, 1:] * size[:, :-1])
    return torch.stack([level, sides, steps, slopes])


def _product(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary part of ``a`` times the conjugate of ``b``."""
    return a.real * b.real + a.imag * b.imag, a.imag * b.real - a.real * b.imag


def _step_error(drawn: torch.Tensor, step: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Squared distance of drawn phasors to the steps' directions, louder bins weighing more."""
    power = power + TINY
    weight = power.sqrt()
    weight = (weight / (weight.mean((1, 2), keepdim=True) + TINY)).sqrt()
    return (weight * (drawn - step / power[:, None]).square().sum(1)).mean()


def random_curves(rng: np.random.Generator, size: int, bands: int) -> torch.Tensor:
    """Random equalizers, base-10 levels (size, bands)."""
    places = np.pi * (np.arange(bands) + 0.5) / bands
    waves = np.cos(np.arange(len(EQUALIZER_DB))[:, None] * places)
    gains = rng.normal(size=(size, len(EQUALIZER_DB))) * np.array(EQUALIZER_DB) / 20
    return torch.from_numpy((gains @ waves).astype(np.float32))


class VocoderTrainer:
    """One training run in a folder."""

    def __init__(self, sound: Path, out: Path, options: VocoderOptions) -> None:
        torch.manual_seed(options.seed)
        self.options, self.out = options, out
        begin: Any = options.start_from
        network: Any = VocoderNetwork.from_pretrained(begin).float() if begin else VocoderNetwork()
        self.network: VocoderNetwork = network.to(options.device)
        self.params, self.fine = self.network.params, self.network.fine_bins
        self.train = Recordings(sound / "train", self.params.sample_rate)
        self.validation = Recordings(sound / "validation", self.params.sample_rate)
        self.average = copy.deepcopy(self.network).eval()
        self.optimizers = make_optimizers(self.network, options.rate)
        config: Any = self.network.config
        self.config = {name: config[name] for name in ("width", "hidden", "depth")}
        run = out / "run"
        loaded = load_checkpoint(run, self.network, self.average, self.optimizers, self.config)
        self.progress = loaded or Progress(0, 0, 0.0, self.config)
        self._drawn: Any = torch.compile(self._losses) if options.compiled else self._losses

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
            smooth = losses if smooth is None else 0.98 * smooth + 0.02 * losses
            step, windows = step + 1, windows + options.batch
            if step % LOG_STEPS == 0:
                print(
                    f"step {step:6}  level, sides, advance, slope {np.round(smooth, 4)}  "
                    f"{(total_s - spent_s) / 60:5.1f} min left",
                    flush=True,
                )
            if time.perf_counter() - saved > CHECKPOINT_S:
                saved = time.perf_counter()
                self._save(step, windows, before_s + saved - begin, smooth)
        if smooth is not None:
            self._save(step, windows, before_s + time.perf_counter() - begin, smooth)

    def _losses(self, network: VocoderNetwork, lesson: Lesson) -> torch.Tensor:
        with fastest(torch.device(self.options.device).type):
            drawing = network(lesson.levels)
        return vocoder_losses(drawing, lesson, self.params, self.fine)

    def _lesson(self, recordings: Recordings, rng: np.random.Generator) -> Lesson:
        samples = (self.options.frames - 1) * self.params.hop_length + self.params.win_length
        sound = recordings.batch(rng, self.options.batch, samples).to(self.options.device)
        curves = random_curves(rng, self.options.batch, self.params.mel_bands)
        with torch.no_grad():
            return make_lesson(sound, curves.to(sound.device), self.params)

    def _step(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        losses = self._drawn(self.network, self._lesson(self.train, rng))
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
    def _validate(self) -> npt.NDArray[np.float64]:
        rng = np.random.default_rng(1)
        lessons = (self._lesson(self.validation, rng) for _ in range(VALIDATION_BATCHES))
        losses = [self._losses(self.average, lesson) for lesson in lessons]
        return _numbers(torch.stack(losses).mean(0))

    def _save(
        self, step: int, windows: int, elapsed_s: float, training: npt.NDArray[np.float64]
    ) -> None:
        progress = Progress(step, windows, elapsed_s, self.config)
        run = self.out / "run"
        save_checkpoint(run, self.network, self.average, self.optimizers, progress)
        half: Any = copy.deepcopy(self.average)
        half.half().save_pretrained(self.out, safe_serialization=True)
        validation = self._validate()
        point = {
            "step": step,
            "windows": windows,
            "training": float(weighed(torch.from_numpy(training))),
            "validation": float(weighed(torch.from_numpy(validation))),
        }
        with (run / "curve.jsonl").open("a") as curve:
            curve.write(json.dumps(point) + "\n")
        draw_curve(run / "curve.jsonl", run / "curve.png")
        print(f"saved at step {step}, validation {np.round(validation, 4)}", flush=True)


def weighed(losses: torch.Tensor) -> torch.Tensor:
    """The loss that is minimised, of the four of ``vocoder_losses``."""
    weights = torch.tensor([MAGNITUDE_WEIGHT, SIDES_WEIGHT, 1.0, 1.0]).to(losses)
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
    parser.add_argument("--no-compile", dest="compiled", action="store_false")


def main(args: argparse.Namespace) -> None:
    """Train, or go on training, a vocoder."""
    names = [field.name for field in fields(VocoderOptions)]
    options = VocoderOptions(**{name: getattr(args, name) for name in names})
    VocoderTrainer(args.sound, args.out, options).run()
