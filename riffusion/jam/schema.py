"""The schema of settings: everything that a musician can set, one entry each.

The form of the page, links, messages, the command line, song plans, the HTTP API, MCP and OpenAPI
loop over ``SETTINGS``. To add a control, add its entry here and its field to
``riffusion.jam.settings.JamSettings``, and let the code that hears it read that field.

The module imports neither numpy nor torch, so that ``--help`` is there at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from riffusion.errors import InvalidInput

# The kind of a value: text; a whole number; a number; one of some choices; the name of an anchor or
# of a mask.
Kind = Literal["text", "whole", "number", "choice", "anchor", "mask"]
# Where a setting can be given: to a jam (page, links, messages, command line), to a single clip
# (command line, HTTP, MCP), to a section of a song, or to a song as a whole.
Scope = Literal["jam", "clip", "section", "song"]

EVERYWHERE: frozenset[Scope] = frozenset({"jam", "clip", "section", "song"})
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class Setting:
    """One setting: how it is called, which values it takes and what it does.

    ``name`` is its name in Python, on the command line (with dashes), in plans and over HTTP;
    ``short`` is its name in links and messages of the page, where that is another one. ``minimum``
    and ``maximum`` are both legal; ``step`` is what a slider moves by, and ``slider_maximum`` is
    where a slider ends, where that is below ``maximum``. ``automatic`` settings may be None, which
    leaves them to the prompt. ``shared_maximum`` is the most that a listener may ask of a server
    that others use too. A clip is played on the bar grid when one of its ``on_grid`` settings is
    given, and in free time otherwise. The settings with ``effect`` are those of the effects of the
    master, by the same names. ``since`` is the version of session files that first had the
    setting.
    """

    name: str
    kind: Kind
    default: Any
    label: str
    help: str
    minimum: float = 0
    maximum: float = 1
    step: float = 1
    slider_maximum: float | None = None
    shared_maximum: float | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    short: str = ""
    example: str = ""
    automatic: bool = False
    on_grid: bool = False
    effect: bool = False
    since: int = 1
    scopes: frozenset[Scope] = frozenset({"jam"})

    @property
    def wire_name(self) -> str:
        """The name of the setting in links and messages of the page."""
        return self.short or self.name

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.kind in ("whole", "number")

    def check(self, value: object) -> None:
        """Raise InvalidInput unless ``value`` is of the kind and within the range of the setting.

        What only music theory or an engine can tell (a chord's name, a bar too long for a window)
        is checked by ``JamSettings`` and by the session.
        """
        if value is None and self.automatic:
            return
        if self.is_numeric:
            kind = int if self.kind == "whole" else int | float
            is_number = isinstance(value, kind) and not isinstance(value, bool)
            if not is_number or not self.minimum <= value <= self.maximum:  # type: ignore[operator]
                raise InvalidInput(self.label, value, f"use {self.legal_values}")
        elif self.kind == "choice" and value not in tuple(self.choices):  # it may not be hashable
            raise InvalidInput(self.label, value, f"use {self.legal_values}")

    @property
    def legal_values(self) -> str:
        """The legal values in words, for messages."""
        return f"{self.range}, or leave it out" if self.automatic else self.range

    @property
    def range(self) -> str:
        """The legal values in words, without None."""
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        if not self.is_numeric:
            return "text"
        whole = "whole " if self.kind == "whole" else ""
        unit = f" of {self.unit}" if self.unit else ""
        return f"a {whole}number{unit} from {self.minimum} to {self.maximum}"

    @property
    def default_in_words(self) -> str:
        """The default, for help: a number, a text in its own letters, or what None stands for."""
        if self.default is None:
            return "as the prompt says" if self.is_numeric else "none"
        return f"{self.default:g}" if self.is_numeric else self.default or "none"

    @property
    def clip_default_in_words(self) -> str:
        """The default in a single clip, in words for help."""
        if not self.on_grid:
            return self.default_in_words
        on_grid = f", or {self.default_in_words} on the bar grid" if self.default else ""
        return f"as the prompt says{on_grid}"

    @property
    def summary(self) -> str:
        """One line of help: what the setting does, its legal values and an example."""
        legal = f"; {self.range}" if self.is_numeric or self.kind == "choice" else ""
        example = f', for example "{self.example}"' if self.example else ""
        return f"{self.help}{legal}{example}"


def _shape(name: str, help_text: str) -> Setting:
    """Return the entry of a musical control from 0 to 1 that prompts may decide themselves."""
    return Setting(
        name,
        "number",
        None,
        name,
        help_text,
        step=0.05,
        automatic=True,
        scopes=frozenset({"jam", "clip", "section"}),
    )


WALK_MODES = MappingProxyType(
    {"ping-pong": "There and back", "once": "Once to B", "manual": "By hand", "hold": "Stay"}
)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "prompt_a",
        "text",
        "church bells",
        "prompt A",
        "What sounds where the jam begins",
        short="a",
    ),
    Setting(
        "seed_a", "whole", 1, "seed A", "The noise that prompt A starts from", maximum=MAX_SEED
    ),
    Setting("prompt_b", "text", "electronic beats", "prompt B", "What the jam walks to", short="b"),
    Setting(
        "seed_b", "whole", 2, "seed B", "The noise that prompt B starts from", maximum=MAX_SEED
    ),
    Setting(
        "path", "choice", "ping-pong", "path", "How the jam walks from A to B", choices=WALK_MODES
    ),
    Setting(
        "position",
        "number",
        0.0,
        "position between A and B",
        "Where the walk stands or begins: 0 is A, 1 is B",
        step=0.01,
    ),
    Setting(
        "walk_bars",
        "whole",
        16,
        "bars from A to B",
        "How long the walk takes from A to B",
        minimum=1,
        maximum=1024,
        slider_maximum=64,
        unit="bars",
    ),
    Setting(
        "bpm",
        "number",
        100.0,
        "tempo",
        "How fast the music is",
        minimum=60,
        maximum=180,
        unit="beats per minute",
        on_grid=True,
        scopes=EVERYWHERE,
    ),
    Setting(
        "ramp_bars",
        "whole",
        0,
        "tempo ramp",
        "How many bars a new tempo takes to be reached",
        maximum=64,
        unit="bars",
        since=3,
        scopes=frozenset({"jam", "section"}),
    ),
    Setting(
        "key",
        "text",
        "Cm",
        "key",
        "Its four usual chords are played where no chords are given",
        example="F# minor",
        on_grid=True,
        scopes=EVERYWHERE,
    ),
    Setting(
        "chords",
        "text",
        "",
        "chords",
        "The chords, one a bar, in place of those of the key",
        example="Am F C G",
        on_grid=True,
        scopes=frozenset({"jam", "clip", "section"}),
    ),
    Setting(
        "beats_per_bar",
        "whole",
        4,
        "beats per bar",
        "The metre: 3 is a waltz",
        minimum=2,
        maximum=12,
        unit="beats",
        short="beats",
        on_grid=True,
        scopes=EVERYWHERE,
    ),
    Setting(
        "swing",
        "number",
        0.0,
        "swing",
        "How late the off-beat eighths come: 0 is straight, 1 is triplet swing",
        step=0.05,
        on_grid=True,
        since=2,
        scopes=EVERYWHERE,
    ),
    _shape("density", "How many notes are played"),
    _shape("brightness", "How bright the sound is"),
    _shape("drums", "How loud the drums are"),
    Setting(
        "guidance",
        "number",
        8.0,
        "guidance",
        "How closely to follow the prompts (classifier-free guidance scale)",
        maximum=30,
        slider_maximum=15,
        step=0.1,
        scopes=frozenset({"jam", "clip", "song"}),
    ),
    Setting(
        "steps",
        "whole",
        8,
        "steps",
        "Denoiser steps a clip: more are finer and slower",
        minimum=1,
        maximum=1000,
        shared_maximum=50,
        scopes=frozenset({"jam", "clip", "song"}),
    ),
    Setting(
        "reverb",
        "number",
        0.0,
        "reverb",
        "How much of the mix is sent into a small room",
        step=0.05,
        effect=True,
        since=2,
    ),
    Setting(
        "anchor",
        "anchor",
        None,
        "anchor",
        "The clip to start from",
        automatic=True,
        scopes=frozenset({"jam", "clip", "section"}),
    ),
    Setting(
        "strength",
        "number",
        0.75,
        "strength",
        "How much of the anchor goes: 0 keeps it, 1 ignores it",
        step=0.01,
        scopes=frozenset({"jam", "clip", "section"}),
    ),
    Setting(
        "mask",
        "mask",
        None,
        "mask",
        "Which part of the anchor is repainted",
        automatic=True,
        scopes=frozenset({"jam", "clip"}),
    ),
)

BY_NAME: Mapping[str, Setting] = MappingProxyType({entry.name: entry for entry in SETTINGS})
# The defaults, the same everywhere.
DEFAULTS: Mapping[str, Any] = MappingProxyType({entry.name: entry.default for entry in SETTINGS})
BY_WIRE_NAME: Mapping[str, Setting] = MappingProxyType(
    {entry.wire_name: entry for entry in SETTINGS}
)


def settings_for(scope: Scope) -> Iterator[Setting]:
    """Yield the settings that can be given in ``scope``, in the order they are shown."""
    return (entry for entry in SETTINGS if scope in entry.scopes)


def session_version() -> int:
    """Return the version of session files that holds all settings of today."""
    return max(entry.since for entry in SETTINGS)


def check_version(names: Iterable[str], version: int) -> None:
    """Raise InvalidInput where one of the named settings is newer than a version of session files.

    A file that says an older version than its settings is damaged or was put together by hand.
    """
    for name in names:
        if name in BY_NAME and BY_NAME[name].since > version:
            hint = f"came with version {BY_NAME[name].since} of session files, not {version}"
            raise InvalidInput("setting", name, hint)
