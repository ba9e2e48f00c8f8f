"""Six recordings made by code in ways that the corpus is not, with the beat and key known.

They stand for what people record: plucked strings, an FM bass with drum-machine sounds, a table
tapped by hand, a waltz, a slow ballad and a riff after silence. Players are a few milliseconds off,
microphones hiss, and the recordings start and stop anywhere in the bar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from riffusion.audio.waveform import Waveform

Samples = npt.NDArray[np.float64]
REFERENCE_HZ, REFERENCE_PITCH = 440.0, 69


@dataclass(frozen=True)
class KnownRecording:
    """A recording and what is true of it: ``downbeat_s`` is the time of any bar line.

    ``key`` is empty where nothing in it has a pitch.
    """

    name: str
    sound: Waveform
    bpm: float
    beats_per_bar: int
    downbeat_s: float
    key: str = ""


@dataclass
class Take:
    """What is played into one recording, at positions in beats of a steady tempo.

    ``late_s`` is the standard deviation of how far the player is from the beat, in seconds.
    """

    bpm: float
    beats: float
    rate: int
    late_s: float
    seed: int
    samples: Samples = field(init=False)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.samples = np.zeros(round((self.beats * 60 / self.bpm + 3) * self.rate))
        self.rng = np.random.default_rng(self.seed)

    def play(self, beat: float, sound: Samples, gain: float = 1.0, after_s: float = 0.0) -> None:
        """Add a sound at a beat, ``after_s`` seconds later, as early or late as the player is."""
        at_s = beat * 60 / self.bpm + after_s + self.rng.normal(0, self.late_s)
        start = max(0, round(at_s * self.rate))
        part = sound[: max(0, len(self.samples) - start)]
        self.samples[start : start + len(part)] += gain * part

    def cut(
        self, name: str, metre: int, key: str, starts_s: float, **room: float
    ) -> KnownRecording:
        """Return the recording from ``starts_s`` (before 0: after silence) to the last beat.

        ``room`` has the standard deviation of the ``hiss``, and ``echo``, the part that comes back.
        """
        dry = self.samples / np.abs(self.samples).max()
        wet = dry + room.get("echo", 0.0) * make_echo(dry, self.rate, self.rng)
        stop = round(self.beats * 60 / self.bpm * self.rate)
        lead = np.zeros(max(0, round(-starts_s * self.rate)))
        played = np.concatenate([lead, wet[max(0, round(starts_s * self.rate)) : stop]])
        hissing = 0.6 * played / np.abs(played).max()
        hissing = hissing + self.rng.normal(0, room.get("hiss", 0.001), len(played))
        bar_s = metre * 60 / self.bpm
        return KnownRecording(
            name, Waveform(hissing[None], self.rate), self.bpm, metre, bar_s - starts_s, key
        )


def to_hz(pitch: float) -> float:
    """Return the frequency of a MIDI pitch."""
    return float(REFERENCE_HZ * 2 ** ((pitch - REFERENCE_PITCH) / 12))


def make_echo(dry: Samples, rate: int, rng: np.random.Generator) -> Samples:
    """Return the sound of a room of half a second: noise that decays, convolved."""
    time_s = np.arange(round(0.5 * rate)) / rate
    response = rng.normal(size=len(time_s)) * np.exp(-time_s / 0.12)
    size = len(dry) + len(response)
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(response, size), size)[: len(dry)]
    return np.asarray(wet / np.abs(wet).max())


def pluck(pitch: float, rate: int, length_s: float, rng: np.random.Generator) -> Samples:
    """Return a plucked string by the algorithm of Karplus and Strong (1983)."""
    period = max(2, round(rate / to_hz(pitch)))
    rows = round(length_s * rate / period) + 1
    string = rng.uniform(-1, 1, period)
    turns = [string]
    for _ in range(rows):
        string = 0.997 * 0.5 * (string + np.roll(string, 1))
        turns.append(string)
    return np.asarray(np.concatenate(turns)[: round(length_s * rate)])


def fm_tone(pitch: float, rate: int, length_s: float) -> Samples:
    """Return a bass tone by frequency modulation, bright at first."""
    time_s = np.arange(round(length_s * rate)) / rate
    angle = 2 * np.pi * to_hz(pitch) * time_s
    decay = np.exp(-time_s / 0.25)
    return np.asarray(np.sin(angle + 3 * decay * np.sin(2 * angle)) * decay)


def piano_tone(pitch: float, rate: int, length_s: float) -> Samples:
    """Return ten slightly sharp partials that decay, the high ones sooner."""
    time_s = np.arange(round(length_s * rate)) / rate
    tone = np.zeros(len(time_s))
    for partial in range(1, 11):
        hz = partial * to_hz(pitch) * np.sqrt(1 + 0.0004 * partial**2)
        if hz < rate / 2:
            tone += np.sin(2 * np.pi * hz * time_s) * np.exp(-time_s * partial / 1.2) / partial
    return np.asarray(tone * np.minimum(1, time_s / 0.004))


def reed_tone(pitch: float, rate: int, length_s: float) -> Samples:
    """Return an accordion's tone: two saws a little out of tune, with a soft attack."""
    time_s = np.arange(round(length_s * rate)) / rate
    waves = [2 * np.mod(time_s * to_hz(pitch) * detune, 1) - 1 for detune in (0.998, 1.003)]
    ends = np.minimum(1, np.minimum(time_s / 0.02, (length_s - time_s) / 0.03))
    return np.asarray(sum(waves) * ends)


