"""Measure vocoders: ``python -m riffusion evaluate-sound FOLDER``.

Each recording of a folder becomes a spectrogram, and each vocoder makes sound of it, which is
measured against the recording. ``corpus-sound`` renders a folder of the test split of the corpus.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from riffusion.audio.waveform import Waveform, read_audio, write_audio
from riffusion.compat.files import list_audio_files, make_folder
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.loading import load_engine
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.spectral.spectrogram import (
    RIFFUSION,
    Spectrogram,
    SpectrogramParams,
    mel_spectrogram,
)
from riffusion.training.evaluation import sound_measures as measures
from riffusion.training.evaluation.vocoders import (
    BASELINE,
    VOCODERS,
    OfflineVocoder,
    vocode_in_blocks,
)
from riffusion.training.plots import draw_spectrograms
from riffusion.training.vocoder.generated import MAX_STEPS, check_engine, regenerate
from riffusion.vocoder.learned import LearnedVocoder

GEOMETRIES = {"shipped": COMPACT_PARAMS, "riffusion": RIFFUSION}
USUAL = {"shipped": (BASELINE, "learned"), "riffusion": (BASELINE, "griffin-lim-extended")}
MIN_S = 1.0
MAX_PLOTTED = 6  # recordings on the page of spectrograms
MS = 1000.0


@dataclass(frozen=True)
class RoundTrip:
    """The measures of one recording through one vocoder; ``sound_measures`` defines them.

    ``attack_ms`` is the median attack time of the drum hits, ``attack_error_ms`` the median of how
    far each is from that of the source; None where there is nothing to measure. ``speed`` is
    seconds of sound per second of processor time, so that other programs do not count.
    """

    file: str
    seconds: float
    multi_resolution_stft: float
    log_spectral_db: float
    mel_db: float
    attack_ms: float | None
    source_attack_ms: float | None
    attack_error_ms: float | None
    width: float | None
    mono_sum_db: float | None
    above_10_khz_db: float | None
    speed: float


def measure_round_trip(
    name: str, source: Waveform, spectrogram: Spectrogram, vocode: OfflineVocoder
) -> tuple[RoundTrip, Waveform]:
    """Make sound of ``spectrogram``; return its measures against ``source``, and the sound.

    The spectrogram is that of ``source``, or what an engine generated for it.
    """
    params = spectrogram.params
    begin = time.process_time()
    made = vocode(spectrogram)
    work_s = time.process_time() - begin
    # The last part of a hop has no frame of its own.
    length = made.samples.shape[1]
    wanted, got, rate = source.samples[:, :length], made.samples, params.sample_rate
    attacks = np.array(measures.attack_times(wanted, got, rate)).reshape(-1, 2) * MS
    trip = RoundTrip(
        name,
        made.duration_s,
        measures.multi_resolution_stft(wanted, got),
        measures.log_spectral_distance(wanted, got, rate),
        measures.mel_distance(Waveform(wanted, rate), made, params),
        take_median(attacks[:, 1]),
        take_median(attacks[:, 0]),
        take_median(np.abs(attacks[:, 1] - attacks[:, 0])),
        measures.width_ratio(wanted, got),
        measures.mono_sum_db(wanted, got),
        measures.high_band_db(wanted, got, rate),
        made.duration_s / max(work_s, 1e-9),
    )
    return trip, made


def take_median(values: Iterable[float | None]) -> float | None:
    """Return the median of those that are known, None if none is."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def take_medians(trips: Sequence[RoundTrip]) -> dict[str, float | None]:
    """Return the median of each measure over the recordings."""
    names = [field.name for field in fields(RoundTrip) if field.name != "file"]
    return {name: take_median(getattr(trip, name) for trip in trips) for name in names}


def read_source(path: Path, params: SpectrogramParams, seconds: float) -> Waveform:
    """Return the first ``seconds`` of a recording, at most two channels, at the rate of ``params``.

    Raises InvalidAudio where it cannot be read or is too short.
    """
    sound = read_audio(path)
    if sound.channels > 2:
        sound = sound.mono()
    start = Waveform(sound.samples[:, : round(seconds * sound.sample_rate)], sound.sample_rate)
    if start.duration_s < MIN_S:
        hint = f"use recordings of at least {MIN_S:g} s"
        raise InvalidAudio("length", f"{start.duration_s:.2f} s", hint)
    return start.resample(params.sample_rate)


