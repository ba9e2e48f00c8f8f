"""The critic that hears through noise, and what a model learns from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from riffusion.engines.transformer import SpectrogramTransformer
from riffusion.errors import ModelError
from riffusion.training.captions import Named, named_in, scenes_of
from riffusion.training.corpus import make_shard, split_of
from riffusion.training.critic import UNNAMED, Critic, critic_of, later, lesson, train_critic
from riffusion.training.dataset import Batch, Corpus
from riffusion.training.flow import guess
from riffusion.training.instruments import LEAD_FAMILIES
from riffusion.training.styles import STYLES
from riffusion.training.train import CRITIC, Trainer, TrainOptions

STYLE_NAMES = [style.name for style in STYLES]
SHAPE = {"width": 32, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Organ and bells, songs of both in training and some for validation."""
    made = tmp_path_factory.mktemp("songs")
    wanted = [STYLE_NAMES.index(style) for style in ("church organ", "church bells")]
    numbers = [n for n in range(60 * len(STYLES)) if n % len(STYLES) in wanted]
    chosen = [n for n in numbers if split_of(n) == "train"][:8]
    make_shard(made, 0, 0, chosen + [n for n in numbers if split_of(n) == "validation"][:2])
    return made


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    return Corpus(folder, "train")


@pytest.fixture(scope="module")
def critic(corpus: Corpus) -> Critic:
    return train_critic(corpus, 60).requires_grad_(False)


def told(critic: Critic, corpus: Corpus, time: float) -> float:
    """The share of windows at that time whose style it names."""
    rng, noise = np.random.default_rng(5), torch.Generator().manual_seed(5)
    songs = np.arange(len(corpus.songs)).repeat(4)
    images = corpus.images(rng, songs)
    noisy = time * images + (1 - time) * torch.randn(images.shape, generator=noise)
    heard = critic(noisy, torch.full((len(songs),), time)).styles.argmax(1)
    right = [critic.styles.index(corpus.songs[n].style) for n in songs]
    return float((heard == torch.tensor(right)).float().mean())


def test_it_tells_styles_through_noise_and_nothing_from_noise(
    critic: Critic, corpus: Corpus
) -> None:
    assert told(critic, corpus, 0.4) > 0.9
    assert 0.3 < told(critic, corpus, 0.0) < 0.7


def test_the_balance_of_left_and_right_does_not_count(critic: Critic) -> None:
    images, times = torch.randn(2, 2, 128, 512), torch.full((2,), 0.5)
    other = images.clone()
    other[:, 1] += 1
    assert torch.equal(critic(images, times).styles, critic(other, times).styles)


def test_what_a_caption_does_not_name_costs_nothing(critic: Critic) -> None:
    heard = critic(torch.randn(3, 2, 128, 512), torch.full((3,), 0.3))
    device = torch.device("cpu")
    bells, nothing = Named("church bells", "bells"), Named(None, None)
    styles, leads = critic.classes([bells, nothing, Named("no such style", None)], device)
    assert styles.tolist() == [critic.styles.index("church bells"), UNNAMED, UNNAMED]
    assert leads.tolist() == [LEAD_FAMILIES.index("bells"), UNNAMED, UNNAMED]
    first = replace(heard, styles=heard.styles[:1], leads=heard.leads[:1])
    assert torch.isclose(heard.error(styles, leads), first.error(styles[:1], leads[:1]))
    none = torch.full((3,), UNNAMED)
    assert float(heard.error(none, none)) == 0.0


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("sad afrobeat loop", Named("afrobeat", None)),
        ("afrobeat with saxophone", Named("afrobeat", "saxophone")),
        ("slow sax", Named(None, "saxophone")),
        ("something for the road", Named(None, None)),
        (scenes_of("afrobeat")[0], Named("afrobeat", None)),
    ],
)
def test_what_captions_name(caption: str, named: Named) -> None:
    assert named_in(caption, "afrobeat", 65) == named
    assert named_in(caption, "afrobeat", None) == replace(named, lead=None)


def test_later_times_are_later_and_before_the_end() -> None:
    times = torch.linspace(0, 1, 50)
    after = later(times, torch.Generator().manual_seed(0))
    assert (after >= times).all()
    assert (after <= 1).all()


def lesson_batch(corpus: Corpus) -> Batch:
    return corpus.batch(np.random.default_rng(2), 48)


def test_a_model_learns_from_it_to_be_told(critic: Critic, corpus: Corpus) -> None:
    torch.manual_seed(0)
    network = SpectrogramTransformer(channels=2, **SHAPE)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    batch, errors = lesson_batch(corpus), []
    for _ in range(12):
        rng = torch.Generator().manual_seed(1)
        guessed = guess(network, batch.images, batch.conditioning, rng)
        error = lesson(critic, network, guessed, batch, rng)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.8 * errors[0]


def test_continued_and_unprompted_windows_teach_nothing(critic: Critic, corpus: Corpus) -> None:
    network = SpectrogramTransformer(channels=2, **SHAPE)
    batch = lesson_batch(corpus)
    shown = replace(batch.conditioning, context=torch.ones_like(batch.conditioning.context))
    for conditioning in (shown, batch.conditioning.unguided()):
        other = replace(batch, conditioning=conditioning)
        rng = torch.Generator().manual_seed(1)
        guessed = guess(network, other.images, conditioning, rng)
        assert float(lesson(critic, network, guessed, other, rng)) == 0.0


def test_a_run_trains_its_critic_first_and_keeps_it(folder: Path, tmp_path: Path) -> None:
    critic_of(Corpus(folder, "train"), folder / CRITIC, steps=2)
    before = (folder / CRITIC).read_bytes()
    options = TrainOptions(0.05, batch=24, **SHAPE, compiled=False, critic=0.1)
    Trainer(folder, tmp_path, options).run()
    assert (folder / CRITIC).read_bytes() == before
    assert (tmp_path / "config.json").exists()
    (folder / CRITIC).write_bytes(b"cut off")
    with pytest.raises(ModelError, match="train it anew"):
        Trainer(folder, tmp_path / "other", options)
