"""Session files: what was played, small enough to mail, enough to play it again bit for bit.

JSON with the engine's name, the settings the jam began with, every change with its bar, and the
length. Nothing in a file is trusted: it is checked whole before anything is played.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput, InvalidSession
from riffusion.jam.asset import AssetRef
from riffusion.jam.session import SESSION_VERSION, Change, JamSession
from riffusion.jam.settings import JamSettings, from_json
from riffusion.jam.timeline import Timeline, first_segment
from riffusion.storage import write_whole
from riffusion.vocoder.protocol import Vocoder

MAX_BYTES = 32_000_000
MAX_CHANGES = 20_000
MAX_S = 7 * 24 * 3600
RATES = (8000, 192000)
FIELDS = {"version", "engine", "sample_rate", "settings", "changes", "samples"}
OPTIONAL = {"own"}
WHOLE = "it is damaged; save the session again"


@dataclass(frozen=True)
class SavedSession:
    """A jam as it was played: ``samples`` samples, with ``changes`` in the order of the track."""

    engine: str
    sample_rate: int
    settings: JamSettings
    changes: tuple[Change, ...]
    samples: int


def save_session(
    session: JamSession, path: str | os.PathLike[str], samples: int | None = None
) -> None:
    """Write what ``session`` has played so far, or its first ``samples`` samples.

    Raises StorageError where it cannot be written.
    """
    content = session.export()
    if samples is not None:
        content["samples"] = samples
    text = json.dumps(content, indent=1, allow_nan=False)
    write_whole(path, text.encode("ascii"))


def load_session(path: str | os.PathLike[str]) -> SavedSession:
    """Read a session file. InvalidSession says what is wrong with one that cannot be used."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        legal = f"cannot be read ({error.strerror}); check the name"
        raise InvalidSession("session file", str(path), legal) from error
    return parse_session(data)


def parse_session(data: bytes | str) -> SavedSession:
    """A session from the JSON text of its file. Raises InvalidSession."""
    if len(data) > MAX_BYTES:
        raise InvalidSession("session file", len(data), f"has over {MAX_BYTES} bytes: no session")
    try:
        content = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidSession("session file", data[:60], f"is no JSON; {WHOLE}") from error
    try:
        return _checked(content)
    except InvalidSession:
        raise
    except InvalidInput as error:
        raise InvalidSession(f"session's {error.what}", error.value, error.legal) from error


def replay(engine: Engine, session: SavedSession, *, vocoder: Vocoder | None = None) -> JamSession:
    """A jam that gives the same samples as the one that was saved, and goes on after it.

    ``render(jam, session.samples)`` ends where it ended. Raises InvalidSession
    where another engine made the session.
    """
    if engine.name != session.engine:
        legal = f"this is {engine.name!r}; load the model that made it (--model)"
        raise InvalidSession("session's engine", session.engine, legal)
    return JamSession(engine, session.settings, changes=session.changes, vocoder=vocoder)


def _checked(content: object) -> SavedSession:
    fields = _object("session", content, FIELDS, OPTIONAL)
    own = _own(fields.get("own", {}))
    if fields["version"] != SESSION_VERSION:
        legal = f"this program reads version {SESSION_VERSION}; use the one that saved it"
        raise InvalidSession("session version", fields["version"], legal)
    if not isinstance(fields["engine"], str):
        raise InvalidSession("session's engine", fields["engine"], WHOLE)
    rate = _whole("sample rate", fields["sample_rate"], *RATES)
    samples = _whole("length in samples", fields["samples"], 0, MAX_S * rate)
    settings = _settings(fields["settings"], own)
    return SavedSession(
        engine=fields["engine"],
        sample_rate=rate,
        settings=settings,
        changes=_changes(fields["changes"], settings, rate, own),
        samples=samples,
    )


def _own(content: object) -> dict[str, AssetRef]:
    """The listener's own sounds and pictures, whose names say what they hold."""
    if not isinstance(content, dict):
        raise InvalidSession("session's own sounds", content, f"needs an object; {WHOLE}")
    own = {}
    for name, data in content.items():
        try:
            own[name] = AssetRef(name, base64.b64decode(data, validate=True))
        except (TypeError, ValueError) as error:
            raise InvalidSession("session's own sound", name, WHOLE) from error
    return own


def _settings(content: object, own: Mapping[str, AssetRef]) -> JamSettings:
    if not isinstance(content, dict) or not {"prompt_a", "prompt_b"} <= set(content):
        raise InvalidSession("session's settings", content, f"prompts are missing; {WHOLE}")
    values = from_json(content, own)
    prompts: Any = {name: values[name] for name in ("prompt_a", "prompt_b")}
    return JamSettings(**prompts).changed(values)


def _changes(
    content: object, settings: JamSettings, rate: int, own: Mapping[str, AssetRef]
) -> tuple[Change, ...]:
    """The changes, each checked to lie on its bar line."""
    if not isinstance(content, list) or len(content) > MAX_CHANGES:
        legal = f"needs a list of at most {MAX_CHANGES}; {WHOLE}"
        raise InvalidSession("session's changes", content, legal)
    timeline = Timeline((first_segment(settings, rate),))
    changes: list[Change] = []
    for entry in content:
        change = _change(entry, changes[-1].bar + 1 if changes else 0, rate, own)
        if timeline.bar_sample(change.bar) != change.sample:
            legal = f"bar {change.bar} begins at {timeline.bar_sample(change.bar)}; {WHOLE}"
            raise InvalidSession("a change's sample", change.sample, legal)
        ruling = timeline.segments[-1].settings
        timeline = timeline.changed(change.bar, ruling.changed(change.changes))
        changes.append(change)
    return tuple(changes)


def _change(content: object, first_bar: int, rate: int, own: Mapping[str, AssetRef]) -> Change:
    fields = _object("change", content, {"bar", "sample", "settings"})
    bar = _whole("change's bar", fields["bar"], first_bar, MAX_S)
    sample = _whole("change's sample", fields["sample"], 0, MAX_S * rate)
    if not isinstance(fields["settings"], dict):
        raise InvalidSession("a change's settings", fields["settings"], WHOLE)
    return Change(bar, sample, from_json(fields["settings"], own))


def _object(
    what: str, content: object, names: set[str], optional: Collection[str] = ()
) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise InvalidSession(what, content, f"needs an object; {WHOLE}")
    if set(content) - set(optional) != names:
        legal = f"needs exactly {', '.join(sorted(names))}; {WHOLE}"
        raise InvalidSession(f"{what} fields", sorted(content), legal)
    return content


def _whole(what: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidSession(what, value, f"needs a whole number from {least} to {most}; {WHOLE}")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
