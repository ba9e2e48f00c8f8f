"""The critics that recognise music in noise, and what a model learns from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from riffusion.engines.compact.network import BEAT_KNOWN, CHORDS, TURNS, SpectrogramTransformer
from riffusion.errors import ModelError
from riffusion.music.instruments import LEAD_FAMILIES
from riffusion.music.styles import STYLES
from riffusion.training.corpus.build import choose_split, make_shard
from riffusion.training.corpus.captions import CaptionLabels, find_labels, load_scenes
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.corpus.windows import Batch, cut_windows, draw_batch
from riffusion.training.engine.critics.critic_training import draw_later_times
from riffusion.training.engine.critics.lead_sheet import (
    FRAMES_EACH,
    LeadSheetCritic,
    LeadSheetEstimate,
    train_lead_sheet_critic,
    von_mises_error,
)
from riffusion.training.engine.critics.loading import Critics, load_critics
from riffusion.training.engine.critics.loss import critic_loss
from riffusion.training.engine.critics.style import UNNAMED, StyleCritic, train_style_critic
from riffusion.training.engine.flow import denoise
from riffusion.training.engine.train import Trainer, TrainOptions

STYLE_NAMES = [style.name for style in STYLES]
SHAPE = {"width": 32, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render organ and bells, some songs of both for training and for validation."""
    made = tmp_path_factory.mktemp("songs")
    wanted = [STYLE_NAMES.index(style) for style in ("church organ", "church bells")]
    numbers = [n for n in range(60 * len(STYLES)) if n % len(STYLES) in wanted]
    chosen = [n for n in numbers if choose_split(n) == "train"][:8]
    make_shard(made, 0, 0, chosen + [n for n in numbers if choose_split(n) == "validation"][:2])
    return made


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    return Corpus(folder, "train")


@pytest.fixture(scope="module")
def critics(corpus: Corpus) -> Critics:
    style, score = train_style_critic(corpus, 60), train_lead_sheet_critic(corpus, 60)
    return Critics(style.requires_grad_(False), score.requires_grad_(False))


def cuts(corpus: Corpus, time: float) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """Return noisy windows, their lead sheets, and the numbers of their songs."""
    rng, noise = np.random.default_rng(5), torch.Generator().manual_seed(5)
    songs = np.arange(len(corpus.songs)).repeat(4)
    images, sheets = cut_windows(corpus, rng, songs)
    noisy = time * images + (1 - time) * torch.randn(images.shape, generator=noise)
    return noisy, sheets, songs.tolist()


def recognised(critic: StyleCritic, corpus: Corpus, time: float) -> float:
    """Return the share of windows at that time whose style the critic recognises."""
    noisy, _, songs = cuts(corpus, time)
    heard = critic(noisy, torch.full((len(songs),), time)).styles.argmax(1)
    right = [critic.styles.index(corpus.songs[n].style) for n in songs]
    return float((heard == torch.tensor(right)).float().mean())


def test_it_recognises_styles_in_noisy_images_and_nothing_in_noise(
    critics: Critics, corpus: Corpus
) -> None:
    assert recognised(critics.style, corpus, 0.4) > 0.9
    assert 0.3 < recognised(critics.style, corpus, 0.0) < 0.7


def test_it_prefers_the_right_chords_to_others(critics: Critics, corpus: Corpus) -> None:
    noisy, sheets, songs = cuts(corpus, 0.5)
    heard = critics.lead_sheet(noisy, torch.full((len(songs),), 0.5))
    pitched, everywhere = torch.ones(len(songs)), torch.ones(len(songs), FRAMES)
    right = heard.error(sheets, pitched, everywhere)
    other = sheets.clone()
    other[..., CHORDS] = sheets[..., CHORDS].roll(1, -1)
    assert right < heard.error(other, pitched, everywhere) - 1


def test_the_balance_of_left_and_right_does_not_count(critics: Critics) -> None:
    images, times = torch.randn(2, 2, 128, 512), torch.full((2,), 0.5)
    other = images.clone()
    other[:, 1] += 1
    assert torch.equal(critics.style(images, times).styles, critics.style(other, times).styles)
    assert torch.equal(
        critics.lead_sheet(images, times).turns, critics.lead_sheet(other, times).turns
    )


