"""Plans: songs as text, YAML or JSON, to be edited by hand. docs/songs.md explains the fields.

Nothing in a plan is trusted: it is read whole and checked before anything is played, and what is
wrong is told with its line.
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

from riffusion.engines.clip import Controls, Prompt
from riffusion.errors import InvalidInput, InvalidPlan
from riffusion.jam.asset import UPLOAD_PREFIX, AssetRef
from riffusion.jam.loops import library_anchor, load_anchor_ref
from riffusion.music.harmony import parse_chords, parse_key
from riffusion.music.rhythm import check_metre, check_tempo
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
)
from riffusion.song.yaml_lines import Entry, read_yaml
from riffusion.storage import write_whole

T = TypeVar("T")
Reader = Callable[[Entry], object]
# What a name of an anchor stands for; raises InvalidInput where it stands for nothing.
Anchors = Callable[[str], AssetRef]

WRITTEN_AS = (".yaml", ".yml", ".json")
MAX_BYTES = 256_000
CONTROLS = ("density", "brightness", "drums")
SHOWN = "docs/songs.md shows a whole plan"


def load_plan(path: str | os.PathLike[str]) -> Song:
    """Read a plan file. InvalidPlan says what is wrong with it, and in which line.

    Anchors that are files are looked for beside it.
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
    """Write a song as YAML or JSON, by suffix, and anchors of its own as FLAC beside it.

    Raises StorageError where they cannot be written.
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
    """A song as YAML or JSON, which ``read_plan`` reads as the same song."""
    content = plan_fields(song)
    if suffix == ".json":
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    # Lines are not folded: each field stays one line to edit.
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10**6)
    return text


def plan_fields(song: Song) -> dict[str, Any]:
    """A song as the fields of a plan, ready for JSON."""
    return {
        **{name: getattr(song, name) for name in SONG_FIELDS},
        "order": list(song.order),
        "sections": {section.name: _to_fields(section) for section in song.sections},
    }


def read_plan(text: str, anchors: Anchors = library_anchor) -> Song:
    """A song from YAML or JSON. InvalidPlan says what is wrong, and in which line.

    ``anchors`` finds what sections start from.
    """
    if len(text) > MAX_BYTES:
        raise InvalidPlan("plan", f"{len(text)} characters", f"use at most {MAX_BYTES}")
    plan = read_yaml(text, "plan")
    found = plan.mapping((*SONG_FIELDS, "order", "sections"))
    _check_there(plan, found, ("order", "sections"))
    sections = found["sections"].mapping()
    _at(found["sections"], lambda: check_count("sections", len(sections)))
    made = tuple(_section(entry, anchors) for entry in sections.values())
    order = _order(found["order"], list(sections))
    return _at(plan, lambda: Song(made, order, **_values(found, SONG_FIELDS)))


def _section(entry: Entry, anchors: Anchors) -> Section:
    found = entry.mapping(SECTION_FIELDS)
    _check_there(entry, found, ("bars", "prompt"))
    _at(entry, lambda: check_name(entry.name))
    for name in ("seed_b", "negative_b", "blend"):
        if name in found:
            _check_there(found[name], found, ("prompt_b",))
    prompt_b = _prompt(found, "_b") if "prompt_b" in found else None
    return _at(
        entry,
        lambda: Section(
            name=entry.name,
            prompt=_prompt(found),
            prompt_b=prompt_b,
            controls=Controls(**_values(found, CONTROLS)),
            anchor=_anchor(found["anchor"], anchors) if "anchor" in found else None,
            **_values(found, ("bars", "blend", "key", "chords", "bpm", "transition", "strength")),
        ),
    )


def _anchor(entry: Entry, anchors: Anchors) -> AssetRef:
    name = entry.string()
    try:
        return anchors(name)
    except InvalidInput as error:
        legal = f"{error.legal}; without this line the section plays from its prompt"
        raise entry.error(error.what, name, legal) from error


def _anchor_beside(folder: Path, name: str) -> AssetRef:
    """An anchor of the library, an audio file beside a plan, or one that ``save_plan`` wrote.

    Plans are passed on, so what one names never leaves its folder.
    """
    if Path(name).name != name:
        raise InvalidInput("anchor", name, "name a file beside the plan, without a folder")
    if not name.startswith(UPLOAD_PREFIX):
        return load_anchor_ref(str(folder / name) if Path(name).suffix else name)
    path = folder / f"{name}.flac"
    if not path.is_file():
        raise InvalidInput("anchor", name, f"put {path.name} beside the plan")
    return AssetRef(name, path.read_bytes())


def _prompt(found: Mapping[str, Entry], which: str = "") -> Prompt:
    """The first prompt, or the one whose fields end in ``which``; errors where the field is."""
    text = found[f"prompt{which}"]
    seed, negative = (found.get(f"{name}{which}") for name in ("seed", "negative"))
    prompt = _at(text, lambda: Prompt(text.string()))
    if seed:
        prompt = _at(seed, lambda: replace(prompt, seed=seed.whole()))
    if negative:
        prompt = _at(negative, lambda: replace(prompt, negative=negative.string()))
    return prompt


def _order(entry: Entry, names: list[str]) -> tuple[str, ...]:
    listed = entry.items()
    _at(entry, lambda: check_count("order", len(listed)))
    for item in listed:
        _at(item, partial(check_known, item.string(), names))
    return tuple(item.string() for item in listed)


def _values(found: Mapping[str, Entry], names: tuple[str, ...]) -> dict[str, Any]:
    """The fields that are there of ``names``, each read and checked where it stands."""
    entries = {name: found[name] for name in names if name in found}
    return {name: _at(entry, partial(READERS[name], entry)) for name, entry in entries.items()}


def _check_there(entry: Entry, found: Mapping[str, Entry], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in found:
            raise entry.error(entry.name, "incomplete", f"needs {name!r} too; {SHOWN}")


def _at(entry: Entry, make: Callable[[], T]) -> T:
    """What ``make`` returns; what it finds wrong is told with the line of ``entry``."""
    try:
        return make()
    except InvalidPlan:
        raise
    except InvalidInput as error:
        raise entry.error(error.what, error.value, error.legal) from error


def _to_fields(section: Section) -> dict[str, object]:
    """What is said about a section; what it leaves to the song is left out."""
    prompt_b = section.prompt_b
    values = {
        "bars": section.bars,
        "prompt": section.prompt.text,
        "seed": section.prompt.seed,
        "negative": section.prompt.negative or None,
        "prompt_b": prompt_b.text if prompt_b else None,
        "seed_b": prompt_b.seed if prompt_b else None,
        "negative_b": (prompt_b.negative or None) if prompt_b else None,
        "blend": section.blend,
        "key": section.key or None,
        "chords": section.chords or None,
        "bpm": section.bpm,
        **{name: getattr(section.controls, name) for name in CONTROLS},
        "anchor": section.anchor.name if section.anchor else None,
        "strength": section.strength if section.anchor else None,
        "transition": str(section.transition),
    }
    return {name: value for name, value in values.items() if value is not None}


def _checked(read: Callable[[Entry], T], check: Callable[[T], object]) -> Reader:
    """Read a field, then check it."""

    def reader(entry: Entry) -> T:
        value = read(entry)
        check(value)
        return value

    return reader


def _share(name: str) -> Reader:
    """A number from 0 to 1."""
    return _checked(Entry.number, partial(check_number, name, least=0, most=1))


SONG_FIELDS = ("title", "bpm", "key", "beats_per_bar", "variation", "guidance", "steps")
SECTION_FIELDS = (
    *("bars", "prompt", "seed", "negative", "prompt_b", "seed_b", "negative_b", "blend"),
    *("key", "chords", "bpm", *CONTROLS, "anchor", "strength", "transition"),
)
READERS: dict[str, Reader] = {
    "title": _checked(Entry.string, check_title),
    "bpm": _checked(Entry.number, check_tempo),
    "key": _checked(Entry.string, parse_key),
    "beats_per_bar": _checked(Entry.whole, check_metre),
    "variation": _share("variation"),
    "guidance": _checked(Entry.number, partial(check_number, "guidance", least=0, most=30)),
    "steps": _checked(Entry.whole, partial(check_whole, "steps", least=1, most=1000)),
    "bars": _checked(Entry.whole, partial(check_whole, "bars", least=1, most=MAX_BARS)),
    "chords": _checked(Entry.string, parse_chords),
    "transition": lambda entry: parse_transition(entry.string()),
    **{name: _share(name) for name in ("blend", "strength", *CONTROLS)},
}
