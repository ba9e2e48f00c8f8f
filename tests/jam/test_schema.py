"""Every setting of the schema can be given wherever its scopes say: form, links, plans, APIs."""

from __future__ import annotations

import inspect
import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, get_args

import gradio as gr
import pytest

from riffusion.cli.main import main
from riffusion.engines import clip
from riffusion.engines.clip import Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam import schema
from riffusion.jam.anchor_loops import library_anchor, library_mask
from riffusion.jam.prompt_settings import LETTERS, MAX_SEED
from riffusion.jam.schema import BY_NAME, DEFAULTS, SETTINGS, settings_for
from riffusion.jam.setting import Scope, Setting
from riffusion.jam.setting_values import merge_change, read_settings
from riffusion.jam.settings import JamSettings, from_json, to_json
from riffusion.live.registry import JamRegistry
from riffusion.music import rhythm
from riffusion.music.walk import PATHS
from riffusion.serving.api import Api
from riffusion.serving.form import build_form
from riffusion.serving.links import DEFAULTS as FORM_DEFAULTS
from riffusion.serving.links import NAMES, read_link
from riffusion.serving.live_buttons import build_live_buttons
from riffusion.serving.mcp import add_tools
from riffusion.serving.requests import ClipApiRequest
from riffusion.serving.section_form import build_section_inputs
from riffusion.serving.services import make_services
from riffusion.song.model import Song
from riffusion.song.plan import plan_text, read_plan

COMMANDS: dict[Scope, str] = {"jam": "jam", "clip": "generate", "song": "song"}
TEXTS = {
    "key": "Am",
    "chords": "Am F",
    "anchor": "marimba",
    "anchor_b": "vibraphone",
    "mask": "middle",
}
# A prompt that is not there has neither seed nor negative prompt.
EIGHT_PROMPTS = {f"prompt_{letter}": f"music {letter}" for letter in LETTERS[2:]}
PLAN = "order: [a]\nsections: {a: {bars: 1, prompt: jazz, anchor: soul_beat}}\n"


def scoped(*scopes: Scope) -> pytest.MarkDecorator:
    """Run a test for each setting that can be given in one of ``scopes``."""
    entries = [entry for entry in SETTINGS if entry.scopes & set(scopes)]
    return pytest.mark.parametrize("entry", entries, ids=lambda entry: entry.name)


def given(entry: Setting) -> Any:
    """A legal value, as JSON or a link has it, that is not the default."""
    if entry.kind == "choice":
        return next(value for value in entry.choices if value != entry.default)
    if entry.kind == "flag":
        return not entry.default
    if entry.is_numeric:
        value = entry.minimum + entry.step
        value = value if value != entry.default else value + entry.step
        return int(value) if entry.kind == "whole" else float(value)
    return TEXTS.get(entry.name, "funky piano")


def played(entry: Setting) -> Any:
    """The value that ``given`` stands for in settings."""
    value = given(entry)
    find = {"anchor": library_anchor, "mask": library_mask}.get(entry.kind)
    return find(value) if find else value


@scoped("jam", "clip", "section", "song")
def test_settings_have_its_default_and_check_its_range(entry: Setting) -> None:
    assert read_settings({}).by_setting()[entry.name] == entry.default == DEFAULTS[entry.name]
    settings = read_settings({}).with_settings({**EIGHT_PROMPTS, entry.name: played(entry)})
    assert settings.by_setting()[entry.name] == played(entry) != entry.default
    assert JamSettings(Prompt("x"), Prompt("x")).changed(from_json(to_json(settings.values()))) == (
        settings
    )
    if entry.is_numeric:
        for value in (entry.minimum - 1, entry.maximum + 1, "1", True, float("nan")):
            with pytest.raises(InvalidInput):
                settings.with_settings({entry.name: value})


@pytest.fixture(scope="module")
def form() -> dict[str, Any]:
    with gr.Blocks():
        return build_form()


