"""Training, checkpoints, the judge of styles, and what is measured without one."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from riffusion.audio.waveform import read_audio
from riffusion.engines.clip import ClipRequest, Prompt, Quality
from riffusion.engines.compact.engine import FEW_STEPS_FILE
from riffusion.engines.compact.network import Conditioning, SpectrogramTransformer
from riffusion.engines.loading import load_engine
from riffusion.errors import InvalidInput, ModelError
from riffusion.music.instruments import lead_family
from riffusion.music.styles import STYLES
from riffusion.networks.weights import write_network
from riffusion.spectral.log_mel import ImageScale
from riffusion.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from riffusion.training.corpus.build import choose_split, make_shard
from riffusion.training.corpus.dataset import Corpus
from riffusion.training.corpus.shards import Song
from riffusion.training.corpus.windows import draw_batch, draw_caption, draw_window
from riffusion.training.engine.distill import Distiller, DistillOptions
from riffusion.training.engine.flow import flow_loss
from riffusion.training.engine.lessons import continue_lesson, detail_error, draw_lesson
from riffusion.training.engine.train import (
    Trainer,
    TrainOptions,
)
from riffusion.training.evaluation.measures.styles import rank_accepted
from riffusion.training.evaluation.style_judge import (
    load_style_judge,
    make_judge_image,
    save_style_judge,
    train_style_judge,
)
from riffusion.training.optimization import learning_rate, make_optimizers

CONFIG = {"width": 16}
STYLE_NAMES = [style.name for style in STYLES]


def songs_in(*styles: str) -> list[int]:
    """Return numbers of the first songs in these styles."""
    return [n for n in range(60 * len(STYLES)) if STYLE_NAMES[n % len(STYLES)] in styles]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render some songs of bells for each split, which are quick to render."""
    folder = tmp_path_factory.mktemp("songs")
    bells = songs_in("church bells")
    chosen = [n for n in bells if choose_split(n) == "train"][:4]
    chosen += [n for n in bells if choose_split(n) != "train"][:6]
    make_shard(folder, 0, 0, chosen)
    return folder


def tiny_network() -> SpectrogramTransformer:
    torch.manual_seed(0)
    return SpectrogramTransformer(width=16, depth=1, heads=2, bottleneck=8, mel_bands=8)


def some_conditioning(size: int, context: int = 0) -> Conditioning:
    given = torch.zeros(size, 512)
    given[:, :context] = 1
    return Conditioning(
        torch.randn(size, 384),
        torch.ones(size, 1),
        torch.rand(size, 2),
        torch.rand(size, 6),
        torch.randn(size, 512, 17),
        given,
    )


def test_a_few_steps_of_training_lower_the_loss() -> None:
    network = tiny_network()
    images, conditioning = torch.randn(4, 1, 8, 512).cumsum(-1) / 10, some_conditioning(4)
    optimizers = make_optimizers(network, 3e-3)
    losses = []
    for _ in range(30):
        loss = flow_loss(network, images, conditioning, torch.Generator().manual_seed(0))
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_the_context_costs_nothing_and_teaches_nothing() -> None:
    network = tiny_network()
    images, conditioning = torch.randn(2, 1, 8, 512), some_conditioning(2, context=256)

    def loss_of(window: torch.Tensor) -> float:
        with torch.no_grad():
            return float(flow_loss(network, window, conditioning, torch.Generator().manual_seed(0)))

    other = images.clone()
    other[..., :256] += 5
    # The untrained network draws nothing, so only what is counted can change the loss.
    assert loss_of(images) == pytest.approx(loss_of(other))
    other[..., 300:] += 5
    assert loss_of(images) != pytest.approx(loss_of(other))


def test_the_rate_warms_up_stays_and_falls() -> None:
    assert learning_rate(0, 0.0) < 0.05
    assert learning_rate(1000, 0.3) == 1.0
    assert 0 < learning_rate(1000, 0.99) < 0.1
    rates = [learning_rate(1000, spent) for spent in np.linspace(0.6, 1.0, 20)]
    assert rates == sorted(rates, reverse=True)


