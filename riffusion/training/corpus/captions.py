"""Captions of songs: what someone would type to ask for the music, in many wordings.

Every caption names the style or the lead instrument and leaves out other facts at random, because
short prompts must work as well as long ones. Some describe a scene in which one would think of such
music ("fog rolling over the moors"); ``scenes.json`` has them.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from riffusion.music.instruments import everyday_names, lead_family
from riffusion.music.styles import STYLES
from riffusion.music.words import (
    CALM_WORDS,
    FAST_WORDS,
    HAPPY_WORDS,
    LIVELY_WORDS,
    MIDDLE_WORDS,
    SAD_WORDS,
    SLOW_WORDS,
)

DRUM_WORDS = ("drums", "a drum kit", "percussion", "beats")
DRUM_SOLO_WORDS = ("drums only", "drum solo", "drum beat", "drum loop", "solo drums", "beat")
SCENES = Path(__file__).with_name("scenes.json")
SCENE_ALONE = 0.12
SOLO_FORMS = ("solo {lead}", "{lead} solo", "{lead} alone", "unaccompanied {lead}", "{lead}")
LEAD_ALONE = 0.08
TOGETHER = ("with", "featuring", "and", "over", "plus")
# These phrases say nothing of the music itself.
REQUESTS = (
    "{core} music",
    "some {core}",
    "{core} track",
    "{core} loop",
    "{core} jam",
    "a {core} tune",
    "a piece of {core}",
    "play {core}",
    "{core}, instrumental",
    "the sound of {core}",
    "{core} song",
    "{core} riff",
)
DENSITY_WORDS = (("sparse", "minimal", "slow-moving", "spacious"), ("busy", "dense", "fast-moving"))


@dataclass(frozen=True)
class CaptionLabels:
    """The style and the family of the lead that a caption names, None where it does not."""

    style: str | None
    lead: str | None


@dataclass(frozen=True)
class Description:
    """A description holds what is known about a rendered song.

    ``programs`` starts with the lead, if there is one.
    """

    style_words: tuple[str, ...]
    scenes: tuple[str, ...]
    moods: tuple[str, ...]
    arrangement: str
    lead: int | None
    programs: tuple[int, ...]
    drums: bool
    bpm: int
    key: str
    density: float

    @property
    def mood_words(self) -> tuple[str, ...]:
        """Return words for the mood: of the style twice, and by mode, tempo and density."""
        mode = SAD_WORDS if self.key.endswith("minor") and self.bpm < 115 else ()
        mode = HAPPY_WORDS if self.key.endswith("major") and self.bpm > 95 else mode
        calm = CALM_WORDS if self.bpm < 90 and self.density < 0.45 else ()
        lively = LIVELY_WORDS if self.bpm > 118 and self.density > 0.45 else ()
        return (*self.moods, *self.moods, *mode, *calm, *lively)


@cache
def _read_scenes() -> dict[str, list[str]]:
    scenes: dict[str, list[str]] = json.loads(SCENES.read_text("utf-8"))
    return scenes


def load_scenes(style: str) -> tuple[str, ...]:
    """Return the phrases that evoke a style without naming it; none for an unknown style."""
    return tuple(_read_scenes().get(style, ()))


@cache
def list_style_words(style: str) -> tuple[str, ...]:
    """Return all words for a style in captions: its name, its other names and its scenes."""
    others = next((known.words for known in STYLES if known.name == style), ())
    return (style, *others, *load_scenes(style))


def find_labels(caption: str, style: str, lead: int | None) -> CaptionLabels:
    """Return what ``caption`` names of the style and the lead of its song.

    ``lead`` is a General MIDI program, or None.
    """
    has_style = any(word in caption for word in list_style_words(style))
    has_lead = lead is not None and any(name in caption for name in everyday_names(lead))
    return CaptionLabels(style if has_style else None, lead_family(lead) if has_lead else None)


def write_captions(rng: random.Random, about: Description, count: int) -> list[str]:
    """Return ``count`` captions of one song in different wordings."""
    return [_remove_repetition(_write_caption(rng, about)) for _ in range(count)]


def _write_caption(rng: random.Random, about: Description) -> str:
    style = rng.choice(about.style_words if rng.random() < 0.7 else about.style_words[:1])
    lead = rng.choice(everyday_names(about.lead)) if about.lead is not None else ""
    if about.scenes and about.arrangement != "drums" and rng.random() < SCENE_ALONE:
        return rng.choice(about.scenes)
    if about.arrangement == "drums":
        core = rng.choice((f"{style} drums", f"{style} {rng.choice(DRUM_SOLO_WORDS)}"))
    elif lead and rng.random() < LEAD_ALONE:
        core = _decorate_lead(rng, about, lead)
        return rng.choice(REQUESTS).format(core=core) if rng.random() < 0.2 else core
    elif about.arrangement == "solo" and lead:
        solo = rng.choice(SOLO_FORMS).format(lead=lead)
        core = rng.choice((f"{style} {lead}", f"{solo}, {style}", f"{style}, {solo}"))
    else:
        core = _name_band(rng, about, style, lead)
    return _decorate(rng, about, core)


def _name_band(rng: random.Random, about: Description, style: str, lead: str) -> str:
    """Return the style, with the lead and up to three other instruments at random."""
    others = [rng.choice(everyday_names(p)) for p in about.programs if p != about.lead]
    rng.shuffle(others)
    others = others[: rng.randint(0, 3)]
    if about.drums and rng.random() < 0.3:
        others.append(rng.choice(DRUM_WORDS))
    shape = rng.random()
    if lead and shape < 0.3:
        return f"{style} {lead}"
    if lead and shape < 0.5:
        return f"{style} {rng.choice(TOGETHER)} {lead}"
    if shape < 0.7:
        return style
    return ", ".join([style, *([lead] if lead else []), *others])


def _decorate_lead(rng: random.Random, about: Description, lead: str) -> str:
    """Return the lead instrument with a mood or a speed, without a style."""
    shapes = (
        f"{rng.choice(about.mood_words)} {lead}",
        f"{rng.choice(about.mood_words)} {lead}",
        f"{lead} solo",
        f"{rng.choice(_find_speed_words(about.bpm))} {lead}",
        lead,
    )
    return rng.choice(shapes)


def _find_speed_words(bpm: int) -> tuple[str, ...]:
    return SLOW_WORDS if bpm < 85 else MIDDLE_WORDS if bpm < 118 else FAST_WORDS


def _decorate(rng: random.Random, about: Description, core: str) -> str:
    """Return ``core`` with mood, density, speed, tempo and key, each at random."""
    if rng.random() < 0.4:
        core = f"{rng.choice(about.mood_words)} {core}"
    if rng.random() < 0.15 and abs(about.density - 0.5) > 0.25:
        core = f"{rng.choice(DENSITY_WORDS[about.density > 0.5])} {core}"
    if rng.random() < 0.15:
        speed = rng.choice(_find_speed_words(about.bpm))
        core = rng.choice((f"{speed} {core}", f"{core}, {speed}"))
    if rng.random() < 0.25:
        core = rng.choice(REQUESTS).format(core=core)
    if rng.random() < 0.1:
        core = f"{core}, {about.bpm} bpm"
    if rng.random() < 0.07:
        core = f"{core} in {about.key}"
    return core


def _remove_repetition(caption: str) -> str:
    """Remove repeated words: "church organ church organ" reads as a mistake."""
    words = caption.split()
    kept: list[str] = []
    for word in words:
        if not kept or word.strip(",") != kept[-1].strip(","):
            kept.append(word)
    half = len(kept) // 2
    if len(kept) % 2 == 0 and [w.strip(",") for w in kept[:half]] == kept[half:]:
        kept = kept[half:]
    return " ".join(kept).rstrip(",")
