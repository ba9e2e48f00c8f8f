"""The written music as MIDI events: accompaniment by MMA, and melodies and solos by this module."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mido

from riffusion.errors import MissingTool, RiffusionError
from riffusion.music.harmony import parse_chords
from riffusion.music.instruments import DRUM_CHANNEL, LOW_VOICED, POLYPHONIC
from riffusion.music.styles import Style

NOTE_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
MAJOR_DEGREES = (0, 2, 4, 5, 7, 9, 11)
MMA_TIMEOUT_S = 60


@dataclass(frozen=True)
class Event:
    """A MIDI channel message at a position in beats from the start."""

    beat: float
    message: Any


@dataclass(frozen=True)
class Score:
    """A piece of music as it is written. ``chords`` holds one chord name a bar."""

    events: tuple[Event, ...]
    bpm: float
    beats_per_bar: int
    chords: tuple[str, ...]

    @property
    def bars(self) -> int:
        """Return the number of bars."""
        return len(self.chords)

    @property
    def seconds(self) -> float:
        """Return the length in seconds."""
        return self.bars * self.beats_per_bar * 60.0 / self.bpm

    def notes(self, drums: bool) -> list[Event]:
        """Return the note-ons of the drum channel, or of all others."""
        return [
            e
            for e in self.events
            if e.message.type == "note_on"
            and e.message.velocity > 0
            and (e.message.channel == DRUM_CHANNEL) == drums
        ]

    def programs(self) -> list[int]:
        """Return the General MIDI programs that sound but the drums, most notes first."""
        program: dict[int, int] = {}
        count: dict[int, int] = {}
        for event in self.events:
            message = event.message
            if message.type == "program_change":
                program[message.channel] = message.program
            elif message.type == "note_on" and message.velocity and message.channel != DRUM_CHANNEL:
                key = program.get(message.channel, 0)
                count[key] = count.get(key, 0) + 1
        return sorted(count, key=lambda key: -count[key])

    def players(self) -> dict[int, int]:
        """Return the first program of each channel but the drums'."""
        changes = [e.message for e in self.events if e.message.type == "program_change"]
        return {m.channel: m.program for m in reversed(changes) if m.channel != DRUM_CHANNEL}

    def keep_channels(self, channels: frozenset[int]) -> Score:
        """Return the same music with only these MIDI channels."""
        return replace(self, events=tuple(e for e in self.events if e.message.channel in channels))

    def add_events(self, events: list[Event]) -> Score:
        """Return the same music with more events."""
        return replace(self, events=tuple(sorted((*self.events, *events), key=lambda e: e.beat)))


def transpose(degree: str, tonic: int) -> str:
    """Return a scale degree such as ``b67`` (flat sixth, dominant seventh) as a chord name."""
    shift = 0
    while degree[0] in "b#":
        shift += 1 if degree[0] == "#" else -1
        degree = degree[1:]
    return NOTE_NAMES[(tonic + MAJOR_DEGREES[int(degree[0]) - 1] + shift) % 12] + degree[1:]


def write_accompaniment(
    groove: str, bpm: int, chords: tuple[str, ...], extra: str, seed: int
) -> Score:
    """Return a band that plays ``chords``, one a bar, as MMA (Debian package ``mma``) writes it.

    Raises MissingTool where MMA is not installed, and RiffusionError where it fails.
    """
    mma = shutil.which("mma")
    if mma is None:
        raise MissingTool("the accompaniment generator `mma` is not installed: apt install mma")
    chart = "".join(f"{bar} {chord}\n" for bar, chord in enumerate(chords, 1))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "song.mma"), Path(folder, "song.mid")
        source.write_text(f"RndSeed {seed}\nTempo {bpm}\nGroove {groove}\n{extra}{chart}")
        done = subprocess.run(
            [mma, "-f", str(target), str(source)],
            capture_output=True,
            text=True,
            timeout=MMA_TIMEOUT_S,
            check=False,
        )
        if done.returncode or not target.exists():
            raise RiffusionError(
                f"mma could not play {groove}: {(done.stdout + done.stderr)[-200:]}"
            )
        midi = mido.MidiFile(target)
    return _score_from_midi(midi, float(bpm), chords)


def _score_from_midi(midi: mido.MidiFile, bpm: float, chords: tuple[str, ...]) -> Score:
    events: list[Event] = []
    numerator = 4
    longest = 0.0
    for track in midi.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "time_signature":
                numerator = message.numerator * 4 // message.denominator
            elif not message.is_meta and hasattr(message, "channel"):
                events.append(Event(tick / midi.ticks_per_beat, message))
        longest = max(longest, tick / midi.ticks_per_beat)
    # Some grooves in three leave the default 4/4 in the header, so the length decides.
    per_bar = longest / len(chords)
    beats = max(2, round(per_bar)) if per_bar < numerator - 0.6 else numerator
    events.sort(key=lambda e: e.beat)
    return Score(tuple(events), bpm, beats, chords)


def make_empty_score(bpm: float, beats_per_bar: int, chords: tuple[str, ...]) -> Score:
    """Return a score with chords and bars, without notes."""
    return Score((), bpm, beats_per_bar, chords)


def list_pitch_classes(chord: str) -> list[int]:
    """Return the pitch classes (0 is C) of a chord name."""
    chroma = parse_chords(chord)[0].chroma()
    return [pitch for pitch in range(12) if chroma[pitch] > 0]


