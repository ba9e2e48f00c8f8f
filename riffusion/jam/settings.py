"""The settings of a jam: frozen data, checked once, that goes to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType, UnionType
from typing import Any

from riffusion.engines.clip import ClipRequest, Controls, Prompt, Quality
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef
from riffusion.jam.prompt_settings import FIRST_LETTERS, LETTERS
from riffusion.jam.schema import BY_NAME, DEFAULTS, SETTINGS
from riffusion.music.harmony import Chord, progression
from riffusion.music.rhythm import check_metre, check_tempo
from riffusion.music.walk import WalkMode

PROMPTS = tuple(f"prompt_{letter}" for letter in LETTERS)
# The settings that may be uploaded data.
ASSETS = tuple(entry.name for entry in SETTINGS if entry.kind in ("anchor", "mask"))
MOMENTARY = tuple(entry.name for entry in SETTINGS if entry.momentary)


@dataclass(frozen=True)
class JamSettings:
    """All that a musician steers in a jam. Any of it may change at a bar line.

    ``path`` is how the jam walks: ``ping-pong`` goes from A to B in ``walk_bars`` bars, back, and
    so on; ``once`` stays at B; ``hold`` stays where the walk is; ``manual`` stands at ``position``
    (0 is A, 1 is B), which is also where the other paths begin. Where there are more prompts, the
    walk visits all whose weight is over 0, in the order of their letters, ``round`` goes from the
    last one to A, and ``together`` plays all at once by their weights. ``chords`` ("Am F C G", one
    a bar) win over ``key``, whose four usual chords are played when ``chords`` is empty. Clips
    start from the ``anchor``, where there is one: its bars go round, ``strength`` says how much of
    it goes (1: all) and ``mask`` which part of it.

    The bars of the ``loop`` come round with the same noise, turned by ``variation`` each time.

    Parameters
    ----------
    prompt_a, prompt_b : Prompt
        The two ends of the walk.
    path : {"ping-pong", "once", "round", "hold", "manual", "together"}
    position : float
        0 to 1.
    walk_bars : int
        Bars from one prompt to the next, 1 to 1024.
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
        Denoiser steps a clip of quality "fine", 1 to 1000.
    anchor, mask : AssetRef, optional
    strength : float
        0 keeps the anchor, 1 ignores it.
    reverb : float
        How much of the mix is sent into a small room, 0 to 1.
    loop : {"chords", "0", "1", "2", "4", "8", "16"}
        The bars that come round, as text or a number: "chords" are those of the progression, "0"
        is no loop.
    variation : float
        How much the loop changes each time round, 0 to 1.
    arc : {"none", "breathe", "build"}
    arc_bars : {"8", "16", "32"}
    hold : bool
        Whether the loop is frozen.
    drop, fill : int
        For how many bars from their change on the drums are left out, or a fill is played.
    quantize : {"now", "beat", "bar", "loop"}
        Where changes are heard.
    anchor_b : AssetRef, optional
        The anchor at the end of the walk.
    quality : {"live", "fine"}
        How clips are made: in few steps, or in ``steps``. Engines with one way alone use that.
    prompt_c, ..., prompt_h : Prompt, optional
    weight_a, ..., weight_h : float
        How much of a prompt is heard beside others, 0 to 1.

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
    loop: str = DEFAULTS["loop"]
    variation: float = DEFAULTS["variation"]
    arc: str = DEFAULTS["arc"]
    arc_bars: str = DEFAULTS["arc_bars"]
    hold: bool = DEFAULTS["hold"]
    drop: int = DEFAULTS["drop"]
    fill: int = DEFAULTS["fill"]
    quantize: str = DEFAULTS["quantize"]
    anchor_b: AssetRef | None = DEFAULTS["anchor_b"]
    prompt_c: Prompt | None = None
    prompt_d: Prompt | None = None
    prompt_e: Prompt | None = None
    prompt_f: Prompt | None = None
    prompt_g: Prompt | None = None
    prompt_h: Prompt | None = None
    weight_a: float = DEFAULTS["weight_a"]
    weight_b: float = DEFAULTS["weight_b"]
    weight_c: float = DEFAULTS["weight_c"]
    weight_d: float = DEFAULTS["weight_d"]
    weight_e: float = DEFAULTS["weight_e"]
    weight_f: float = DEFAULTS["weight_f"]
    weight_g: float = DEFAULTS["weight_g"]
    weight_h: float = DEFAULTS["weight_h"]
    quality: Quality = DEFAULTS["quality"]

    def __post_init__(self) -> None:
        for letter in LETTERS:
            kind = Prompt if letter in FIRST_LETTERS else Prompt | None
            _check_type(f"prompt {letter.upper()}", self.prompt(letter), kind)
        _check_type("controls", self.controls, Controls)
        for name in ASSETS:
            _check_type(BY_NAME[name].label, getattr(self, name), AssetRef | None)
        for name in ("loop", "arc_bars"):
            if isinstance(value := getattr(self, name), int):
                object.__setattr__(self, name, str(value))
        check_tempo(self.bpm)
        check_metre(self.beats_per_bar)
        progression(self.key, self.chords)
        values = self.by_setting()
        for setting in SETTINGS:
            setting.check(values[setting.name])
        if not self.heard_prompts():
            hint = "give at least one prompt a weight over 0"
            raise InvalidInput("weights of the prompts", "all are 0", hint)

    def prompt(self, letter: str) -> Prompt | None:
        """Return the prompt of a letter, or None where there is none."""
        prompt: Prompt | None = getattr(self, f"prompt_{letter}")
        return prompt

    def heard_prompts(self) -> tuple[tuple[Prompt, float], ...]:
        """Return the prompts whose weight is over 0 with their weights, by their letters."""
        weighted = ((self.prompt(letter), getattr(self, f"weight_{letter}")) for letter in LETTERS)
        return tuple((prompt, weight) for prompt, weight in weighted if prompt and weight > 0)

    def by_setting(self) -> dict[str, Any]:
        """Return the values of all settings by their names in the schema."""
        values = self.values()
        for letter in LETTERS:
            names = (f"prompt_{letter}", f"seed_{letter}", f"negative_{letter}")
            prompt = self.prompt(letter)
            parts = (prompt.text, prompt.seed, prompt.negative) if prompt else ()
            values |= dict(zip(names, parts or map(DEFAULTS.get, names), strict=True))
            if not prompt:
                values[names[0]] = ""
        return {**values, **asdict(self.controls)}

    def with_settings(self, changes: Mapping[str, Any]) -> JamSettings:
        """Return these settings with some replaced, by their names in the schema.

        Raises InvalidInput for a value that cannot be played.
        """
        values = dict(changes)
        for letter in LETTERS:
            values[f"prompt_{letter}"] = _read_prompt(letter, self.prompt(letter), values)
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

    def settled(self) -> JamSettings:
        """Return these settings after what is momentary in them."""
        if not any(getattr(self, name) for name in MOMENTARY):
            return self
        return self.changed(dict.fromkeys(MOMENTARY, 0))

    def with_momentary(self, other: JamSettings) -> JamSettings:
        """Return these settings with what is momentary in ``other``, where they have none."""
        missing = {n: getattr(other, n) for n in MOMENTARY if not getattr(self, n)}
        return self.changed(missing)

    def effects(self) -> dict[str, float]:
        """Return the settings of the master's effects by name."""
        return {entry.name: getattr(self, entry.name) for entry in SETTINGS if entry.effect}

    def progression(self) -> tuple[Chord, ...]:
        """Return the chords that are played, one a bar."""
        return progression(self.key, self.chords)

    def request(self, alpha: float, seed_a: int, seed_b: int) -> ClipRequest:
        """Return the request for a clip between prompts A and B, with its own noise seeds."""
        return ClipRequest(
            start=replace(self.prompt_a, seed=seed_a),
            end=replace(self.prompt_b, seed=seed_b),
            alpha=alpha,
            bpm=self.bpm,
            controls=self.controls,
            guidance=self.guidance,
            steps=self.steps,
            quality=self.quality,
        )