def drum(
    rate: int, hz: float, sweep: float, decay_s: float, noise: Samples | None = None
) -> Samples:
    """Return a tone that falls by ``sweep`` times ``hz``, or ``noise``, that decays."""
    time_s = np.arange(round(5 * decay_s * rate)) / rate
    if noise is not None:
        return np.asarray(noise[: len(time_s)] * np.exp(-time_s / decay_s))
    angle = 2 * np.pi * hz * (time_s + sweep * 0.03 * (1 - np.exp(-time_s / 0.03)))
    return np.asarray(np.sin(angle) * np.exp(-time_s / decay_s))


def strum_guitar() -> KnownRecording:
    """Return a guitar strummed through G D Em C; it starts in the middle of a bar, in mono."""
    take = Take(104.3, 56, 22050, 0.006, 1)
    chords = [
        (43, 47, 50, 55, 59, 67),
        (50, 57, 62, 66),
        (40, 47, 52, 55, 59, 64),
        (48, 52, 55, 60),
    ]
    for bar in range(14):
        for eighth, gain in ((0, 1.0), (2, 0.6), (3, 0.5), (5, 0.5), (6, 0.7), (7, 0.5)):
            strings = chords[bar % 4]
            for place, pitch in enumerate(strings if eighth % 2 == 0 else strings[:2:-1]):
                sound = pluck(pitch, take.rate, 0.5, take.rng)
                take.play(4 * bar + eighth / 2, sound, gain, 0.006 * place)
    return take.cut("strummed guitar", 4, "G", 1.43, hiss=0.004, echo=0.1)


def play_drum_machine() -> KnownRecording:
    """Return an FM bass in A minor over a kick, claps and hats, after a third of a second."""
    take = Take(140.5, 64, 48000, 0.0, 2)
    noise = take.rng.normal(size=take.rate)
    bright = np.diff(noise, prepend=0)
    kick, clap = drum(take.rate, 52, 3, 0.18), drum(take.rate, 0, 0, 0.07, noise)
    hat = drum(take.rate, 0, 0, 0.02, bright)
    for bar in range(16):
        root = (33, 33, 29, 31)[bar % 4]
        for beat in (0, 1.5, 2.75) if bar % 2 else (0, 2.5):
            take.play(4 * bar + beat, kick, 1.0)
        for beat in (1, 3):
            take.play(4 * bar + beat, clap, 0.35)
        for half in range(8 if bar % 4 < 3 else 6):
            take.play(4 * bar + half / 2, hat, 0.2 if half % 2 else 0.3)
        for beat, step in ((0, 0), (0.75, 0), (1.5, 12), (2.5, 7), (3.25, 0), (3.5, 3)):
            take.play(4 * bar + beat, fm_tone(root + step, take.rate, 0.3), 0.5)
    return take.cut("FM bass and drum machine", 4, "Am", -0.31)


