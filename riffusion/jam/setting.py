"""One setting of the schema: its name, its legal values and its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from riffusion.errors import InvalidInput

# The kind of a value: text; a whole number; a number; one of some choices; a flag is yes or no; the
# name of an anchor or of a mask.
Kind = Literal["text", "whole", "number", "choice", "flag", "anchor", "mask"]
# Where a setting can be given: to a jam (page, links, messages, command line), to a single clip
# (command line, HTTP, MCP), to a section of a song, or to a song as a whole.
Scope = Literal["jam", "clip", "section", "song"]

EVERYWHERE: frozenset[Scope] = frozenset({"jam", "clip", "section", "song"})


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
    setting, and ``before`` the value that older files stand for, where that is not the default. A
    ``momentary`` setting acts from its change on for as many bars as its value says, and then is 0
    again.
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
    momentary: bool = False
    since: int = 1
    before: Any = None
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
        elif not self._is_legal_choice(value):
            raise InvalidInput(self.label, value, f"use {self.legal_values}")

    def _is_legal_choice(self, value: object) -> bool:
        if self.kind == "flag":
            return isinstance(value, bool)
        return self.kind != "choice" or value in tuple(self.choices)  # it may not be hashable

    @property
    def legal_values(self) -> str:
        """The legal values in words, for messages."""
        return f"{self.range}, or leave it out" if self.automatic else self.range

    @property
    def range(self) -> str:
        """The legal values in words, without None."""
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        if self.kind == "flag":
            return "yes or no"
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
        if self.kind == "flag":
            return "yes" if self.default else "no"
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
        legal = f"; {self.range}" if self.is_numeric or self.choices else ""
        example = f', for example "{self.example}"' if self.example else ""
        return f"{self.help}{legal}{example}"
