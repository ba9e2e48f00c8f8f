"""The evaluation: known sounds, statistics of sets, and the whole table on a tiny model."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from riffusion.audio.waveform import Waveform, write_audio
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.network import SpectrogramTransformer
from riffusion.engines.loading import load_engine
from riffusion.errors import InvalidInput, ModelError
from riffusion.music.styles import STYLES
from riffusion.networks.weights import write_network
from riffusion.spectral.log_mel import ImageScale, log_mel
from riffusion.spectral.spectrogram import mel_spectrogram
from riffusion.training.corpus.build import choose_split, make_shard
from riffusion.training.corpus.captions import load_scenes
from riffusion.training.corpus.dataset import FRAMES, Corpus
from riffusion.training.engine.warm_start import warm_start
from riffusion.training.evaluation import embedding_statistics
from riffusion.training.evaluation import engine as evaluate
from riffusion.training.evaluation.measures.distribution import measure_grid_flux
from riffusion.training.evaluation.measures.styles import UNSEEN_PROMPTS
from riffusion.training.evaluation.renders import Renders
from riffusion.training.evaluation.samples import (
    Player,
    Sample,
    SampleRequest,
    make_matched_requests,
    make_requests,
    open_generator,
    vary_control,
)
from riffusion.training.evaluation.style_judge import StyleJudge, make_judge_image, save_style_judge
from riffusion.training.evaluation.vocoders import CONTINUING_VOCODERS
from riffusion.training.plots import draw_gain

RATE = COMPACT_PARAMS.sample_rate
GROUPS = np.random.default_rng(0)


def chord(pitches: list[int]) -> Waveform:
    seconds = np.arange(2 * RATE) / RATE
    tones = [np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * seconds) for pitch in pitches]
    return Waveform(np.mean(tones, 0)[None].astype(np.float32), RATE)


def test_a_grid_in_the_image_is_seen() -> None:
    rng = np.random.default_rng(0)
    smooth = rng.standard_normal((FRAMES, 128)).astype(np.float32)
    assert measure_grid_flux(smooth, 8) == pytest.approx(1.0, abs=0.1)
    steps = np.repeat(rng.standard_normal((FRAMES // 8, 128)), 8, 0).astype(np.float32)
    assert measure_grid_flux(steps + 0.1 * smooth, 8) > 5


def test_sets_are_as_far_apart_as_they_were_made() -> None:
    one, other = GROUPS.standard_normal((4000, 4)), GROUPS.standard_normal((4000, 4))
    assert embedding_statistics.frechet_distance(one, other) == pytest.approx(0.0, abs=0.02)
    assert embedding_statistics.frechet_distance(one, other + 3.0) == pytest.approx(36.0, rel=0.05)
    # Gaussians of deviation 1 and 2: four times (2 - 1) squared.
    assert embedding_statistics.frechet_distance(one, 2 * other) == pytest.approx(4.0, rel=0.1)
    assert embedding_statistics.mean_pairwise_distance(2 * one[:200]) == pytest.approx(
        2 * embedding_statistics.mean_pairwise_distance(one[:200])
    )
    assert embedding_statistics.nearest_distances(one[:10], one).max() < 1e-6
    assert embedding_statistics.nearest_distances(one[:10] + 100, one).min() > 100


@given(st.lists(st.integers(-100, 100), min_size=3, max_size=20, unique=True))
def test_rank_correlation_sees_order_only(values: list[int]) -> None:
    asked = np.array(values, float)
    assert embedding_statistics.rank_correlation(asked, np.exp(asked / 50)) == pytest.approx(1.0)
    assert embedding_statistics.rank_correlation(asked, -(asked**3)) == pytest.approx(-1.0)
    assert embedding_statistics.rank_correlation(asked, np.ones(len(asked))) == 0.0


@given(st.integers(0, 2**31), st.sampled_from([1, 2]))
def test_images_and_levels_are_inverse(seed: int, channels: int) -> None:
    levels = torch.randn(channels, 8, 16, generator=torch.Generator().manual_seed(seed))
    scale = ImageScale(-2.0, 1.1, 0.2)
    assert torch.allclose(scale.levels(scale.image(levels)), levels, atol=1e-5)


def test_the_image_of_equal_channels_has_no_balance() -> None:
    mono = torch.randn(1, 8, 16)
    scale = ImageScale(-2.0, 1.1, 0.2)
    image = scale.image(mono.expand(2, -1, -1))
    assert torch.equal(image[1], torch.zeros(8, 16))
    assert torch.allclose(image[0], scale.image(mono)[0])


def test_a_stereo_run_starts_with_what_a_mono_model_of_another_scale_knew(tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = {"width": 32, "depth": 1, "heads": 2, "bottleneck": 16}
    mono = SpectrogramTransformer(**size, max_hz=20000.0)
    torch.nn.init.normal_(mono.draw.weight, std=0.2)
    write_network(mono, tmp_path, exact=True)
    stereo = SpectrogramTransformer(**size, max_hz=20000.0, channels=2)
    warm_start(stereo, tmp_path)
    noisy = torch.randn(1, 2, 128, 512)
    conditioning = _conditioning()
    with torch.no_grad():
        before = mono(noisy[:, :1], torch.tensor([0.5]), conditioning)
        after = stereo(noisy, torch.tensor([0.5]), conditioning)
    assert torch.allclose(after[:, :1], before, atol=1e-4)
    assert (after[:, 1] == 0).all()
    wider = SpectrogramTransformer(**size, max_hz=16000.0)
    warm_start(wider, tmp_path)
    # Band 100 of the lower scale lies where band 94 of the higher one does.
    moved, there = (n.draw.weight.view(16, -1, 32)[0] for n in (wider, mono))
    assert torch.nn.functional.cosine_similarity(moved[100], there[94], dim=0) > 0.5
    with pytest.raises(ModelError, match="another width"):
        warm_start(SpectrogramTransformer(**{**size, "width": 16}), tmp_path)
    with pytest.raises(ModelError, match="no model to start from"):
        warm_start(stereo, tmp_path / "nothing")


def _conditioning() -> object:
    from riffusion.engines.compact.network import Conditioning

    return Conditioning(
        torch.randn(1, 384),
        torch.ones(1, 1),
        torch.rand(1, 2),
        torch.rand(1, 6),
        torch.randn(1, 512, 17),
        torch.zeros(1, 512),
    )


def test_requests_cover_prompts_tempi_and_keys() -> None:
    asked = make_requests([("jazz", ("jazz",)), ("rock", ("rock",))], 6)
    assert len({one.seed for one in asked}) == 12
    assert len({one.key for one in asked}) == 12
    assert len({one.bpm for one in asked}) > 5
    assert all((one.lead_sheet(9, 0.01).chroma[0] > 0).any() for one in asked)
    louder = vary_control(asked[0], "density", (0.1, 0.9))
    assert [one.controls.density for one in louder] == [0.1, 0.9]
    assert {one.seed for one in louder} == {asked[0].seed}


def test_renders_are_asked_for_as_they_are(splits: Path) -> None:
    test = Renders.draw(Corpus(splits, "test"), 1)
    whole = test.keep_full_arrangements()
    assert {whole.song(n).arrangement for n in range(len(whole))} <= {"band", "no lead", "solo"}
    for number, asked in enumerate(make_matched_requests(whole)):
        song, sheet = whole.song(number), asked.lead_sheet(FRAMES, COMPACT_PARAMS.frame_s)
        assert (asked.prompt, asked.bpm) == (song.style, song.bpm)
        assert asked.accepted == (song.style,)
        assert np.array_equal(sheet.chroma, whole.lead_sheet(number).chroma)
        assert sheet.beats_per_bar == song.beats_per_bar


def test_unseen_prompts_name_styles_that_exist_and_are_unseen() -> None:
    listing = json.loads(UNSEEN_PROMPTS.read_text())
    assert len(listing) >= 40
    names = {style.name for style in STYLES}
    words = {word for style in STYLES for word in style.words}
    for entry in listing:
        assert set(entry["styles"]) <= names
        assert entry["prompt"] not in words
    # Captions name scenes too: none that shares most of its words with one of these prompts.
    for scene in (scene for style in STYLES for scene in load_scenes(style.name)):
        for entry in listing:
            asked, written = _content(entry["prompt"]), _content(scene)
            assert len(asked & written) < 0.6 * min(len(asked), len(written)), (entry, scene)


def _content(text: str) -> set[str]:
    small = "a an the of in on at for with and to from by over under into s music song my it is"
    return set(re.findall("[a-z]+", text.lower())) - {*small.split(), "that"}


@pytest.fixture(scope="session")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render a few songs of every split, in two styles."""
    folder = tmp_path_factory.mktemp("splits")
    # Seven songs of house in training, because the first have no drums.
    numbers = [
        number
        for split in ("train", "validation", "test")
        for style, count in (("house", 7 if split == "train" else 2), ("church bells", 1))
        for number in [
            n
            for n in range(4000)
            if STYLES[n % len(STYLES)].name == style and choose_split(n) == split
        ][:count]
    ]
    make_shard(folder, 0, 0, numbers)
    return folder


