"""The planner turns one line of text, or none, into a whole song, by a weighted grammar of forms.

It is pure and seeded: the same line, length and seed give the same song. It generates no audio; the
song is a plan to edit.
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
from riffusion.music.rhythm import MAX_BPM, MIN_BPM, count_bars, fit_tempo
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
NEAR_BPM = 0.04  # the share by which the tempo may differ from the drawn one, to meet the length
KEY_CHANGE_CHANCE = 0.15
KEY_CHANGE = 2  # semitones that a last chorus goes up
SPREAD = 0.05


@dataclass(frozen=True)
class SongForm:
    """The names of sections in their order, the bars that each has, and the tempo."""

    order: tuple[str, ...]
    bars: dict[str, int]
    bpm: float

    @property
    def total(self) -> int:
        """The number of bars of the whole song."""
        return sum(self.bars[name] for name in self.order)


def plan_song(line: str = "", minutes: float | None = None, seed: int = 0) -> Song:
    """Plan a song for a line such as "melancholy bossa nova, three minutes", or for none.

    Parameters
    ----------
    line : str
        Style, mood, length, tempo and key, in any order; all of it is optional.
    minutes : float, optional
        The length, which takes precedence over one in the line. The default is three minutes.
    seed : int
        Another seed gives another song for the same line.

    Raises
    ------
    InvalidInput
        If the line has over 500 characters, or the length is under a quarter of a minute or over
        thirty minutes.

    Examples
    --------
    >>> import riffusion
    >>> song = riffusion.plan_song("melancholy bossa nova, three minutes", seed=4)
    >>> round(song.duration_s)
    180
    >>> riffusion.save_plan(song, "bossa.yaml")
    """
    brief = parse_brief(line)
    if minutes is None:
        minutes = brief.seconds / 60 if brief.seconds is not None else USUAL_MINUTES
    if not MIN_MINUTES <= minutes <= MAX_MINUTES:
        hint = f"use {MIN_MINUTES:g} to {MAX_MINUTES:g} minutes"
        raise InvalidInput("length in minutes", minutes, hint)
    rng = random.Random(f"{seed} {minutes} {line}")
    brief = brief if brief.words else _random_brief(rng, brief)
    beats = 3 if "waltz" in brief.words.lower() else 4
    form = _form(rng, minutes * 60, _tempo(rng, brief), beats)
    key = _key(rng, brief)
    progressions = _progressions(rng, brief, key)
    sections = [
        _section(rng, f"{brief.words}, {words}", name, form, spell_chords(progressions[name], key))
        for name, words in _words(rng, brief, form).items()
    ]
    song = Song(
        tuple(sections),
        form.order,
        title=brief.words[:80],
        bpm=form.bpm,
        key=key.name,
        beats_per_bar=beats,
    )
    return _with_key_change(song, key, progressions) if rng.random() < KEY_CHANGE_CHANCE else song


def _random_brief(rng: random.Random, brief: SongBrief) -> SongBrief:
    """Return the brief with the words and the style of a random one."""
    style = rng.choice(STYLES)
    return replace(brief, words=f"{rng.choice(style.moods)} {style.words[0]}", style=style)


def _tempo(rng: random.Random, brief: SongBrief) -> float:
    """Return a tempo of the style, at its slow or fast end where the line asks for that."""
    if brief.bpm is not None:
        return min(max(brief.bpm, MIN_BPM), MAX_BPM)
    slowest, fastest = brief.style.bpm if brief.style else USUAL_BPM
    share = {-1: 0.15 * rng.random(), 0: rng.random(), 1: 1 - 0.15 * rng.random()}[brief.pace]
    return min(max(slowest + share * (fastest - slowest), MIN_BPM), MAX_BPM)


def _form(rng: random.Random, seconds: float, bpm: float, beats: int) -> SongForm:
    """Return a form that lasts ``seconds`` at a tempo near ``bpm``."""
    wanted = count_bars(seconds, bpm, beats)

    def draw() -> SongForm:
        form = _draw_form(rng, wanted)
        return replace(form, bpm=round(fit_tempo(form.total, seconds, beats), 2))

    best = draw()
    for _ in range(ATTEMPTS):
        if _distance(best.bpm, bpm) <= NEAR_BPM:
            break
        best = min(best, draw(), key=lambda form: _distance(form.bpm, bpm))
    return best


def _distance(bpm: float, wanted: float) -> float:
    """Return the share by which a tempo differs from the wanted one; infinity outside the legal."""
    return abs(bpm / wanted - 1) if MIN_BPM <= bpm <= MAX_BPM else math.inf


def _draw_form(rng: random.Random, wanted: float) -> SongForm:
    """Return a random form of about ``wanted`` bars, without its tempo."""
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
    # Without a cycle before it, there is no middle.
    order = (*opening, *cycle * cycles, *(middle if cycles else ()), *cycle, *ending)
    played = {name: bars[name] for name in dict.fromkeys(order)}
    return SongForm(order, _fit_bars(order, played, wanted), 0.0)


def _fit_bars(order: tuple[str, ...], bars: dict[str, int], wanted: float) -> dict[str, int]:
    """Return ``bars`` with parts that are played once made longer or shorter, by pairs of bars.

    The total then comes near ``wanted``.
    """
    missing = 2 * round((wanted - sum(bars[name] for name in order)) / 2)
    for name, count in Counter(order).items():
        if count == 1 and bars[name] >= 2:
            fitted = min(max(2, bars[name] + missing), 2 * bars[name])
            missing -= fitted - bars[name]
            bars = {**bars, name: fitted}
    return bars


def _key(rng: random.Random, brief: SongBrief) -> Key:
    """Return the key of the line, or a random one in its mode."""
    if brief.key is not None:
        return parse_key(brief.key)
    forms = brief.style.forms if brief.style else (*POP_FORMS, *MINOR_FORMS)
    minor = brief.mode == "minor" if brief.mode else _is_minor(rng.choice(forms))
    tonic = rng.choice(("C", "D", "Eb", "E", "F", "G", "A", "Bb"))
    return parse_key(tonic + ("m" if minor else ""))


def _is_minor(form: str) -> bool:
    """Return whether a progression in scale degrees has a minor tonic."""
    return any(degree.startswith("1m") for degree in form.split())


def _progressions(rng: random.Random, brief: SongBrief, key: Key) -> dict[str, str]:
    """Return the progression of each role in scale degrees.

    Those of the style in the mode of the key come first, then those common to all styles.
    """
    wanted = key.mode == "minor"
    styled = [f for f in (brief.style.forms if brief.style else ()) if _is_minor(f) == wanted]
    common = [f for f in (*POP_FORMS, *MINOR_FORMS) if _is_minor(f) == wanted]
    rng.shuffle(styled)
    rng.shuffle(common)
    pool = [*dict.fromkeys((*styled, *common))]
    others = pool[1:] or pool
    main = pool[0]
    shared = {"intro": main, "verse": main, "theme": main, "outro": main, "break": main}
    return {name: shared.get(name) or rng.choice(others) for name in ROLES}


def _section(rng: random.Random, prompt: str, name: str, form: SongForm, chords: str) -> Section:
    """Return the section ``name`` of a form, with random seed, controls and transition."""
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


def _words(rng: random.Random, brief: SongBrief, form: SongForm) -> dict[str, str]:
    """Return the words of each section's prompt.

    Each section has another lead while the style has more, as the lead is what distinguishes a
    verse from its chorus most.
    """
    leads = [*(brief.style.leads if brief.style else USUAL_LEADS)]
    rng.shuffle(leads)
    return {
        name: rng.choice(ROLES[name].words).format(lead=NAMES[leads[number % len(leads)]])
        for number, name in enumerate(form.bars)
    }


def _near(rng: random.Random, value: float) -> float:
    """Return a random number within ``SPREAD`` of ``value``, from 0 to 1."""
    return round(min(max(rng.uniform(value - SPREAD, value + SPREAD), 0.0), 1.0), 2)


def _with_key_change(song: Song, key: Key, progressions: dict[str, str]) -> Song:
    """Return the song with its last chorus in a higher key, if there are two before it."""
    if song.order.count("chorus") < 3:
        return song
    spelled = note_name(key.tonic + KEY_CHANGE, flats=True) + ("m" if key.mode == "minor" else "")
    higher = parse_key(spelled)
    chords = spell_chords(progressions["chorus"], higher)
    last = replace(song.section("chorus"), name="last chorus", key=higher.name, chords=chords)
    index = len(song.order) - 1 - song.order[::-1].index("chorus")
    order = (*song.order[:index], last.name, *song.order[index + 1 :])
    return replace(song, sections=(*song.sections, last), order=order)


def spell_chords(form: str, key: Key) -> str:
    """Return a progression of scale degrees ("1m b6 b3 b7") as chords ("Cm Ab Eb Bb")."""
    return " ".join(_chord(degree, key) for degree in form.split())


def _chord(degree: str, key: Key) -> str:
    """Return the name of a chord on a degree such as ``b67`` (flat sixth, dominant seventh)."""
    plain = degree.lstrip("b#")
    signs = degree[: len(degree) - len(plain)]
    shift = signs.count("#") - signs.count("b")
    pitch = key.tonic + MAJOR_DEGREES[int(plain[0]) - 1] + shift
    return note_name(pitch, key.flats or shift < 0) + plain[1:]


def _draw(rng: random.Random, table: Weighted) -> tuple[str, ...]:
    """Return a random entry of a weighted table."""
    return rng.choices([form for form, _ in table], [weight for _, weight in table])[0]
