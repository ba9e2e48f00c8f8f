"""Plans: songs as text, YAML or JSON, to be edited by hand. docs/songs.md explains the fields.

Nothing in a plan is trusted: the whole plan is read and checked before anything is played, and
errors name their line. Fields that are settings are read, checked and written by the schema.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from riffusion.engines.clip import Prompt
from riffusion.errors import InvalidInput, InvalidPlan
from riffusion.jam.anchor_loops import library_anchor, load_anchor_ref
from riffusion.jam.asset import UPLOAD_PREFIX, AssetRef
from riffusion.jam.schema import BY_NAME, settings_for
from riffusion.jam.setting import Setting
from riffusion.music.harmony import parse_chords, parse_key
from riffusion.song.model import (
    MAX_BARS,
    Section,
    Song,
    check_count,
    check_known,
    check_name,
    check_number,
    check_title,
    check_whole,
    parse_transition,
    section_fields,
)
from riffusion.song.yaml_lines import Entry, read_yaml
from riffusion.storage import write_whole

T = TypeVar("T")
Reader = Callable[[Entry], object]
# Finds an anchor by its name; raises InvalidInput for an unknown one.
Anchors = Callable[[str], AssetRef]

WRITTEN_AS = (".yaml", ".yml", ".json")
MAX_BYTES = 256_000
SHOWN = "docs/songs.md shows a whole plan"


def load_plan(path: str | os.PathLike[str]) -> Song:
    """Read a plan file, with anchors that are files beside it.

    Raises InvalidPlan, which says what is wrong and in which line.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidPlan("plan", str(path), "no such file; check the name and the folder")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidPlan("plan", path.name, f"is larger than {MAX_BYTES // 1000} kB")
    try:
        return read_plan(path.read_text("utf-8"), partial(_anchor_beside, path.parent))
    except UnicodeDecodeError as error:
        raise InvalidPlan("plan", path.name, "is no text; save it as UTF-8") from error