def test_the_whole_table(
    splits: Path, tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    out = tmp_path / "table.json"
    options = ["--corpus", str(splits), "--judges", str(tmp_path), "--judge-steps", "2"]
    options += ["--seeds", "1", "--workers", "1", "--json", str(out)]
    evaluate.main(parser.parse_args([str(tiny_model_folder), *options]))
    assert "about" in capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(out.read_text())}
    judges = {path.stem for path in tmp_path.glob("*.safetensors")}
    assert judges == {"judge", "rhythm-judge", "harmony-judge"}
    with Image.open(out.with_suffix(".png")) as picture:
        assert picture.width > 500
    assert rows["style named first"]["chance"] == 0.5
    assert rows["unseen wording, named first"]["clips"] == 40
    bells = [row for row in json.loads(out.read_text()) if row["name"] == "  church bells"]
    assert [row["ceiling"] is not None for row in bells] == [True, False]  # a prompt, then a style
    like = rows["tempo and chords of renders: style first"]
    assert like["clips"] in (1, 2, 3)
    assert like["ceiling"] is not None
    assert rows["  house"]["clips"] == 1
    assert rows["family named first, of 2"]["chance"] == 0.5
    assert rows["tonic asked for, 20 s"]["clips"] == 6
    assert rows["continued: key kept"]["clips"] >= 3
    for jams in ("held", "walk"):
        assert rows[f"{jams}: correlation one loop apart"]["clips"] == 2
        assert rows[f"{jams}: correlation one loop apart"]["ceiling"] is not None
        assert rows[f"{jams}: bars one loop apart differ by, dB"]["value"] >= 0
    assert rows["beat within 30 ms of asked"]["ceiling"] is not None
    for row in rows.values():
        assert np.isfinite(row["value"]), row
        named = not row["name"].startswith("  ")
        assert not named or row["ceiling"] is not None or row["chance"] is not None