def tap_table() -> KnownRecording:
    """Return a table tapped with both hands: low, high, high-high, high."""
    take = Take(91.7, 32, 44100, 0.009, 3)
    noise = take.rng.normal(size=take.rate)
    low, high = drum(take.rate, 95, 0.4, 0.05), drum(take.rate, 0, 0, 0.008, noise)
    for bar in range(8):
        for beat, gain in ((0, 1.0), (2.5, 0.5)):
            take.play(4 * bar + beat, low, gain)
        for beat, gain in ((1, 0.4), (2, 0.2), (3, 0.45), (3.5, 0.2)):
            take.play(4 * bar + beat, high, gain * take.rng.uniform(0.7, 1.1))
    return take.cut("tapped table", 4, "", 0.4, hiss=0.006, echo=0.15)


def play_waltz() -> KnownRecording:
    """Return an accordion's waltz in D minor, with a tune."""
    take = Take(138.0, 72, 44100, 0.008, 4)
    chords = [(38, (57, 62, 65)), (43, (58, 62, 67)), (45, (57, 61, 67)), (38, (57, 62, 65))]
    tune = (74, 77, 76, 74, 70, 74, 73, 69)
    for bar in range(24):
        root, chord = chords[bar % 4]
        take.play(3 * bar, reed_tone(root, take.rate, 0.38), 0.8)
        for beat in (1, 2):
            for pitch in chord:
                take.play(3 * bar + beat, reed_tone(pitch, take.rate, 0.2), 0.25)
        first = tune[bar % 8]
        take.play(3 * bar, reed_tone(first, take.rate, 0.8), 0.35)
        take.play(3 * bar + 2, reed_tone(first - 2 if bar % 2 else first, take.rate, 0.35), 0.35)
    return take.cut("accordion waltz", 3, "Dm", 0.9, hiss=0.002, echo=0.2)


def play_ballad() -> KnownRecording:
    """Return a slow ballad of broken piano chords in E flat."""
    take = Take(66.0, 32, 48000, 0.01, 5)
    chords = [(39, 55, 58, 63), (36, 55, 58, 63), (44, 56, 60, 63), (46, 56, 58, 62)]
    for bar in range(8):
        bass, *upper = chords[bar % 4]
        take.play(4 * bar, piano_tone(bass, take.rate, 3.5), 1.0)
        take.play(4 * bar + 2, piano_tone(bass + 12, take.rate, 1.7), 0.5)
        for eighth, voice in enumerate((0, 1, 2, 1, 0, 1, 2, 1)):
            pitch = upper[voice] + (12 if eighth == 6 else 0)
            take.play(4 * bar + eighth / 2, piano_tone(pitch, take.rate, 1.5), 0.4)
        take.play(4 * bar + (0 if bar % 2 else 1), piano_tone(75 - bar % 3, take.rate, 2.5), 0.5)
    return take.cut("piano ballad", 4, "Eb", 2.1, hiss=0.001, echo=0.3)


def play_riff() -> KnownRecording:
    """Return a distorted riff in E minor after silence and a pickup of three eighths."""
    take = Take(122.0, 52, 22050, 0.006, 6)
    riff = ((0, 40), (1, 40), (1.5, 43), (2, 45), (3, 40), (3.5, 38))
    for eighth, pitch in enumerate((38, 40, 43)):
        take.play(2.5 + eighth / 2, _power_chord(pitch, take, 0.24), 0.8)
    for bar in range(1, 13):
        for beat, pitch in riff if bar % 4 else ((0, 48), (1, 48), (2, 50), (3, 50), (3.5, 47)):
            take.play(4 * bar + beat, _power_chord(pitch, take, 0.35), 1.0)
    return take.cut("riff with a pickup", 4, "Em", -0.47, hiss=0.003)


def _power_chord(pitch: int, take: Take, length_s: float) -> Samples:
    """Return root, fifth and octave of a plucked string through a clipping amplifier."""
    strings = [pluck(pitch + step, take.rate, length_s, take.rng) for step in (0, 7, 12)]
    shortest = min(map(len, strings))
    return np.asarray(np.tanh(4 * sum(string[:shortest] for string in strings)))


MAKERS: Sequence[Callable[[], KnownRecording]] = (
    strum_guitar,
    play_drum_machine,
    tap_table,
    play_waltz,
    play_ballad,
    play_riff,
)