@scoped("jam")
def test_the_form_has_a_control_for_it(entry: Setting, form: dict[str, Any]) -> None:
    assert set(form) == set(NAMES)
    if entry.momentary:
        assert f'data-name="{entry.wire_name}" data-bars="1"' in build_live_buttons()
        assert entry.wire_name not in form
        return
    control = form[entry.wire_name]
    assert str(control.value) == str(FORM_DEFAULTS[entry.wire_name])
    assert control.elem_id
    if isinstance(control, gr.Slider):
        assert control.minimum == entry.minimum
        assert control.maximum <= entry.maximum
        assert control.step == entry.step
    if entry.kind == "choice":
        assert [value for _, value in control.choices] == list(entry.choices)


@scoped("jam")
def test_links_restore_it(entry: Setting) -> None:
    value = given(entry)
    text = str(int(value)) if entry.kind == "flag" else str(value)
    values, problems = read_link({entry.wire_name: text})
    assert problems == []
    # What is momentary is done once, and not again by whoever opens the link.
    assert values == {**FORM_DEFAULTS, **({} if entry.momentary else {entry.wire_name: value})}


@scoped("jam")
def test_messages_change_it_alone(entry: Setting) -> None:
    merged = merge_change({}, {entry.wire_name: given(entry)})
    assert merged.refused == ()
    assert merged.settings == read_settings({}).with_settings({entry.name: played(entry)})
    if entry.is_numeric:
        bad = merge_change(merged.values, {entry.wire_name: entry.maximum + 1})
        assert bad.settings == merged.settings
        assert [refusal.field for refusal in bad.refused] == [entry.wire_name]


@pytest.fixture(scope="module")
def helps() -> dict[Scope, str]:
    """The help of the commands that take settings, by scope, each in one line."""
    texts: dict[Scope, str] = {}
    for scope, command in COMMANDS.items():
        text = io.StringIO()
        with redirect_stdout(text), pytest.raises(SystemExit):
            main([command, "--help"])
        texts[scope] = " ".join(text.getvalue().split())
    return texts


@scoped("jam", "clip", "song")
def test_commands_have_an_option_and_tell_its_default(
    entry: Setting, helps: dict[Scope, str]
) -> None:
    option = f"--{entry.name.replace('_', '-')}"
    for scope in COMMANDS:
        # The variation of a song is how its sections differ when they return.
        expected = scope in entry.scopes or (scope, entry.name) == ("song", "variation")
        assert bool(re.search(f" {option}[ ,]", helps[scope])) == expected
    # Prompts and seeds have defaults of their own on the command line.
    if "jam" in entry.scopes and not entry.name.startswith(("prompt", "seed")):
        value = f", --no-{entry.name} " if entry.kind == "flag" else f" {entry.name.upper()} "
        _, _, text = helps["jam"].partition(f"{option}{value}")
        assert f"(default: {entry.default_in_words})" in text.partition(" --")[0]


@scoped("clip")
def test_requests_for_a_clip_describe_and_take_it(entry: Setting) -> None:
    described = ClipApiRequest.model_json_schema()["properties"][entry.name]
    assert entry.help in described["description"]
    if entry.is_numeric:
        assert described["minimum"] == entry.minimum
        assert described["maximum"] <= entry.maximum
    request = ClipApiRequest(prompt="jazz", **{entry.name: given(entry)})
    assert getattr(request, entry.name) == given(entry)
    assert getattr(ClipApiRequest(prompt="jazz"), entry.name) in (entry.default, None)