def test_what_a_caption_does_not_name_costs_nothing(critics: Critics) -> None:
    critic = critics.style
    heard = critic(torch.randn(3, 2, 128, 512), torch.full((3,), 0.3))
    device = torch.device("cpu")
    bells, nothing = CaptionLabels("church bells", "bells"), CaptionLabels(None, None)
    styles, leads = critic.find_classes(
        [bells, nothing, CaptionLabels("no such style", None)], device
    )
    assert styles.tolist() == [critic.styles.index("church bells"), UNNAMED, UNNAMED]
    assert leads.tolist() == [LEAD_FAMILIES.index("bells"), UNNAMED, UNNAMED]
    first = replace(heard, styles=heard.styles[:1], leads=heard.leads[:1])
    assert torch.isclose(heard.error(styles, leads), first.error(styles[:1], leads[:1]))
    none = torch.full((3,), UNNAMED)
    assert float(heard.error(none, none)) == 0.0


def make_lead_sheet() -> torch.Tensor:
    """Return a lead sheet of two clips: a sixteenth of a turn a frame, a chord of three pitches."""
    sheet = torch.zeros(2, FRAMES, 17)
    turns = torch.arange(FRAMES) * torch.pi / 8
    sheet[..., TURNS] = torch.stack([turns.cos(), turns.sin(), turns.cos(), turns.sin()], -1)
    sheet[..., BEAT_KNOWN] = 1
    sheet[..., CHORDS][..., [0, 4, 7]] = 1
    return sheet


def estimate_of(sheet: torch.Tensor, sure: float) -> LeadSheetEstimate:
    every = sheet[:, ::FRAMES_EACH]
    turns = sure * every[..., TURNS].reshape(len(sheet), -1, 2, 2)
    return LeadSheetEstimate(turns, sure * (2 * every[..., CHORDS] - 1))


def test_what_is_not_asked_of_a_score_costs_nothing() -> None:
    sheet, pitched, everywhere = make_lead_sheet(), torch.ones(2), torch.ones(2, FRAMES)
    heard = estimate_of(sheet, 5.0)
    whole = heard.error(sheet, pitched, everywhere)
    wrong = sheet.clone()
    wrong[1] = wrong[1].roll(3, 0).roll(1, 1)
    wrong[1, :, BEAT_KNOWN] = 0
    assert torch.isclose(heard.error(wrong, torch.tensor([1.0, 0.0]), everywhere), whole)
    later_half = everywhere.clone()
    later_half[:, : FRAMES // 2] = 0
    other = sheet.clone()
    other[:, : FRAMES // 2, TURNS] = -1
    assert torch.isclose(heard.error(other, pitched, later_half), whole)
    unknown = torch.zeros_like(sheet)
    assert float(heard.error(unknown, pitched, everywhere)) == 0.0


def test_a_late_beat_and_a_wrong_chord_cost_more_the_surer_the_critic_is() -> None:
    sheet, pitched, everywhere = make_lead_sheet(), torch.ones(2), torch.ones(2, FRAMES)
    late, other = sheet.clone(), sheet.clone()
    late[..., TURNS] = sheet[..., TURNS].roll(4, 1)
    other[..., CHORDS] = sheet[..., CHORDS].roll(1, -1)
    for wrong in (late, other):
        errors = [estimate_of(wrong, sure).error(sheet, pitched, everywhere) for sure in (1.0, 4.0)]
        assert errors[1] > errors[0] > estimate_of(sheet, 1.0).error(sheet, pitched, everywhere)


@given(st.floats(0.0, 40.0), st.floats(-3.0, 3.0))
def test_the_error_of_a_direction_is_that_of_a_distribution(length: float, angle: float) -> None:
    """The likelihoods of all directions have mean one, relative to the uniform one."""
    around = torch.linspace(-torch.pi, torch.pi, 4097)[:-1].double()
    directions = torch.stack([around.cos(), around.sin()], -1)
    vector = length * torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float64)
    likelihood = (-von_mises_error(vector.expand(4096, 2), directions)).exp()
    assert abs(float(likelihood.mean()) - 1) < 1e-6


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("sad afrobeat loop", CaptionLabels("afrobeat", None)),
        ("afrobeat with saxophone", CaptionLabels("afrobeat", "saxophone")),
        ("slow sax", CaptionLabels(None, "saxophone")),
        ("something for the road", CaptionLabels(None, None)),
        (load_scenes("afrobeat")[0], CaptionLabels("afrobeat", None)),
    ],
)
def test_what_captions_name(caption: str, named: CaptionLabels) -> None:
    assert find_labels(caption, "afrobeat", 65) == named
    assert find_labels(caption, "afrobeat", None) == replace(named, lead=None)


def test_later_times_are_later_and_before_the_end() -> None:
    times = torch.linspace(0, 1, 50)
    after = draw_later_times(times, torch.Generator().manual_seed(0))
    assert (after >= times).all()
    assert (after <= 1).all()


