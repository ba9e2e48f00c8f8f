"""YAML and JSON as a tree of mappings, lists and plain text that knows its lines.

Aliases, anchors and tags are refused before anything is built, and so is deep nesting, so that the
cost of reading is proportional to the length of the text. Numbers stay text until a field asks for
one, which avoids YAML's surprises ("no" is false, 1:30 is ninety).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import yaml

from riffusion.errors import InvalidPlan

MAX_DEPTH = 6
WHOLE = re.compile(r"[-+]?[0-9]{1,20}")
NUMBER = re.compile(r"[-+]?(?=\.?[0-9])[0-9]{0,20}\.?[0-9]{0,20}(?:[eE][-+]?[0-9]{1,3})?")
PLAIN = "write it out: anchors (&), aliases (*) and tags (!) are not read"


@dataclass(frozen=True)
class Entry:
    """The value of a field called ``name``, in line ``line`` of the text, from 1."""

    name: str
    line: int
    node: Any

    def error(self, what: str, value: object, hint: str) -> InvalidPlan:
        """Return an error that names the line."""
        return InvalidPlan(f"line {self.line}: {what}", value, hint)

    def string(self) -> str:
        """Return its text, as it was written. Raises InvalidPlan unless it is a text or number."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag.endswith(":null"):
            raise self.error(self.name, _shown(self.node), "needs a text or a number")
        return _characters(self)

    def whole(self) -> int:
        """Return its whole number. Raises InvalidPlan for anything else."""
        return int(self._matching(WHOLE, "needs a whole number, for example 8"))

    def number(self) -> float:
        """Return its number, an int where it is whole. Raises InvalidPlan for anything else."""
        text = self._matching(NUMBER, "needs a number, for example 0.5")
        return int(text) if WHOLE.fullmatch(text) else float(text)

    def mapping(self, names: Collection[str] | None = None) -> dict[str, Entry]:
        """Return its fields by name.

        Raises InvalidPlan for anything but a mapping, a field that is there twice, and one that is
        not one of ``names``.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(self.name, _shown(self.node), "needs fields, as in 'name: value'")
        found: dict[str, Entry] = {}
        for key, value in self.node.value:
            name = Entry("name of a field", _line(key), key).string()
            entry = Entry(name, _line(key), value)
            if name in found:
                raise entry.error(
                    self.name, name, f"is there twice, also in line {found[name].line}"
                )
            if names is not None and name not in names:
                raise entry.error(self.name, name, f"is no field; use {', '.join(names)}")
            found[name] = entry
        return found

    def items(self) -> tuple[Entry, ...]:
        """Return the items of its list. Raises InvalidPlan for anything else."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(self.name, _shown(self.node), "needs a list, as in [verse, chorus]")
        return tuple(Entry(self.name, _line(node), node) for node in self.node.value)

    def _matching(self, pattern: re.Pattern[str], hint: str) -> str:
        """Return its text where it has no quotes and matches; otherwise raise InvalidPlan."""
        plain = isinstance(self.node, yaml.ScalarNode) and self.node.style is None
        if not plain or not pattern.fullmatch(self.node.value):
            raise self.error(self.name, _shown(self.node), hint)
        text: str = self.node.value
        return text


def read_yaml(text: str, name: str) -> Entry:
    """Return the tree of one YAML or JSON document.

    Raises InvalidPlan, which says what is wrong and in which line.
    """
    try:
        _check_events(text)
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or "damaged"
        raise InvalidPlan(f"{where}{name}", why, "is no YAML or JSON; correct that line") from error
    if node is None:
        raise InvalidPlan(name, text, "is empty; docs/songs.md shows one")
    return Entry(name, _line(node), node)


def _check_events(text: str) -> None:
    """Raise InvalidPlan for YAML that can grow, nest deep or make objects. Nothing is built."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = Entry("plan", event.start_mark.line + 1, None)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise where.error("plan", event.anchor, PLAIN)
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise where.error("plan", event.tag, PLAIN)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise where.error("plan", f"{depth} levels", f"nests too deep; use at most {MAX_DEPTH}")


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _characters(entry: Entry) -> str:
    """Return the text of a scalar, with the surrogate pairs that JSON writes joined."""
    text: str = entry.node.value
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise entry.error(entry.name, text, "has half a character; write it anew") from error


def _shown(node: Any) -> str:
    """Return the value of a node in a word, for messages."""
    kinds = {yaml.MappingNode: "fields", yaml.SequenceNode: "a list"}
    found = kinds.get(type(node))
    return found or str(node.value) or "nothing"