def test_make_clip_of_mcp_has_the_fields_of_the_request(tiny_engine: Engine) -> None:
    page = gr.Blocks()
    add_tools(page, Api(make_services(JamRegistry(tiny_engine))))
    tool: Any = next(fn.fn for fn in page.fns.values() if fn.api_name == "make_clip")
    parameters = inspect.signature(tool).parameters
    assert list(parameters)[:7] == ["prompt", "seed", "bpm", "key", "anchor", "strength", "steps"]
    assert set(parameters) == set(ClipApiRequest.model_fields)
    for entry in settings_for("clip"):
        assert parameters[entry.name].default in (entry.default, None)
        assert f"{entry.name}: {entry.help}" in str(inspect.getdoc(tool))
    endpoint: Any = page.get_api_info()
    described = endpoint["named_endpoints"]["/make_clip"]["parameters"]
    assert [parameter["parameter_name"] for parameter in described] == list(parameters)


@scoped("section")
def test_sections_of_plans_have_it(entry: Setting) -> None:
    song = plan_with(entry, f"anchor: soul_beat, {entry.name}: {given(entry)}")
    assert song.sections[0].settings()[entry.name] == played(entry)


@scoped("song")
def test_songs_of_plans_have_it(entry: Setting) -> None:
    song = plan_with(entry, "anchor: soul_beat", f"{entry.name}: {given(entry)}\n")
    assert song.settings()[entry.name] == played(entry)
    assert read_plan(PLAN).settings()[entry.name] == entry.default


def plan_with(entry: Setting, section: str, song: str = "") -> Song:
    """A plan of one section, which is written and read again as the same song."""
    section = section.replace("anchor: soul_beat, anchor", "anchor")
    plan = read_plan(song + PLAN.replace("anchor: soul_beat", section))
    assert read_plan(plan_text(plan)) == plan
    assert f"{entry.name}: " in plan_text(plan)
    return plan


@scoped("section")
def test_the_form_of_a_section_has_an_input_for_it(entry: Setting) -> None:
    inputs = [
        line for line in build_section_inputs().splitlines() if f'name="{entry.name}"' in line
    ]
    assert len(inputs) == 1
    assert ("inputmode" in inputs[0]) == entry.is_numeric
    assert entry.label.capitalize() in inputs[0]
    for choice in entry.choices:
        assert f'<option value="{choice}">' in inputs[0]


@scoped("section", "song")
def test_the_documentation_of_plans_names_it(entry: Setting) -> None:
    page = Path(__file__).parents[2] / "docs" / "songs.md"
    assert f"`{entry.name}`" in page.read_text("utf-8")


def test_a_plan_refuses_what_is_out_of_range_with_its_line() -> None:
    for entry in settings_for("section"):
        if entry.is_numeric:
            with pytest.raises(InvalidInput, match=f"line 4: {entry.label} is"):
                read_plan(f"order: [a]\nsections:\n  a:\n    {entry.name}: 999999\n"
                          "    bars: 1\n    prompt: x\n")  # fmt: skip


def test_names_are_unique_and_sessions_know_the_newest() -> None:
    assert len(BY_NAME) == len({entry.wire_name for entry in SETTINGS}) == len(SETTINGS)
    assert schema.session_version() == max(entry.since for entry in SETTINGS)
    assert all(entry.scopes <= set(get_args(Scope)) for entry in SETTINGS)
    schema.check_version([*BY_NAME, "controls"], schema.session_version())
    with pytest.raises(InvalidInput, match="came with version 1 of session files, not 0"):
        schema.check_version(["bpm"], 0)


def test_engines_and_music_agree_with_the_schema() -> None:
    guidance, steps = BY_NAME["guidance"], BY_NAME["steps"]
    assert (guidance.default, guidance.maximum) == (clip.DEFAULT_GUIDANCE, clip.MAX_GUIDANCE)
    assert steps.default == clip.DEFAULT_STEPS
    assert MAX_SEED == clip.MAX_SEED
    bpm, beats = BY_NAME["bpm"], BY_NAME["beats_per_bar"]
    assert (bpm.minimum, bpm.maximum) == (rhythm.MIN_BPM, rhythm.MAX_BPM)
    assert (beats.minimum, beats.maximum) == (rhythm.MIN_BEATS, rhythm.MAX_BEATS)
    assert set(BY_NAME["path"].choices) == set(PATHS)