def test_every_parameter_is_trained_by_exactly_one_optimizer() -> None:
    network = tiny_network()
    trained = [
        id(parameter)
        for optimizer in make_optimizers(network, 1e-3)
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(trained) == sorted(id(parameter) for parameter in network.parameters())


def trained_state(folder: Path) -> tuple[SpectrogramTransformer, list[torch.optim.Optimizer]]:
    network = tiny_network()
    optimizers = make_optimizers(network, 1e-3)
    flow_loss(
        network, torch.randn(2, 1, 8, 512), some_conditioning(2), torch.Generator()
    ).backward()
    for optimizer in optimizers:
        optimizer.step()
    save_checkpoint(folder, network, network, optimizers, Progress(7, 448, 12.5, CONFIG))
    return network, optimizers


def test_a_checkpoint_brings_everything_back(tmp_path: Path) -> None:
    network, optimizers = trained_state(tmp_path)
    other = tiny_network()
    restored = make_optimizers(other, 1e-3)
    progress = load_checkpoint(tmp_path, other, other, restored, CONFIG)
    assert progress == Progress(7, 448, 12.5, CONFIG)
    for name, value in network.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    for before, after in zip(optimizers, restored, strict=True):
        for index, state in before.state_dict()["state"].items():
            for name, value in state.items():
                assert torch.equal(torch.as_tensor(value), after.state_dict()["state"][index][name])


def test_a_run_goes_on_where_its_matrices_have_another_optimizer(tmp_path: Path) -> None:
    network, (first, rest) = trained_state(tmp_path)
    matrices = first.param_groups[0]["params"]
    kinds: list[type[torch.optim.Optimizer]] = [torch.optim.Muon, torch.optim.AdamW]
    kinds.remove(type(first))
    other = kinds[0](matrices, lr=1e-3)  # type: ignore[call-arg]
    rest.state.clear()
    assert load_checkpoint(tmp_path, network, network, [other, rest], CONFIG) is not None
    assert not other.state
    assert rest.state
    for matrix in matrices:
        matrix.grad = torch.ones_like(matrix)
    other.step()
    assert len(other.state) == len(matrices)


def test_no_checkpoint_is_no_progress(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, tiny_network(), tiny_network(), [], CONFIG) is None


def test_a_checkpoint_cut_off_while_written_is_named(tmp_path: Path) -> None:
    trained_state(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InvalidInput, match="delete it to start over"):
        load_checkpoint(tmp_path, tiny_network(), tiny_network(), [], CONFIG)


def test_resuming_with_another_configuration_says_what_changed(tmp_path: Path) -> None:
    trained_state(tmp_path)
    with pytest.raises(InvalidInput, match="another width"):
        load_checkpoint(tmp_path, tiny_network(), tiny_network(), [], {"width": 32})


def test_a_run_trains_stops_on_time_resumes_and_gives_a_model(corpus: Path, tmp_path: Path) -> None:
    def options(minutes: float) -> TrainOptions:
        return TrainOptions(minutes, batch=2, width=32, depth=1, heads=2, compiled=False)

    Trainer(corpus, tmp_path, options(0.05)).run()
    first = json.loads((tmp_path / "run" / "curve.jsonl").read_text().splitlines()[-1])
    assert first["windows"] > 0
    trainer = Trainer(corpus, tmp_path, options(0.1))
    assert trainer.progress.windows == first["windows"]
    trainer.run()
    last = json.loads((tmp_path / "run" / "curve.jsonl").read_text().splitlines()[-1])
    assert last["windows"] > first["windows"]
    assert list((tmp_path / "run").glob("sheet-*.png"))
    sheet = read_audio(next((tmp_path / "run").glob("sheet-*.wav")))
    assert sheet.samples.shape[0] == 2
    assert (tmp_path / "run" / "curve.png").stat().st_size > 5000
    prompt = Prompt("church bells", 1)
    clip = load_engine(str(tmp_path)).generate([ClipRequest(prompt, prompt, steps=2)])[0]
    assert torch.isfinite(clip.magnitudes).all()


def test_a_student_of_few_steps_is_trained_resumed_and_played(
    corpus: Path, tiny_stereo_folder: Path, tmp_path: Path
) -> None:
    def distiller(minutes: float) -> Distiller:
        options = DistillOptions(minutes, batch=4, rank=4, compiled=False)
        return Distiller(tiny_stereo_folder, corpus, tmp_path / "out", options)

    first = distiller(0.05)
    first.run()
    curve = tmp_path / "out" / "run" / "curve.jsonl"
    points = [json.loads(line) for line in curve.read_text().splitlines()]
    assert points[-1]["step"] > 0
    assert all(math.isfinite(points[-1][name]) for name in ("validation", "sharpness"))
    again = distiller(0.08)
    assert again.progress.step == points[-1]["step"]
    again.run()
    model = tmp_path / "model"
    shutil.copytree(tiny_stereo_folder, model)
    shutil.copy(tmp_path / "out" / FEW_STEPS_FILE, model)
    engine, bells = load_engine(str(model), "cpu"), Prompt("church bells", 1)
    live, fine = (
        engine.generate([ClipRequest(bells, bells, quality=quality)])[0]
        for quality in get_args(Quality)
    )
    assert live.magnitudes.isfinite().all()
    assert not torch.equal(live.magnitudes, fine.magnitudes)


def test_a_student_comes_nearer_to_its_teacher(
    corpus: Path, tiny_stereo_folder: Path, tmp_path: Path
) -> None:
    options = DistillOptions(1.0, batch=4, compiled=False, rate=3e-3)
    distiller = Distiller(tiny_stereo_folder, corpus, tmp_path, options)
    rng, noise_rng = np.random.default_rng(0), torch.Generator().manual_seed(0)
    lesson = replace(draw_lesson(distiller.train, rng, 4), start=0.0)
    losses = [distiller.train_on(lesson, noise_rng).mean() for _ in range(12)]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_a_lesson_goes_on_with_what_was_made(corpus: Path) -> None:
    """The context is the end of the clips before, and the beats go on from there."""
    rng = np.random.default_rng(0)
    songs = Corpus(corpus, "train")
    lesson = draw_lesson(songs, rng, 6)
    images = torch.randn(lesson.known.shape, generator=torch.Generator().manual_seed(1))
    after = continue_lesson(songs, lesson, images, rng)
    length = int(after.conditioning.context[0].sum())
    assert 0 < length < 512
    assert torch.equal(after.known[..., :length], images[..., -length:])
    assert not after.known[..., length:].any()
    # Where both know the beat, it is the same beat, but for how frames lie on a beat of its song.
    first, second = lesson.conditioning.lead_sheet, after.conditioning.lead_sheet
    spliced = lesson.conditioning.context[:, -length:].any(1)
    before, now = first[~spliced, -length:, :4], second[~spliced, :length, :4]
    torch.testing.assert_close(before, now, atol=0.1, rtol=0)


def test_detail_counts_by_its_strength_and_not_by_its_place() -> None:
    torch.manual_seed(0)
    images, given = torch.randn(2, 1, 64, 128), torch.zeros(2, 1, 1, 128, dtype=torch.bool)
    assert detail_error(images, images, given) == 0
    moved = detail_error(images.roll(1, -1), images, given)
    blurred = detail_error(0.5 * images, images, given)
    assert moved < 0.2 * blurred
    given[..., :] = True
    assert detail_error(0.5 * images, images, given) == 0


def test_a_run_goes_on_when_songs_are_added(corpus: Path, tmp_path: Path) -> None:
    """A run that starts from another model keeps its image scale, whatever the songs are."""
    songs, model, out = tmp_path / "songs", tmp_path / "model", tmp_path / "out"
    shutil.copytree(corpus, songs)
    shape: dict[str, Any] = {"width": 16, "depth": 1, "heads": 2, "compiled": False}
    options = TrainOptions(0.02, batch=2, **shape, start_from=model)
    network = SpectrogramTransformer(
        channels=2, width=16, depth=1, heads=2, mean=-1.5, std=0.9, balance_std=0.3
    )
    write_network(network, model, exact=True)
    Trainer(songs, out, options).run()
    make_shard(songs, 1, 0, songs_in("music box")[:3])
    trainer = Trainer(songs, out, replace(options, minutes=0.04))
    assert trainer.progress.windows > 0
    assert trainer.train.statistics.scale == ImageScale(-1.5, 0.9, 0.3)
    assert trainer.validation.statistics.scale == ImageScale(-1.5, 0.9, 0.3)
    images = draw_batch(trainer.validation, np.random.default_rng(0), 4).images
    assert float(images.diff(dim=-1).abs().mean()) > 0.01


def test_a_run_that_breaks_keeps_its_last_checkpoint(corpus: Path, tmp_path: Path) -> None:
    options = TrainOptions(0.05, batch=2, width=16, depth=1, heads=2, compiled=False)
    Trainer(corpus, tmp_path, options).run()
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    trainer = Trainer(corpus, tmp_path, replace(options, minutes=1.0))
    with torch.no_grad():
        trainer.network.expand.weight.fill_(math.nan)
    with pytest.raises(ModelError, match="last checkpoint stays"):
        trainer.run()
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before


def test_bare_names_ask_for_a_band(corpus: Path) -> None:
    bells = Corpus(corpus, "train").songs[0]
    band = replace(bells, arrangement="band")
    rng = np.random.default_rng(0)

    def bare(song: Song, has_band: bool) -> int:
        return sum(draw_caption(song, has_band, rng) == song.style for _ in range(200))

    assert bells.arrangement == "solo"
    assert bells.style not in bells.captions
    assert 40 < bare(band, has_band=True) < 80
    assert bare(bells, has_band=True) == 0
    assert 40 < bare(bells, has_band=False) < 80


def test_emphasised_styles_are_drawn_oftener(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    shutil.copytree(corpus, folder)
    listing = folder / "songs-00000.json"
    songs = json.loads(listing.read_text())
    next(song for song in songs if song["split"] == "train").update(style="rare", bpm=77)
    listing.write_text(json.dumps(songs))

    def rare(emphasis: tuple[str, ...]) -> int:
        drawn, rng = Corpus(folder, "train", emphasis=emphasis), np.random.default_rng(0)
        return sum(draw_window(drawn, rng).bpm == 77 for _ in range(200))

    # One of four songs, drawn three times as often.
    assert 30 < rare(()) < 70
    assert 80 < rare(("rare",)) < 120
    with pytest.raises(InvalidInput, match="use some of church bells, rare"):
        rare(("no such style",))


def test_captions_reach_the_network_with_noise_around_them(corpus: Path) -> None:
    songs = Corpus(corpus, "train")
    conditioning = draw_batch(songs, np.random.default_rng(0), 64).conditioning
    known = conditioning.text[conditioning.text_known[:, 0] > 0]
    nearest = torch.cdist(known, songs.embeddings.float()).amin(1) / known.shape[1] ** 0.5
    assert 0.2 < float(nearest.mean()) < 0.5  # uniform up to 0.7
    assert float(nearest.max()) < 0.8


def test_the_judge_tells_two_sounds_apart_and_survives_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    folder.mkdir()
    numbers = songs_in("church organ", "church bells")
    make_shard(folder, 0, 0, [n for n in numbers if choose_split(n) == "train"][:8])
    songs = Corpus(folder, "train")
    judge = train_style_judge(songs, 60)
    path = tmp_path / "judge.safetensors"
    save_style_judge(judge, path)
    again = load_style_judge(path)
    windows = np.stack(
        [make_judge_image(songs.frames(n, 200, 512)) for n in range(len(songs.songs))]
    )
    verdict = judge.predict(windows)
    assert torch.equal(again.predict(windows).embedding, verdict.embedding)
    right = [(song.style,) for song in songs.songs]
    assert sum(place == 0 for place in rank_accepted(judge, verdict, right)) >= 7
    leads = [(lead_family(song.lead),) for song in songs.songs]
    assert sum(place == 0 for place in rank_accepted(judge, verdict, leads)) >= 7
    path.write_bytes(b"no judge")
    with pytest.raises(ModelError, match="train it anew"):
        load_style_judge(path)