def format_table(results: dict[str, list[RoundTrip]]) -> str:
    """Return a table of medians, a row for each measure and a column for each vocoder."""
    columns = {name: take_medians(trips) for name, trips in results.items()}
    lines = [f"{'median of recordings':<24}" + "".join(f"{name:>24}" for name in columns)]
    for measure in next(iter(columns.values())):
        values = [column[measure] for column in columns.values()]
        shown = ["-" if value is None else f"{value:.3f}" for value in values]
        lines.append(f"{measure:<24}" + "".join(f"{text:>24}" for text in shown))
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m riffusion evaluate-sound``."""
    parser.add_argument("folder", help="recordings, in any format that is read")
    parser.add_argument(
        "--decoders",
        dest="vocoders",
        nargs="+",
        choices=VOCODERS,
        help=f"which to compare (default: those of the geometry); {BASELINE} comes first",
    )
    parser.add_argument(
        "--geometry", choices=GEOMETRIES, default="shipped", help="of the spectrograms"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of each recording")
    parser.add_argument("--vocoder", type=Path, help="another vocoder's folder, to compare")
    parser.add_argument(
        "--generated",
        type=Path,
        help="a model's folder: vocode what it makes of each recording's first window, re-noised",
    )
    parser.add_argument(
        "--strength", type=float, default=0.3, help="how far it is re-noised (default 0.3)"
    )
    parser.add_argument("--limit", type=int, default=-1, help="most recordings (default: all)")
    parser.add_argument("--out", type=Path, help="all numbers: .json")
    parser.add_argument("--image", type=Path, help="a page of spectrograms: .png")
    parser.add_argument("--listen", help="a folder for what came back, as WAV")


class ClipRegenerator:
    """Lets a model generate the first window of each recording again, re-noised by ``strength``."""

    def __init__(self, model: Path, strength: float, params: SpectrogramParams) -> None:
        self._engine, self._strength = load_engine(str(model)), strength
        check_engine(self._engine, params)

    def __call__(self, source: Waveform) -> tuple[Waveform, Spectrogram]:
        """Return the sound of the window in stereo, and the spectrogram that the model generated.

        Raises InvalidAudio where the recording is too short.
        """
        params = self._engine.params
        length = params.samples(self._engine.frames)
        if source.samples.shape[1] < length:
            hint = f"use recordings of at least {length / params.sample_rate:.2f} s"
            raise InvalidAudio("length", f"{source.duration_s:.2f} s", hint)
        samples = np.broadcast_to(source.samples[:, :length], (2, length))
        window = Waveform(np.ascontiguousarray(samples), params.sample_rate)
        spectrogram = mel_spectrogram(window, params)
        return window, regenerate(self._engine, spectrogram, self._strength, MAX_STEPS, seed=0)


def _choose_vocoders(args: argparse.Namespace) -> dict[str, OfflineVocoder]:
    """Return the requested vocoders by name, the baseline first."""
    asked = set(args.vocoders or USUAL[args.geometry])
    vocoders = {name: VOCODERS[name] for name in sorted(asked, key=lambda n: (n != BASELINE, n))}
    if args.vocoder is not None:
        other = LearnedVocoder.load(args.vocoder)
        vocoders[str(args.vocoder)] = partial(vocode_in_blocks, other)
    return vocoders


def main(args: argparse.Namespace) -> None:
    """Run every recording through every vocoder, print the medians and write what was requested."""
    params = GEOMETRIES[args.geometry]
    if not args.seconds >= MIN_S:
        raise InvalidInput("--seconds", args.seconds, f"use at least {MIN_S:g}")
    files = list_audio_files(args.folder, limit=args.limit)
    listen = Path(make_folder(args.listen)) if args.listen else None
    vocoders = _choose_vocoders(args)
    regenerator = ClipRegenerator(args.generated, args.strength, params) if args.generated else None
    results: dict[str, list[RoundTrip]] = {name: [] for name in vocoders}
    pages: list[tuple[str, list[tuple[str, Waveform]]]] = []
    for file in files:
        try:
            source = read_source(file, params, args.seconds)
            if regenerator is None:
                spectrogram = mel_spectrogram(source, params)
            else:
                source, spectrogram = regenerator(source)
        except InvalidAudio as error:
            print(f"Left out {file.name}: {error}", flush=True)
            continue
        sounds = [("source", source)]
        for name, vocode in vocoders.items():
            trip, made = measure_round_trip(file.name, source, spectrogram, vocode)
            results[name].append(trip)
            sounds.append((name, made))
        if len(pages) < MAX_PLOTTED:
            pages.append((file.stem, sounds))
        if listen is not None:
            for name, sound in sounds:
                write_audio(sound, listen / f"{file.stem}-{Path(name).name}.wav")
    if not any(results.values()):
        raise InvalidInput("folder", args.folder, "holds no recording that can be measured")
    print(format_table(results), flush=True)
    if args.out:
        args.out.write_text(json.dumps(_make_report(args.geometry, results), indent=1) + "\n")
    if args.image:
        draw_spectrograms(pages, args.image)


def _make_report(geometry: str, results: dict[str, list[RoundTrip]]) -> dict[str, object]:
    return {
        "geometry": geometry,
        "medians": {name: take_medians(trips) for name, trips in results.items()},
        "recordings": {name: [asdict(trip) for trip in trips] for name, trips in results.items()},
    }
