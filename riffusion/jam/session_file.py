"""Session files hold what a jam played: small enough to mail, enough to replay it bit for bit.

A file is JSON with the name of the engine, the settings that the jam began with, every change with
its bar, and the length. This module writes and reads the format. A file is not trusted: all of it
is checked before anything is played.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riffusion.errors import InvalidInput, InvalidSession
from riffusion.jam.asset import AssetRef, collect_uploads
from riffusion.jam.opening import Opening
from riffusion.jam.schema import check_version, session_version, values_before
from riffusion.jam.settings import ASSETS, JamSettings, from_json, to_json
from riffusion.jam.timeline import Change, Segment, Timeline, first_segment, whole_bar
from riffusion.storage import write_whole

SESSION_VERSION = session_version()
MAX_BYTES = 32_000_000
MAX_CHANGES = 20_000
MAX_S = 7 * 24 * 3600
RATES = (8000, 192000)
FIELDS = {"version", "engine", "sample_rate", "settings", "changes", "samples"}
OPTIONAL = {"own", "opening"}
DAMAGED = "it is damaged; save the session again"


@dataclass(frozen=True)
class SavedSession:
    """A jam as it was played, at ``sample_rate`` Hz by the engine of that name.

    It began with ``settings``; ``changes`` are in the order of the track, which is ``samples``
    samples long. With an ``opening`` it went on from a recording.
    """

    engine: str
    sample_rate: int
    settings: JamSettings
    changes: tuple[Change, ...]
    samples: int
    opening: Opening | None = None


def to_fields(session: SavedSession) -> dict[str, object]:
    """Return the content of a session file, ready for JSON. ``parse_session`` is the inverse."""
    values = [session.settings.values(), *(change.changes for change in session.changes)]
    assets = [one.get(name) for one in values for name in ASSETS]
    opening = session.opening
    uploads = collect_uploads([opening.recording, *assets] if opening else assets)
    data = {name: base64.b64encode(one.data).decode("ascii") for name, one in uploads.items()}
    return {
        "version": SESSION_VERSION,
        "engine": session.engine,
        "sample_rate": session.sample_rate,
        "settings": to_json(session.settings.values()),
        "changes": [
            {"bar": one.bar, "sample": one.sample, "settings": to_json(one.changes)}
            for one in session.changes
        ],
        "samples": session.samples,
        **({"opening": opening_to_json(opening)} if opening else {}),
        **({"own": data} if data else {}),
    }


def opening_to_json(opening: Opening) -> dict[str, object]:
    """Return an opening for JSON, its recording by name."""
    times = {"start_s": opening.start_s, "bar_line_s": opening.bar_line_s}
    return {"recording": opening.recording.name, **times}


def write_session(session: SavedSession, path: str | os.PathLike[str]) -> None:
    """Write a session file. Raises StorageError where it cannot be written."""
    text = json.dumps(to_fields(session), indent=1, allow_nan=False)
    write_whole(path, text.encode("ascii"))


def load_session(path: str | os.PathLike[str]) -> SavedSession:
    """Read a session file, and check all of it.

    Parameters
    ----------
    path : str or path
        A file that ``save_session`` or the page wrote.

    Raises
    ------
    InvalidSession
        If the file cannot be read, is damaged, or is of another version. The message says where.

    Examples
    --------
    >>> import riffusion
    >>> bells, beats = riffusion.Prompt("church bells"), riffusion.Prompt("electronic beats")
    >>> engine = riffusion.load_engine(device="cpu")
    >>> session = riffusion.JamSession(engine, riffusion.JamSettings(bells, beats, steps=1))
    >>> blocks = list(riffusion.render(session, 44100))
    >>> riffusion.save_session(session, "evening.json")
    >>> saved = riffusion.load_session("evening.json")
    >>> saved.samples / saved.sample_rate
    1.0
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = f"cannot be read ({error.strerror}); check the name"
        raise InvalidSession("session file", str(path), hint) from error
    return parse_session(data)


def parse_session(data: bytes | str) -> SavedSession:
    """Return the session that the JSON text ``data`` of a session file holds.

    Raises InvalidSession for anything else.
    """
    if len(data) > MAX_BYTES:
        raise InvalidSession("session file", len(data), f"has over {MAX_BYTES} bytes: no session")
    try:
        content = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidSession("session file", data[:60], f"is no JSON; {DAMAGED}") from error
    try:
        return _read_session(content)
    except InvalidSession:
        raise
    except InvalidInput as error:
        raise InvalidSession(f"session's {error.what}", error.value, error.hint) from error