def test_audio_of_another_system_is_judged_too(splits: Path, tmp_path: Path) -> None:
    judge = StyleJudge(["church bells", "house"]).eval()
    save_style_judge(judge, tmp_path / "judge.safetensors")
    audio = tmp_path / "audio"
    (audio / "house").mkdir(parents=True)
    write_audio(chord([60, 64, 67]), audio / "house" / "one.wav")
    rows = evaluate.evaluate_audio(audio, judge)
    assert rows[0].clips == 1
    (audio / "house").rename(audio / "polka of mars")
    with pytest.raises(InvalidInput, match="church bells, house"):
        evaluate.evaluate_audio(audio, judge)
    with pytest.raises(InvalidInput, match="folder of audio"):
        evaluate.evaluate_audio(tmp_path / "empty", judge)


def test_an_impression_is_half_as_fine(splits: Path) -> None:
    corpus = Corpus(splits, "train")
    assert make_judge_image(corpus.frames(0, 0, FRAMES)).shape == (FRAMES // 2, 64)


def test_the_curve_of_the_docs_is_drawn_from_its_table(tmp_path: Path) -> None:
    listing = Path(__file__).parents[2] / "docs" / "training_curve.json"
    draw_gain(listing, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 500
    assert (tmp_path / "curve.png").stat().st_size < 100_000


def test_clips_made_in_other_processes_are_the_same(tiny_model_folder: Path) -> None:
    asked = make_requests([("house", ("house",)), ("jazz", ("jazz",))], 1)
    with (
        open_generator(Player(tiny_model_folder), 1) as here,
        open_generator(Player(tiny_model_folder), 2) as elsewhere,
    ):
        pairs = zip(here.clips(asked, "here"), elsewhere.clips(asked, "there"), strict=True)
        for one, other in pairs:
            assert np.array_equal(one.levels, other.levels)
            assert one.request == other.request


@pytest.mark.parametrize("name", CONTINUING_VOCODERS)
def test_clips_heard_through_a_vocoder_are_those_of_its_sound(
    tiny_model_folder: Path, name: str
) -> None:
    asked = make_requests([("house", ("house",))], 1)
    drawn, heard = (studio_clip(tiny_model_folder, asked, through) for through in (None, name))
    engine = load_engine(str(tiny_model_folder))
    clip = engine.generate([asked[0].make_clip_request(engine)])[0]
    sound = CONTINUING_VOCODERS[name]()(clip, prefix=None)
    expected = log_mel(mel_spectrogram(sound, engine.params).magnitudes)
    assert np.allclose(heard.levels, expected.permute(2, 0, 1).numpy(), atol=1e-5)
    assert np.allclose(drawn.levels, log_mel(clip.magnitudes).permute(2, 0, 1).numpy())
    assert heard.levels.shape == drawn.levels.shape
    assert heard.lead_sheet.frames == drawn.lead_sheet.frames


def studio_clip(model: Path, asked: list[SampleRequest], through: str | None) -> Sample:
    with open_generator(Player(model, through=through), 1) as generator:
        return generator.clips(asked, "one")[0]


def test_jams_are_played_by_the_vocoder_asked_for(tiny_model_folder: Path) -> None:
    asked = make_requests([("house", ("house",))], 1)
    jams = {}
    for through in (None, "griffin-lim", "learned"):
        with open_generator(Player(tiny_model_folder, through=through), 1) as generator:
            jams[through] = generator.jams(asked, "one")[0]
    # This model brings no vocoder: Griffin-Lim is its own.
    assert np.array_equal(jams[None].levels, jams["griffin-lim"].levels)
    assert not np.allclose(jams[None].levels, jams["learned"].levels, atol=0.1)
    assert jams[None].seams == jams["learned"].seams
