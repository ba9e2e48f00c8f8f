"""The inputs of the page's form for one section of a song, built from the schema of settings."""

from __future__ import annotations

from html import escape

from riffusion.jam.schema import settings_for
from riffusion.jam.setting import Setting

# Where the page's HTML has these inputs.
PLACEHOLDER = "<!-- settings of a section -->"


def build_section_inputs() -> str:
    """Return the HTML of a labelled input for each setting that a section can have.

    An input has the name that the setting has in a plan. One that is left empty takes the value of
    the song, where a song has that setting, and else the default.
    """
    return "\n".join(_build_input(entry) for entry in settings_for("section"))


def _build_input(entry: Setting) -> str:
    label = entry.label.capitalize()
    field = _build_select(entry) if entry.kind == "choice" else _build_field(entry)
    return f'<label title="{escape(entry.summary)}">{escape(label)} {field}</label>'


def _build_select(entry: Setting) -> str:
    empty = "the song's" if "song" in entry.scopes else "the default"
    options = "".join(
        f'<option value="{escape(value)}">{escape(text)}</option>'
        for value, text in {"": empty, **entry.choices}.items()
    )
    return f'<select name="{entry.name}">{options}</select>'


def _build_field(entry: Setting) -> str:
    mode = {"whole": "numeric", "number": "decimal"}.get(entry.kind, "")
    inputmode = f' inputmode="{mode}"' if mode else ""
    placeholder = ' placeholder="the song\'s"' if "song" in entry.scopes else ""
    return f'<input name="{entry.name}"{inputmode}{placeholder}>'