def _read_session(content: object) -> SavedSession:
    """Return the session that a file's JSON value holds, checked."""
    fields = _object("session", content, FIELDS, OPTIONAL)
    uploads = _read_uploads(fields.get("own", {}))
    version = fields["version"]
    if type(version) is not int or not 1 <= version <= SESSION_VERSION:
        hint = f"this program reads versions 1 to {SESSION_VERSION}; use the one that saved it"
        raise InvalidSession("session version", version, hint)
    if not isinstance(fields["engine"], str):
        raise InvalidSession("session's engine", fields["engine"], DAMAGED)
    rate = _whole("sample rate", fields["sample_rate"], *RATES)
    samples = _whole("length in samples", fields["samples"], 0, MAX_S * rate)
    settings = _read_settings(fields["settings"], uploads, version)
    opening = _read_opening(fields["opening"], uploads) if "opening" in fields else None
    start = opening.samples(rate) if opening else 0
    return SavedSession(
        engine=fields["engine"],
        sample_rate=rate,
        settings=settings,
        changes=_read_changes(
            fields["changes"], first_segment(settings, rate, start=start), uploads, version
        ),
        samples=samples,
        opening=opening,
    )


def _read_uploads(content: object) -> dict[str, AssetRef]:
    """Return the uploads in a file by name. An upload's name says what it holds."""
    if not isinstance(content, dict):
        raise InvalidSession("session's own sounds", content, f"needs an object; {DAMAGED}")
    uploads = {}
    for name, data in content.items():
        try:
            uploads[name] = AssetRef(name, base64.b64decode(data, validate=True))
        except (TypeError, ValueError) as error:
            raise InvalidSession("session's own sound", name, DAMAGED) from error
    return uploads


def _read_settings(content: object, uploads: Mapping[str, AssetRef], version: int) -> JamSettings:
    """Return the settings that a jam began with. Those that a file leaves out have defaults."""
    if not isinstance(content, dict) or not {"prompt_a", "prompt_b"} <= set(content):
        raise InvalidSession("session's settings", content, f"prompts are missing; {DAMAGED}")
    check_version(content, version)
    values = {**values_before(version), **from_json(content, uploads)}
    prompts: Any = {name: values[name] for name in ("prompt_a", "prompt_b")}
    return JamSettings(**prompts).changed(values)


def _read_opening(content: object, uploads: Mapping[str, AssetRef]) -> Opening:
    """Return the recording that a jam went on from, which is among the ``uploads``."""
    fields = _object("opening", content, {"recording", "start_s", "bar_line_s"})
    name = fields["recording"]
    if not isinstance(name, str) or name not in uploads:
        raise InvalidSession("session's recording", name, f"is not in the file; {DAMAGED}")
    return Opening(uploads[name], fields["start_s"], fields["bar_line_s"])


def _read_changes(
    content: object, first: Segment, uploads: Mapping[str, AssetRef], version: int
) -> tuple[Change, ...]:
    """Return the changes of a jam with this ``first`` segment, each checked to lie on its bar."""
    if not isinstance(content, list) or len(content) > MAX_CHANGES:
        hint = f"needs a list of at most {MAX_CHANGES}; {DAMAGED}"
        raise InvalidSession("session's changes", content, hint)
    timeline, rate = Timeline((first,)), first.grid.sample_rate
    changes: list[Change] = []
    for entry in content:
        change = _read_change(entry, rate, uploads)
        check_version(change.changes, version)
        if changes and change.bar <= changes[-1].bar:
            hint = f"comes after bar {changes[-1].bar}; {DAMAGED}"
            raise InvalidSession("a change's bar", change.bar, hint)
        if timeline.bar_sample(change.bar) != change.sample:
            hint = f"bar {change.bar} begins at {timeline.bar_sample(change.bar)}; {DAMAGED}"
            raise InvalidSession("a change's sample", change.sample, hint)
        timeline = timeline.changed(change.bar, timeline.last.changed(change.changes))
        changes.append(change)
    return tuple(changes)


def _read_change(content: object, rate: int, uploads: Mapping[str, AssetRef]) -> Change:
    """Return a change at any bar."""
    fields = _object("change", content, {"bar", "sample", "settings"})
    bar = _bar(fields["bar"])
    sample = _whole("change's sample", fields["sample"], 0, MAX_S * rate)
    if not isinstance(fields["settings"], dict):
        raise InvalidSession("a change's settings", fields["settings"], DAMAGED)
    return Change(bar, sample, from_json(fields["settings"], uploads))


def _object(
    what: str, content: object, names: set[str], optional: Collection[str] = ()
) -> Mapping[str, Any]:
    """Return a JSON object that has exactly these fields, and maybe ``optional`` ones."""
    if not isinstance(content, dict):
        raise InvalidSession(what, content, f"needs an object; {DAMAGED}")
    if set(content) - set(optional) != names:
        hint = f"needs exactly {', '.join(sorted(names))}; {DAMAGED}"
        raise InvalidSession(f"{what} fields", sorted(content), hint)
    return content


def _whole(what: str, value: object, least: int, most: int) -> int:
    """Return a whole number from ``least`` to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidSession(what, value, f"needs a whole number from {least} to {most}; {DAMAGED}")
    return value


def _bar(value: object) -> float:
    """Return a place in bars: a whole number, or one with a fraction for a place in a bar."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= MAX_S:  # type: ignore[operator]
        hint = f"needs a number from 0 to {MAX_S}; {DAMAGED}"
        raise InvalidSession("change's bar", value, hint)
    return whole_bar(value)  # type: ignore[arg-type]


def _no_constant(name: str) -> float:
    """Refuse NaN and the infinities, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is no number of JSON")
