"""The settings of a jam: frozen data, checked once, that goes to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType, UnionType
from typing import Any

from riffusion.engines.clip import ClipRequest, Controls, Prompt
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef
from riffusion.jam.schema import DEFAULTS, SETTINGS
from riffusion.music.harmony import Chord, progression
from riffusion.music.rhythm import check_metre, check_tempo
from riffusion.music.walk import WalkMode


@dataclass(frozen=True)
class JamSettings:
    """All that a musician steers in a jam. Any of it may change at a bar line.

    ``path`` is how the jam walks: ``ping-pong`` goes from A to B in ``walk_bars`` bars, back, and
    so on; ``once`` stays at B; ``hold`` stays where the walk is; ``manual`` stands at ``position``
    (0 is A, 1 is B), which is also where the other paths begin. ``chords`` ("Am F C G", one a bar)
    win over ``key``, whose four usual chords are played when ``chords`` is empty. Clips start from
    the ``anchor``, where there is one: its bars go round, ``strength`` says how much of it goes
    (1: all) and ``mask`` which part of it.

    Parameters
    ----------
    prompt_a, prompt_b : Prompt
        The two ends of the walk.
    path : {"ping-pong", "once", "hold", "manual"}
    position : float
        0 to 1.
    walk_bars : int
        Bars from A to B, 1 to 1024.
    bpm : float
        Tempo in beats per minute, 60 to 180.
    ramp_bars : int
        How many bars a new tempo takes to be reached, 0 to 64.
    key, chords : str
    beats_per_bar : int
        2 to 12.
    swing : float
        How late the off-beat eighths come, 0 to 1; 1 is triplet swing.
    controls : Controls
        Density, brightness and drums, each 0 to 1 or None for "as the prompt says".
    guidance : float
        Classifier-free guidance scale, 0 to 30.
    steps : int
        Denoiser steps a clip, 1 to 1000.
    anchor, mask : AssetRef, optional
    strength : float
        0 keeps the anchor, 1 ignores it.
    reverb : float
        How much of the mix is sent into a small room, 0 to 1.

    Raises
    ------
    InvalidInput
        When a value is out of its range; the message names the setting and what is legal.

    Examples
    --------
    >>> import riffusion
    >>> bells = riffusion.Prompt("church bells", seed=1)
    >>> settings = riffusion.JamSettings(bells, riffusion.Prompt("techno", seed=2), bpm=94)
    >>> settings.key
    'Cm'
    """

    prompt_a: Prompt
    prompt_b: Prompt
    path: WalkMode = DEFAULTS["path"]
    position: float = DEFAULTS["position"]
    walk_bars: int = DEFAULTS["walk_bars"]
    bpm: float = DEFAULTS["bpm"]
    ramp_bars: int = DEFAULTS["ramp_bars"]
    key: str = DEFAULTS["key"]
    chords: str = DEFAULTS["chords"]
    beats_per_bar: int = DEFAULTS["beats_per_bar"]
    swing: float = DEFAULTS["swing"]
    controls: Controls = field(default_factory=Controls)
    guidance: float = DEFAULTS["guidance"]
    steps: int = DEFAULTS["steps"]
    anchor: AssetRef | None = DEFAULTS["anchor"]
    strength: float = DEFAULTS["strength"]
    mask: AssetRef | None = DEFAULTS["mask"]
    reverb: float = DEFAULTS["reverb"]

    def __post_init__(self) -> None:
        _check_type("prompt A", self.prompt_a, Prompt)
        _check_type("prompt B", self.prompt_b, Prompt)
        _check_type("controls", self.controls, Controls)
        _check_type("anchor", self.anchor, AssetRef | None)
        _check_type("mask", self.mask, AssetRef | None)
        check_tempo(self.bpm)
        check_metre(self.beats_per_bar)
        progression(self.key, self.chords)
        values = self.by_setting()
        for setting in SETTINGS:
            setting.check(values[setting.name])

    def by_setting(self) -> dict[str, Any]:
        """Return the values of all settings by their names in the schema."""
        values = self.values()
        for end in ("a", "b"):
            prompt: Prompt = getattr(self, f"prompt_{end}")
            values |= {f"prompt_{end}": prompt.text, f"seed_{end}": prompt.seed}
        return {**values, **asdict(self.controls)}

    def with_settings(self, changes: Mapping[str, Any]) -> JamSettings:
        """Return these settings with some replaced, by their names in the schema.

        Raises InvalidInput for a value that cannot be played.
        """
        values = dict(changes)
        for end in ("a", "b"):
            prompt = getattr(self, f"prompt_{end}")
            text = values.pop(f"prompt_{end}", prompt.text)
            seed = values.pop(f"seed_{end}", prompt.seed)
            values[f"prompt_{end}"] = _prompt(end.upper(), prompt, text, seed)
        names = [f.name for f in fields(Controls) if f.name in values]
        values["controls"] = replace(self.controls, **{name: values.pop(name) for name in names})
        return self.changed(values)

    def changed(self, changes: Mapping[str, object]) -> JamSettings:
        """Return these settings with some fields replaced by name.

        Raises InvalidInput for an unknown name or a value that cannot be played.
        """
        names = [f.name for f in fields(self)]
        for name in changes:
            if name not in names:
                raise InvalidInput("setting", name, f"use one of {', '.join(names)}")
        return replace(self, **dict(changes))  # type: ignore[arg-type]

    def values(self) -> dict[str, object]:
        """Return all fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def difference(self, other: JamSettings) -> dict[str, object]:
        """Return the fields of ``other`` that differ from these, by name."""
        old = self.values()
        return {name: new for name, new in other.values().items() if new != old[name]}

    def effects(self) -> dict[str, float]:
        """Return the settings of the master's effects by name."""
        return {entry.name: getattr(self, entry.name) for entry in SETTINGS if entry.effect}

    def progression(self) -> tuple[Chord, ...]:
        """Return the chords that are played, one a bar."""
        return progression(self.key, self.chords)

    def request(self, alpha: float, seed_a: int, seed_b: int) -> ClipRequest:
        """Return the request for a clip at ``alpha`` on the walk, with its own noise seeds."""
        return ClipRequest(
            start=replace(self.prompt_a, seed=seed_a),
            end=replace(self.prompt_b, seed=seed_b),
            alpha=alpha,
            bpm=self.bpm,
            controls=self.controls,
            guidance=self.guidance,
            steps=self.steps,
        )