def training_batch(corpus: Corpus) -> Batch:
    return draw_batch(corpus, np.random.default_rng(2), 48)


class WithoutInput(nn.Module):
    """A critic that sees no input, so that only the other one can teach anything."""

    def __init__(self, critic: StyleCritic | LeadSheetCritic) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, noisy: torch.Tensor, times: torch.Tensor) -> object:
        return self.critic(torch.zeros_like(noisy), times)

    def find_classes(self, named: list[CaptionLabels], device: torch.device) -> object:
        return self.critic.find_classes(named, device)  # type: ignore[operator]


@pytest.mark.parametrize("alone", ["style", "lead_sheet"])
def test_a_model_learns_from_each_critic(critics: Critics, corpus: Corpus, alone: str) -> None:
    torch.manual_seed(0)
    other = "lead_sheet" if alone == "style" else "style"
    taught: Critics = replace(critics, **{other: WithoutInput(getattr(critics, other))})
    network = SpectrogramTransformer(channels=2, **SHAPE)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    batch, errors = training_batch(corpus), []
    for _ in range(12):
        rng = torch.Generator().manual_seed(1)
        denoised = denoise(network, batch.images, batch.conditioning, rng)
        error = critic_loss(taught, network, denoised, batch, rng)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < errors[0] - 0.2


def test_beat_and_chords_are_asked_of_what_follows_a_context(
    critics: Critics, corpus: Corpus
) -> None:
    torch.manual_seed(0)
    network = SpectrogramTransformer(channels=2, **SHAPE)
    batch = training_batch(corpus)
    denoised = denoise(network, batch.images, batch.conditioning, torch.Generator().manual_seed(1))

    def error(moved: torch.Tensor) -> float:
        sheet = batch.conditioning.lead_sheet.clone()
        sheet[moved] = sheet[moved].roll(1, -1)
        other = replace(batch, conditioning=replace(batch.conditioning, lead_sheet=sheet))
        return critic_loss(
            critics, network, denoised, other, torch.Generator().manual_seed(1)
        ).item()

    given = batch.conditioning.context > 0
    continued = given.any(1, keepdim=True)
    nowhere = torch.zeros_like(given)
    assert abs(error(continued & ~given) - error(nowhere)) > 1e-3
    # The context is as it is; what its own lead sheet says is no part of the lesson. (This network
    # has learnt nothing yet: it draws the same whatever it is asked.)
    assert error(given) == pytest.approx(error(nowhere), abs=1e-5)


def test_continued_and_unprompted_windows_alone_teach_nothing(
    critics: Critics, corpus: Corpus
) -> None:
    network = SpectrogramTransformer(channels=2, **SHAPE)
    batch = training_batch(corpus)
    shown = replace(batch.conditioning, context=torch.ones_like(batch.conditioning.context))
    for conditioning in (shown, batch.conditioning.unguided()):
        other = replace(batch, conditioning=conditioning)
        rng = torch.Generator().manual_seed(1)
        denoised = denoise(network, other.images, conditioning, rng)
        assert float(critic_loss(critics, network, denoised, other, rng)) == 0.0


def test_critics_are_kept_for_their_own_scale(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus(folder, "train")
    first = load_critics(corpus, tmp_path, 1)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(kept) == 2
    again = load_critics(corpus, tmp_path, 1)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept
    images, times = torch.randn(2, 2, 128, 512), torch.full((2,), 0.5)
    assert torch.equal(
        first.lead_sheet(images, times).chords, again.lead_sheet(images, times).chords
    )
    scale = replace(corpus.statistics.scale, mean=-3.0)
    load_critics(Corpus(folder, "train", scale), tmp_path, 1)
    assert len(list(tmp_path.iterdir())) == 4
    for path in kept:
        path.write_bytes(b"cut off")
    with pytest.raises(ModelError, match="train it anew"):
        load_critics(corpus, tmp_path, 1)


def test_a_run_is_taught_by_the_critics_beside_its_corpus(folder: Path, tmp_path: Path) -> None:
    load_critics(Corpus(folder, "train"), folder, 2)
    kept = {path: path.read_bytes() for path in folder.glob("*-critic-*.safetensors")}
    assert len(kept) == 2
    options = TrainOptions(0.05, batch=24, **SHAPE, compiled=False, critic=0.1)
    Trainer(folder, tmp_path, options).run()
    assert {path: path.read_bytes() for path in folder.glob("*-critic-*.safetensors")} == kept
    assert (tmp_path / "config.json").exists()