def save_plan(song: Song, path: str | os.PathLike[str]) -> None:
    """Write a song as YAML or JSON, by the suffix of the path, and uploaded anchors beside it.

    Such an anchor is written as FLAC under its own name. Raises StorageError where a file cannot be
    written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITTEN_AS:
        raise InvalidInput("plan", str(path), f"end it in {', '.join(WRITTEN_AS)}")
    own = {section.anchor for section in song.sections if section.anchor}
    for anchor in own:
        if anchor.is_uploaded:
            write_whole(Path(path).with_name(f"{anchor.name}.flac"), anchor.data)
    write_whole(path, plan_text(song, suffix).encode())


def plan_text(song: Song, suffix: str = ".yaml") -> str:
    """Return a song as YAML or JSON, which ``read_plan`` reads as the same song."""
    content = plan_fields(song)
    if suffix == ".json":
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    # Lines are not folded: each field stays one line to edit.
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10**6)
    return text


def plan_fields(song: Song) -> dict[str, Any]:
    """Return a song as the fields of a plan, ready for JSON."""
    settings = {name: v for name, v in song.settings().items() if _is_written(BY_NAME[name], v)}
    values = {"title": song.title, "variation": song.variation, **settings}
    return {
        **{name: values[name] for name in SONG_FIELDS if name in values},
        "order": list(song.order),
        "sections": {section.name: _section_plan(section) for section in song.sections},
    }


def read_plan(text: str, anchors: Anchors = library_anchor) -> Song:
    """Read a song from YAML or JSON. ``anchors`` finds the anchors of sections by name.

    Raises InvalidPlan, which says what is wrong and in which line.
    """
    if len(text) > MAX_BYTES:
        raise InvalidPlan("plan", f"{len(text)} characters", f"use at most {MAX_BYTES}")
    plan = read_yaml(text, "plan")
    found = plan.mapping((*SONG_FIELDS, "order", "sections"))
    _check_present(plan, found, ("order", "sections"))
    sections = found["sections"].mapping()
    _at(found["sections"], lambda: check_count("sections", len(sections)))
    made = tuple(_read_section(entry, anchors) for entry in sections.values())
    order = _read_order(found["order"], list(sections))
    return _at(plan, lambda: Song(made, order, **_values(found, SONG_FIELDS)))


def _read_section(entry: Entry, anchors: Anchors) -> Section:
    found = entry.mapping(SECTION_FIELDS)
    _check_present(entry, found, ("bars", "prompt"))
    _at(entry, lambda: check_name(entry.name))
    for name in ("seed_b", "negative_b", "blend"):
        if name in found:
            _check_present(found[name], found, ("prompt_b",))
    prompt_b = _read_prompt(found, "_b") if "prompt_b" in found else None
    settings = _values(found, SECTION_SETTINGS)
    if "anchor" in found:
        settings["anchor"] = _read_anchor(found["anchor"], anchors)
    return _at(
        entry,
        lambda: Section(
            name=entry.name,
            prompt=_read_prompt(found),
            prompt_b=prompt_b,
            **_values(found, ("bars", "blend", "transition")),
            **section_fields(settings),
        ),
    )


def _read_anchor(entry: Entry, anchors: Anchors) -> AssetRef:
    name = entry.string()
    try:
        return anchors(name)
    except InvalidInput as error:
        hint = f"{error.hint}; without this line the section plays from its prompt"
        raise entry.error(error.what, name, hint) from error


def _anchor_beside(folder: Path, name: str) -> AssetRef:
    """Return an anchor of the library, an audio file in ``folder``, or one ``save_plan`` wrote.

    Plans come from strangers, so no name may lead out of the folder of its plan.
    """
    if Path(name).name != name:
        raise InvalidInput("anchor", name, "name a file beside the plan, without a folder")
    if not name.startswith(UPLOAD_PREFIX):
        return load_anchor_ref(str(folder / name) if Path(name).suffix else name)
    path = folder / f"{name}.flac"
    if not path.is_file():
        raise InvalidInput("anchor", name, f"put {path.name} beside the plan")
    return AssetRef(name, path.read_bytes())


def _read_prompt(found: Mapping[str, Entry], which: str = "") -> Prompt:
    """Return the prompt whose fields end in ``which``; errors name the line of the field."""
    text = found[f"prompt{which}"]
    seed, negative = (found.get(f"{name}{which}") for name in ("seed", "negative"))
    prompt = _at(text, lambda: Prompt(text.string()))
    if seed:
        prompt = _at(seed, lambda: replace(prompt, seed=seed.whole()))
    if negative:
        prompt = _at(negative, lambda: replace(prompt, negative=negative.string()))
    return prompt


def _read_order(entry: Entry, names: list[str]) -> tuple[str, ...]:
    listed = entry.items()
    _at(entry, lambda: check_count("order", len(listed)))
    for item in listed:
        _at(item, partial(check_known, item.string(), names))
    return tuple(item.string() for item in listed)


def _values(found: Mapping[str, Entry], names: tuple[str, ...]) -> dict[str, Any]:
    """Return those of the named fields that are present; errors name the line of the field."""
    entries = {name: found[name] for name in names if name in found}
    return {name: _at(entry, partial(READERS[name], entry)) for name, entry in entries.items()}


def _check_present(entry: Entry, found: Mapping[str, Entry], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in found:
            raise entry.error(entry.name, "incomplete", f"needs {name!r} too; {SHOWN}")


def _at(entry: Entry, make: Callable[[], T]) -> T:
    """Return what ``make`` returns; its InvalidInput becomes an InvalidPlan with the line."""
    try:
        return make()
    except InvalidPlan:
        raise
    except InvalidInput as error:
        raise entry.error(error.what, error.value, error.hint) from error


def _section_plan(section: Section) -> dict[str, Any]:
    """Return a section as the fields of a plan, without those that it leaves to the song."""
    prompt_b = section.prompt_b
    own = {
        "bars": section.bars,
        "prompt": section.prompt.text,
        "seed": section.prompt.seed,
        "negative": section.prompt.negative or None,
        "prompt_b": prompt_b.text if prompt_b else None,
        "seed_b": prompt_b.seed if prompt_b else None,
        "negative_b": (prompt_b.negative or None) if prompt_b else None,
        "blend": section.blend,
        "transition": str(section.transition),
    }
    settings = section.settings()
    if section.anchor:
        settings["anchor"] = section.anchor.name
    else:
        del settings["strength"]
    for name, value in [*settings.items()]:
        shared = "song" in BY_NAME[name].scopes
        if not shared and not _is_written(BY_NAME[name], value):
            del settings[name]
    values = {**own, **settings}
    return {name: values[name] for name in SECTION_FIELDS if values.get(name) is not None}


def _is_written(setting: Setting, value: object) -> bool:
    """Return whether a plan says a value: songs that use no newer setting keep their text."""
    return setting.since == 1 or value != setting.default


def _checked(read: Callable[[Entry], T], check: Callable[[T], object]) -> Reader:
    """Return a function that reads a field, then checks it."""

    def reader(entry: Entry) -> T:
        value = read(entry)
        check(value)
        return value

    return reader


def _setting_reader(setting: Setting) -> Reader:
    """Return a function that reads a field that is a setting, and checks it by the schema."""
    read: dict[str, Reader] = {"whole": Entry.whole, "number": Entry.number}
    in_range = _checked(read.get(setting.kind, Entry.string), setting.check)
    return _checked(in_range, HARMONY_CHECKS.get(setting.name, lambda value: None))


HARMONY_CHECKS: dict[str, Callable[[Any], object]] = {"key": parse_key, "chords": parse_chords}
# Settings keep the order of the schema, after those that plans have always named first.
SONG_SETTINGS = tuple(setting.name for setting in settings_for("song"))
SECTION_SETTINGS = tuple(s.name for s in settings_for("section") if s.kind != "anchor")
SONG_FIELDS = tuple(
    dict.fromkeys(("title", "bpm", "key", "beats_per_bar", "variation", *SONG_SETTINGS))
)
SECTION_FIELDS = (
    *("bars", "prompt", "seed", "negative", "prompt_b", "seed_b", "negative_b", "blend"),
    *dict.fromkeys(("key", "chords", *(setting.name for setting in settings_for("section")))),
    "transition",
)
READERS: dict[str, Reader] = {
    "title": _checked(Entry.string, check_title),
    "variation": _checked(Entry.number, partial(check_number, "variation", least=0, most=1)),
    "blend": _checked(Entry.number, partial(check_number, "blend", least=0, most=1)),
    "bars": _checked(Entry.whole, partial(check_whole, "bars", least=1, most=MAX_BARS)),
    "transition": lambda entry: parse_transition(entry.string()),
    **{name: _setting_reader(BY_NAME[name]) for name in (*SONG_SETTINGS, *SECTION_SETTINGS)},
}
