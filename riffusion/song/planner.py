"""The planner: from one line, or from nothing, to a whole song, by a weighted grammar of forms.

Pure and seeded: the same line, length and seed give the same song. Nothing is generated; the song
is a plan to edit.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, replace

from riffusion.engines.clip import Controls, Prompt
from riffusion.errors import InvalidInput
from riffusion.music.harmony import Key, note_name, parse_key
from riffusion.music.instruments import NAMES
from riffusion.music.rhythm import MAX_BPM, MIN_BPM
from riffusion.music.styles import STYLES
from riffusion.music.styles.style import MINOR_FORMS, POP_FORMS
from riffusion.song.brief import SongBrief, parse_brief
from riffusion.song.forms import CYCLES, ENDINGS, MIDDLES, OPENINGS, ROLES, Weighted
from riffusion.song.model import Section, Song, parse_transition

USUAL_MINUTES = 3.0
MIN_MINUTES, MAX_MINUTES = 0.25, 30.0
USUAL_BPM = (84, 128)
USUAL_LEADS = (0, 4, 24, 25, 27, 48, 65, 73)
MAJOR_DEGREES = (0, 2, 4, 5, 7, 9, 11)
MAX_CYCLES = 16
MAX_PLANNED_BARS = 64
ATTEMPTS = 300
NEAR_BPM = 0.04  # how far the tempo may go from what was drawn, to meet the length
LIFT_CHANCE = 0.15
LIFT = 2  # semitones that a last chorus is lifted by
SPREAD = 0.05


@dataclass(frozen=True)
class Form:
    """Names in the order they are played, how many bars each has, and the tempo that fits."""

    order: tuple[str, ...]
    bars: dict[str, int]
    bpm: float

    @property
    def total(self) -> int:
        return sum(self.bars[name] for name in self.order)


def plan_song(line: str = "", minutes: float | None = None, seed: int = 0) -> Song:
    """A song for a line such as "melancholy bossa nova, three minutes", or for none.

    ``minutes`` wins over a length in the line; without either it is three. Raises InvalidInput
    for a length under a quarter of a minute or over thirty minutes.
    """
    wish = parse_brief(line)
    said = wish.seconds / 60 if wish.seconds is not None else USUAL_MINUTES
    minutes = said if minutes is None else minutes
    if not MIN_MINUTES <= minutes <= MAX_MINUTES:
        legal = f"use {MIN_MINUTES:g} to {MAX_MINUTES:g} minutes"
        raise InvalidInput("length in minutes", minutes, legal)
    rng = random.Random(f"{seed} {minutes} {line}")
    wish = wish if wish.words else _random_brief(rng, wish)
    beats = 3 if "waltz" in wish.words.lower() else 4
    form = _form(rng, minutes * 60, _tempo(rng, wish), beats)
    key = _key(rng, wish)
    progressions = _progressions(rng, wish, key)
    sections = [
        _section(rng, f"{wish.words}, {words}", name, form, chords_of(progressions[name], key))
        for name, words in _words(rng, wish, form).items()
    ]
    song = Song(
        tuple(sections),
        form.order,
        title=wish.words[:80],
        bpm=form.bpm,
        key=key.name,
        beats_per_bar=beats,
    )
    return _with_key_change(song, key, progressions) if rng.random() < LIFT_CHANCE else song


def _random_brief(rng: random.Random, wish: SongBrief) -> SongBrief:
    """A wish for a line that says nothing."""
    style = rng.choice(STYLES)
    return replace(wish, words=f"{rng.choice(style.moods)} {style.words[0]}", style=style)


def _tempo(rng: random.Random, wish: SongBrief) -> float:
    """A tempo of the style, its slow or fast end where the line says so."""
    if wish.bpm is not None:
        return min(max(wish.bpm, MIN_BPM), MAX_BPM)
    slowest, fastest = wish.style.bpm if wish.style else USUAL_BPM
    place = {-1: 0.15 * rng.random(), 0: rng.random(), 1: 1 - 0.15 * rng.random()}[wish.pace]
    return min(max(slowest + place * (fastest - slowest), MIN_BPM), MAX_BPM)


def _form(rng: random.Random, seconds: float, bpm: float, beats: int) -> Form:
    """A form that lasts ``seconds`` at a tempo near ``bpm``."""
    wanted = seconds * bpm / 60 / beats

    def draw() -> Form:
        form = _drawn(rng, wanted)
        return replace(form, bpm=round(form.total * beats * 60 / seconds, 2))

    best = draw()
    for _ in range(ATTEMPTS):
        if _distance(best.bpm, bpm) <= NEAR_BPM:
            break
        best = min(best, draw(), key=lambda form: _distance(form.bpm, bpm))
    return best


def _distance(bpm: float, wanted: float) -> float:
    """How far a tempo is off, as a share; tempi that nobody can play are further than all."""
    return abs(bpm / wanted - 1) if MIN_BPM <= bpm <= MAX_BPM else math.inf


def _drawn(rng: random.Random, wanted: float) -> Form:
    """A form of about ``wanted`` bars, without its tempo."""
    opening, cycle, middle, ending = (_draw(rng, t) for t in (OPENINGS, CYCLES, MIDDLES, ENDINGS))
    names = dict.fromkeys((*opening, *cycle, *middle, *ending))
    bars = {name: rng.choice(ROLES[name].bars) for name in names}
    once = sum(bars[name] for name in (*opening, *middle, *cycle, *ending))
    around = sum(bars[name] for name in cycle)
    scale = 2.0 ** round(math.log2(wanted / (once + around)))
    bars = {n: min(max(1, round(b * scale)), MAX_PLANNED_BARS) for n, b in bars.items()}
    once = sum(bars[name] for name in (*opening, *middle, *cycle, *ending))
    around = sum(bars[name] for name in cycle)
    cycles = min(max(0, round((wanted - once) / around)), MAX_CYCLES)
    # A middle is one between cycles.
    order = (*opening, *cycle * cycles, *(middle if cycles else ()), *cycle, *ending)
    played = {name: bars[name] for name in dict.fromkeys(order)}
    return Form(order, _trimmed(order, played, wanted), 0.0)


def _trimmed(order: tuple[str, ...], bars: dict[str, int], wanted: float) -> dict[str, int]:
    """What is missing or too much goes to a part that is played once, in pairs of bars."""
    missing = 2 * round((wanted - sum(bars[name] for name in order)) / 2)
    for name, count in Counter(order).items():
        if count == 1 and bars[name] >= 2:
            fitted = min(max(2, bars[name] + missing), 2 * bars[name])
            missing -= fitted - bars[name]
            bars = {**bars, name: fitted}
    return bars


def _key(rng: random.Random, wish: SongBrief) -> Key:
    if wish.key is not None:
        return parse_key(wish.key)
    forms = wish.style.forms if wish.style else (*POP_FORMS, *MINOR_FORMS)
    minor = wish.mode == "minor" if wish.mode else _is_minor(rng.choice(forms))
    tonic = rng.choice(("C", "D", "Eb", "E", "F", "G", "A", "Bb"))
    return parse_key(tonic + ("m" if minor else ""))


def _is_minor(form: str) -> bool:
    return any(degree.startswith("1m") for degree in form.split())


def _progressions(rng: random.Random, wish: SongBrief, key: Key) -> dict[str, str]:
    """Degrees for each role: those of the style in this mode first, then those of all music."""
    wanted = key.mode == "minor"
    styled = [f for f in (wish.style.forms if wish.style else ()) if _is_minor(f) == wanted]
    common = [f for f in (*POP_FORMS, *MINOR_FORMS) if _is_minor(f) == wanted]
    rng.shuffle(styled)
    rng.shuffle(common)
    pool = [*dict.fromkeys((*styled, *common))]
    others = pool[1:] or pool
    main = pool[0]
    shared = {"intro": main, "verse": main, "theme": main, "outro": main, "break": main}
    return {name: shared.get(name) or rng.choice(others) for name in ROLES}


def _section(rng: random.Random, prompt: str, name: str, form: Form, chords: str) -> Section:
    role, bars = ROLES[name], form.bars[name]
    transition = parse_transition(rng.choice(role.transitions))
    return Section(
        name=name,
        bars=bars,
        prompt=Prompt(prompt, rng.randrange(2**31)),
        chords=chords,
        controls=Controls(
            density=_near(rng, role.density),
            brightness=_near(rng, role.brightness),
            drums=_near(rng, role.drums),
        ),
        transition=transition if transition.bars < bars else parse_transition("cut"),
    )


def _words(rng: random.Random, wish: SongBrief, form: Form) -> dict[str, str]:
    """What each section is like. Each has another lead, as long as the style has more: that is
    what tells a verse from its chorus first."""
    leads = [*(wish.style.leads if wish.style else USUAL_LEADS)]
    rng.shuffle(leads)
    return {
        name: rng.choice(ROLES[name].words).format(lead=NAMES[leads[number % len(leads)]])
        for number, name in enumerate(form.bars)
    }


def _near(rng: random.Random, value: float) -> float:
    return round(min(max(rng.uniform(value - SPREAD, value + SPREAD), 0.0), 1.0), 2)


def _with_key_change(song: Song, key: Key, progressions: dict[str, str]) -> Song:
    """The song with its last chorus in a higher key, where it has had two before."""
    if song.order.count("chorus") < 3:
        return song
    spelled = note_name(key.tonic + LIFT, flats=True) + ("m" if key.mode == "minor" else "")
    higher = parse_key(spelled)
    chords = chords_of(progressions["chorus"], higher)
    last = replace(song.section("chorus"), name="last chorus", key=higher.name, chords=chords)
    place = len(song.order) - 1 - song.order[::-1].index("chorus")
    order = (*song.order[:place], last.name, *song.order[place + 1 :])
    return replace(song, sections=(*song.sections, last), order=order)


def chords_of(form: str, key: Key) -> str:
    """Scale degrees ("1m b6 b3 b7") as chords in a key ("Cm Ab Eb Bb")."""
    return " ".join(_chord(degree, key) for degree in form.split())


def _chord(degree: str, key: Key) -> str:
    """A degree such as ``b67`` (flat sixth, dominant seventh) as a chord name."""
    plain = degree.lstrip("b#")
    signs = degree[: len(degree) - len(plain)]
    shift = signs.count("#") - signs.count("b")
    pitch = key.tonic + MAJOR_DEGREES[int(plain[0]) - 1] + shift
    return note_name(pitch, key.flats or shift < 0) + plain[1:]


def _draw(rng: random.Random, table: Weighted) -> tuple[str, ...]:
    return rng.choices([form for form, _ in table], [weight for _, weight in table])[0]