def write_part(
    channel: int,
    program: int,
    volume: int,
    notes: list[tuple[float, float, int, int]],
    pan: int = 64,
) -> list[Event]:
    """Return the events of one instrument. A note is (beat, length in beats, pitch, velocity)."""
    events = [
        Event(0.0, mido.Message("program_change", channel=channel, program=program)),
        Event(0.0, mido.Message("control_change", channel=channel, control=7, value=volume)),
        Event(0.0, mido.Message("control_change", channel=channel, control=10, value=pan)),
    ]
    for beat, length, pitch, velocity in notes:
        loudness = max(30, min(127, velocity))
        on = mido.Message("note_on", channel=channel, note=pitch, velocity=loudness)
        off = mido.Message("note_off", channel=channel, note=pitch)
        events += [Event(max(0.0, beat), on), Event(max(0.0, beat) + max(0.05, length), off)]
    return events


def write_melody(
    rng: random.Random, score: Score, tonic: int, style: Style, program: int
) -> list[tuple[float, float, int, int]]:
    """Return a lead line of motifs: rhythms of one bar in an A A B A scheme.

    Chord tones lie on strong beats, steps in between, a step back answers a leap, and some bars
    rest.
    """
    beats = score.beats_per_bar
    division = 2 if rng.random() < 0.6 else 4
    motifs = [_write_rhythm(rng, beats, division, style.liveliness) for _ in range(2)]
    scale = [(tonic + step) % 12 for step in style.scale]
    low, high = (48, 72) if program in LOW_VOICED else (60, 86)
    pitch, leap = (low + high) // 2, 0
    notes: list[tuple[float, float, int, int]] = []
    for bar, chord in enumerate(score.chords):
        if rng.random() < 0.1:
            continue
        tones = list_pitch_classes(chord)
        motif = motifs[0 if bar % 4 != 2 else 1]
        for position, beat in enumerate(motif):
            pool = tones if beat % 2 == 0 or rng.random() < 0.35 else scale
            reach = 9 if rng.random() < 0.12 and not leap else 4
            choices = [p for p in range(low, high) if p % 12 in pool and abs(p - pitch) <= reach]
            if leap:
                choices = [p for p in choices if (p - pitch) * leap <= 0] or choices
            new = rng.choice(choices or [pitch])
            leap = (new - pitch) if abs(new - pitch) > 5 else 0
            pitch = new
            following = motif[position + 1] if position + 1 < len(motif) else beats
            length = min(following - beat, 2.0) * rng.choice((0.95, 0.9, 0.6))
            late = 0.16 if style.swing and beat % 1 == 0.5 else 0.0
            accent = 8 if beat % beats == 0 else 0
            notes.append((bar * beats + beat + late, length, pitch, int(rng.gauss(96 + accent, 8))))
    return notes


def _write_rhythm(rng: random.Random, beats: int, division: int, liveliness: float) -> list[float]:
    """Return the beats of the notes of one bar; ``liveliness`` is the chance of one on a beat."""

    def chance(beat: float) -> float:
        return liveliness * (1.0 if beat % 1 == 0 else 0.75 if beat % 0.5 == 0 else 0.35)

    grid = [step / division for step in range(beats * division)]
    return [beat for beat in grid if rng.random() < chance(beat)] or [0.0]


def write_left_hand(
    rng: random.Random, score: Score, swing: bool
) -> list[tuple[float, float, int, int]]:
    """Return chords under a solo: block, broken, stride or off-beat throughout."""
    beats = score.beats_per_bar
    figure = rng.choice(("block", "broken", "stride", "offbeat"))
    notes: list[tuple[float, float, int, int]] = []
    for bar, chord in enumerate(score.chords):
        tones = [48 + tone if tone < 7 else 36 + tone for tone in list_pitch_classes(chord)]
        root, start = min(tones) - 12, bar * beats
        if figure == "block":
            notes += [(start, beats * 0.95, pitch, 72) for pitch in (root, *tones)]
        elif figure == "broken":
            cycle = [root, *sorted(tones)]
            notes += [
                (start + step / 2, 0.9, cycle[step % len(cycle)], 70) for step in range(beats * 2)
            ]
        elif figure == "stride":
            for beat in range(beats):
                chosen = [root] if beat % 2 == 0 else tones
                notes += [(start + beat, 0.6, pitch, 74) for pitch in chosen]
        else:
            late = 0.66 if swing else 0.5
            notes += [(start, 0.9, root, 80)]
            notes += [(start + b + late, 0.35, p, 72) for b in range(beats) for p in tones]
    return notes


def write_bells(
    rng: random.Random, score: Score, tonic: int
) -> list[tuple[float, float, int, int]]:
    """Return church bells: a tolling low bell, change-ringing rows, or a slow carillon tune."""
    beats, kind = score.beats_per_bar, rng.choice(("toll", "changes", "carillon"))
    row = [60 + tonic % 12 - (12 if tonic > 6 else 0) + step for step in (12, 11, 9, 7, 5, 4, 2, 0)]
    notes: list[tuple[float, float, int, int]] = []
    for bar, chord in enumerate(score.chords):
        start, tones = bar * beats, list_pitch_classes(chord)
        if kind == "toll":
            notes.append((start, 4.0, 48 + tones[0], 110))
            if rng.random() < 0.6:
                notes.append((start + beats / 2, 3.0, 60 + rng.choice(tones), 88))
        elif kind == "changes":
            notes += [(start + i * beats / 8, 2.0, pitch, 96) for i, pitch in enumerate(row)]
            swap = rng.randrange(bar % 2, 7, 2)
            row[swap], row[swap + 1] = row[swap + 1], row[swap]
        else:
            notes.append((start, 3.0, 48 + tones[0], 92))
            for beat in range(beats):
                if rng.random() < 0.75:
                    notes.append((start + beat, 1.5, 60 + rng.choice(tones), 92))
    return notes


def can_play_chords(program: int) -> bool:
    """Return whether one player of this instrument can play melody and chords at once."""
    return program in POLYPHONIC