def _check_type(what: str, value: object, kind: type | UnionType) -> None:
    if not isinstance(value, kind):
        raise InvalidInput(what, value, f"give a {getattr(kind, '__name__', kind)}")


def _prompt(end: str, old: Prompt, text: str, seed: int) -> Prompt:
    """Return prompt A or B with another text or seed; errors name the end."""
    try:
        return replace(old, text=text, seed=seed)
    except InvalidInput as error:
        raise InvalidInput(f"{error.what} {end}", error.value, error.hint) from error


def to_json(values: Mapping[str, object]) -> dict[str, object]:
    """Return settings by field as JSON can hold them.

    Prompts and controls become objects, anchor and mask their names; the data of uploaded ones is
    kept elsewhere.
    """
    return {name: _plain(value) for name, value in values.items()}


def from_json(
    values: Mapping[str, object], uploaded: Mapping[str, AssetRef] = MappingProxyType({})
) -> dict[str, object]:
    """Return the inverse of ``to_json``, with ``uploaded`` anchors and masks by name.

    Names of settings are checked by whoever uses them.
    """
    return {name: _value(name, value, uploaded) for name, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, Prompt | Controls):
        return asdict(value)
    return value.name if isinstance(value, AssetRef) else value


def _value(name: str, value: object, uploaded: Mapping[str, AssetRef]) -> object:
    match name:
        case "prompt_a" | "prompt_b":
            return _nested(name, value, Prompt)
        case "controls":
            return _nested(name, value, Controls)
        case "anchor" | "mask" if isinstance(value, str):
            return uploaded.get(value) or AssetRef(value)
    return value


def _nested(name: str, value: object, kind: type[Prompt | Controls]) -> Prompt | Controls:
    names = [f.name for f in fields(kind)]
    if not isinstance(value, dict) or not value or set(value) - set(names):
        raise InvalidInput(name, value, f"give an object with {', '.join(names)}")
    if kind is Prompt and "text" not in value:
        raise InvalidInput(name, value, "has no text; describe some music")
    return kind(**value)
