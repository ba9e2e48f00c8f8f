"""The player's buttons for what is done while a jam plays, built from the schema of settings."""

from __future__ import annotations

from html import escape

from riffusion.jam.schema import BY_NAME, settings_for
from riffusion.jam.setting import Setting

# Where the player's HTML has these buttons.
PLACEHOLDER = "<!-- live buttons -->"
# The flags that a button switches on and off.
TOGGLES = ("hold",)
# How many bars the buttons of a momentary setting are for; the key presses the one of ``KEY_BARS``.
BARS = {"drop": (1, 2, 4, 8), "fill": (1, 2)}
KEY_BARS = {"drop": 4, "fill": 1}


def build_live_buttons() -> str:
    """Return the HTML of a toggle for each of ``TOGGLES`` and of buttons for what is momentary."""
    toggles = [_build_toggle(BY_NAME[name]) for name in TOGGLES]
    momentary = [_build_momentary(entry) for entry in settings_for("jam") if entry.momentary]
    return "\n".join([*toggles, *momentary])


def _build_toggle(entry: Setting) -> str:
    key = entry.name[0].upper()
    return (
        f'<button type="button" data-name="{entry.wire_name}" aria-pressed="false" '
        f'aria-keyshortcuts="{key}" title="{escape(entry.help)} (key {key})">'
        f"{escape(entry.label.capitalize())}</button>"
    )


def _build_momentary(entry: Setting) -> str:
    label = escape(entry.label.capitalize())
    buttons = "".join(_build_bars(entry, bars) for bars in BARS.get(entry.name, (1,)))
    return (
        f'<span class="riff-bars" role="group" aria-label="{label}" title="{escape(entry.help)}">'
        f"<span>{label}</span>{buttons}</span>"
    )


def _build_bars(entry: Setting, bars: int) -> str:
    key, label = entry.name[0].upper(), entry.label.capitalize()
    has_key = bars == KEY_BARS.get(entry.name)
    shortcut = f' aria-keyshortcuts="{key}"' if has_key else ""
    words = f"{label} for {bars} bar{'s' * (bars > 1)}"
    title = f' title="{escape(entry.help)} (key {key})"' if has_key else ""
    return (
        f'<button type="button" data-name="{entry.wire_name}" data-bars="{bars}"'
        f'{shortcut}{title} aria-label="{escape(words)}" disabled>{bars}</button>'
    )
