"""The schema of settings: everything that a musician can set, one entry each.

The form of the page, links, messages, the command line, song plans, the HTTP API, MCP and OpenAPI
loop over ``SETTINGS``. To add a control, add its entry here and its field to
``riffusion.jam.settings.JamSettings``, and let the code that hears it read that field.

The module imports neither numpy nor torch, so that ``--help`` is there at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from riffusion.errors import InvalidInput
from riffusion.jam.prompt_settings import LETTERS, prompt_settings
from riffusion.jam.setting import EVERYWHERE, Scope, Setting


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
    {
        "ping-pong": "There and back",
        "once": "Once to the last",
        "round": "Round",
        "manual": "By hand",
        "hold": "Stay",
        "together": "All together",
    }
)
LOOPS = MappingProxyType(
    {
        "chords": "The chords",
        **{str(bars): f"{bars} bars" for bars in (1, 2, 4, 8, 16)},
        "1": "1 bar",
        "0": "None",
    }
)
ARCS = MappingProxyType({"none": "None", "breathe": "Breathe", "build": "Build"})
ARC_BARS = MappingProxyType({str(bars): f"{bars} bars" for bars in (8, 16, 32)})
QUANTIZE = MappingProxyType(
    {"now": "At once", "beat": "Next beat", "bar": "Next bar", "loop": "Next loop"}
)
QUALITY = MappingProxyType({"live": "Live", "fine": "Fine"})

SETTINGS: tuple[Setting, ...] = (
    *(entry for letter in LETTERS for entry in prompt_settings(letter)),
    Setting(
        "path",
        "choice",
        "ping-pong",
        "path",
        "How the jam walks from prompt to prompt, or plays them all together by their weights",
        choices=WALK_MODES,
    ),
    Setting(
        "position",
        "number",
        0.0,
        "position on the walk",
        "Where the walk stands or begins: 0 is A, 1 is B, or the last prompt where there are more",
        step=0.01,
    ),
    Setting(
        "walk_bars",
        "whole",
        16,
        "bars from prompt to prompt",
        "How long the walk takes from one prompt to the next",
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
    Setting(
        "loop",
        "choice",
        "chords",
        "loop",
        "Which bars come round, or for how many bars",
        choices=LOOPS,
        since=3,
        before="0",
        scopes=frozenset({"jam", "section"}),
    ),
    Setting(
        "variation",
        "number",
        0.3,
        "variation",
        "How much the loop changes each time round: 0 comes back the same, 1 is new each time",
        step=0.05,
        since=3,
        scopes=frozenset({"jam", "section"}),
    ),
    Setting(
        "arc",
        "choice",
        "none",
        "arc",
        "How density, brightness and drums move over the bars of the arc, with a fill at its end",
        choices=ARCS,
        since=3,
        scopes=frozenset({"jam", "section"}),
    ),
    Setting(
        "arc_bars",
        "choice",
        "16",
        "length of the arc",
        "After how many bars the arc begins again",
        choices=ARC_BARS,
        since=3,
        scopes=frozenset({"jam", "section"}),
    ),
    Setting(
        "hold",
        "flag",
        False,
        "hold",
        "Whether the loop is frozen: what was heard last comes round unchanged",
        since=3,
    ),
    Setting(
        "drop",
        "whole",
        0,
        "drop",
        "For how many bars the drums are left out, from now on",
        maximum=16,
        unit="bars",
        momentary=True,
        since=3,
    ),
    Setting(
        "fill",
        "whole",
        0,
        "fill",
        "For how many bars a fill is played, from now on",
        maximum=4,
        unit="bars",
        momentary=True,
        since=3,
    ),
    Setting(
        "quantize",
        "choice",
        "bar",
        "changes land on",
        "Where a change is heard: at once is the next sixteenth note",
        choices=QUANTIZE,
        since=3,
    ),
    _shape("density", "How many notes are played"),
    _shape("brightness", "How bright the sound is"),
    _shape("drums", "How loud the drums are"),
    Setting(
        "quality",
        "choice",
        "live",
        "quality",
        "How clips are made: live in few steps, or fine in as many as you ask for",
        choices=QUALITY,
        since=4,
        before="fine",
        scopes=frozenset({"jam", "clip", "song"}),
    ),
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
        "Denoiser steps a clip of quality fine: more are finer and slower",
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
        "anchor_b",
        "anchor",
        None,
        "anchor at the end",
        "The clip to start from where the walk ends; on the way both are blended",
        automatic=True,
        since=3,
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
BY_WIRE_NAME: Mapping[str, Setting] = MappingProxyType({e.wire_name: e for e in SETTINGS})


def settings_for(scope: Scope) -> Iterator[Setting]:
    """Yield the settings that can be given in ``scope``, in the order they are shown."""
    return (entry for entry in SETTINGS if scope in entry.scopes)


def values_before(version: int) -> dict[str, Any]:
    """Return the values, by name, that session files of a version stand for without naming them."""
    newer = (entry for entry in SETTINGS if entry.since > version)
    return {entry.name: entry.before for entry in newer if entry.before is not None}


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