def _check_type(what: str, value: object, kind: type | UnionType) -> None:
    if not isinstance(value, kind):
        raise InvalidInput(what, value, f"give a {getattr(kind, '__name__', kind)}")


def _read_prompt(letter: str, old: Prompt | None, values: dict[str, Any]) -> Prompt | None:
    """Take the parts of a letter's prompt out of ``values`` and return the prompt they make.

    Parts that are not there are those of ``old``. A prompt without text is None, but for A and B,
    which need one; errors name the letter.
    """
    name = letter.upper()
    plain = old or Prompt("-", DEFAULTS[f"seed_{letter}"])
    text = values.pop(f"prompt_{letter}", old.text if old else "")
    seed = values.pop(f"seed_{letter}", plain.seed)
    negative = values.pop(f"negative_{letter}", plain.negative)
    if letter not in FIRST_LETTERS and isinstance(text, str) and not text.strip():
        return None
    try:
        return Prompt(text, seed, negative)
    except InvalidInput as error:
        raise InvalidInput(f"{error.what} {name}", error.value, error.hint) from error


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
        case "controls":
            return _nested(name, value, Controls)
        case _ if name in PROMPTS and (value is not None or name in PROMPTS[:2]):
            return _nested(name, value, Prompt)
        case _ if name in ASSETS and isinstance(value, str):
            return uploaded.get(value) or AssetRef(value)
    return value


def _nested(name: str, value: object, kind: type[Prompt | Controls]) -> Prompt | Controls:
    names = [f.name for f in fields(kind)]
    if not isinstance(value, dict) or not value or set(value) - set(names):
        raise InvalidInput(name, value, f"give an object with {', '.join(names)}")
    if kind is Prompt and "text" not in value:
        raise InvalidInput(name, value, "has no text; describe some music")
    return kind(**value)
