"""General MIDI programs by the names people use for them."""

from __future__ import annotations

DRUM_CHANNEL = 9
BASS_PROGRAMS = range(32, 40)

NAMES: tuple[str, ...] = tuple(
    name.strip()
    for name in """
    grand piano|bright piano|electric grand piano|honky-tonk piano|electric piano|
    FM electric piano|harpsichord|clavinet|celesta|glockenspiel|music box|vibraphone|
    marimba|xylophone|tubular bells|dulcimer|drawbar organ|percussive organ|rock organ|
    church organ|reed organ|accordion|harmonica|bandoneon|nylon-string guitar|steel-
    string guitar|jazz guitar|clean electric guitar|muted electric guitar|overdriven guitar|
    distorted electric guitar|guitar harmonics|upright bass|electric bass|
    picked electric bass|fretless bass|slap bass|slap bass|synth bass|synth bass|violin|
    viola|cello|contrabass|tremolo strings|pizzicato strings|harp|timpani|strings|
    slow strings|synth strings|synth strings|choir aahs|voice oohs|synth voice|
    orchestra hit|trumpet|trombone|tuba|muted trumpet|french horn|brass section|
    synth brass|synth brass|soprano saxophone|alto saxophone|tenor saxophone|
    baritone saxophone|oboe|english horn|bassoon|clarinet|piccolo|flute|recorder|
    pan flute|blown bottle|shakuhachi|whistle|ocarina|square lead synth|
    sawtooth lead synth|calliope synth|chiff lead|charang lead|voice lead|fifths lead|
    bass and lead synth|new age pad|warm pad|polysynth pad|choir pad|bowed pad|
    metallic pad|halo pad|sweep pad|rain pad|soundtrack pad|crystal synth|
    atmosphere synth|brightness synth|goblins pad|echoes pad|sci-fi synth|sitar|banjo|
    shamisen|koto|kalimba|bagpipe|fiddle|shanai|tinkle bell|agogo|steel drums|
    woodblock|taiko drum|melodic tom|synth drum|reverse cymbal|guitar fret noise|
    breath noise|seashore|bird|telephone|helicopter|applause|gunshot""".replace("\n", "").split("|")
)

# The words that people type for families of programs, beside the exact names.
EVERYDAY: dict[str, tuple[range, ...]] = {
    "piano": (range(4),),
    "keys": (range(4, 6),),
    "rhodes": (range(4, 5),),
    "bells": (range(14, 15), range(9, 10), range(112, 113)),
    "church bells": (range(14, 15),),
    "organ": (range(16, 21),),
    "guitar": (range(24, 32),),
    "acoustic guitar": (range(24, 26),),
    "electric guitar": (range(26, 31),),
    "distorted guitar": (range(29, 31),),
    "bass": (range(32, 40),),
    "strings": (range(48, 52),),
    "choir": (range(52, 55),),
    "brass": (range(61, 64),),
    "horns": (range(61, 64),),
    "sax": (range(64, 68),),
    "saxophone": (range(64, 68),),
    "synth": (range(80, 88),),
    "synth lead": (range(80, 88),),
    "synth pad": (range(88, 96),),
    "vibes": (range(11, 12),),
    "fiddle": (range(40, 41), range(110, 111)),
    "electric keys": (range(4, 6),),
    "wurlitzer": (range(4, 5),),
    "hammond": (range(16, 18),),
    "hammond organ": (range(16, 18),),
    "pipe organ": (range(19, 20),),
    "squeezebox": (range(21, 24),),
    "blues harp": (range(22, 23),),
    "spanish guitar": (range(24, 25),),
    "classical guitar": (range(24, 25),),
    "lead guitar": (range(27, 31),),
    "fuzz guitar": (range(29, 31),),
    "double bass": (range(32, 33),),
    "bass guitar": (range(33, 38),),
    "orchestra strings": (range(48, 52),),
    "voices": (range(52, 55),),
    "singing choir": (range(52, 54),),
    "horn section": (range(61, 62),),
    "woodwind": (range(68, 76),),
    "woodwinds": (range(68, 76),),
    "mallets": (range(11, 14),),
    "steel pan": (range(114, 115),),
    "steel drum": (range(114, 115),),
    "thumb piano": (range(108, 109),),
    "bagpipes": (range(109, 110),),
    "tin whistle": (range(78, 79),),
    "synthesizer": (range(80, 96),),
    "pads": (range(88, 96),),
}

POLYPHONIC = frozenset([*range(32), 46, 48, 49, 50, 51, *range(88, 96), 105, 107, 108])
LOW_VOICED = frozenset([23, 26, 28, 29, 30, 42, 57, 66, 67])


def everyday_names(program: int) -> tuple[str, ...]:
    """Return the exact name of a General MIDI program and the looser names of its families."""
    loose = (word for word, ranges in EVERYDAY.items() if any(program in r for r in ranges))
    return (NAMES[program], *loose)


# The names that listeners have for the lead instrument, by families that sound alike.
LEAD_PROGRAMS: dict[str, tuple[range, ...]] = {
    "piano": (range(4),),
    "electric piano": (range(4, 6), range(7, 8)),
    "mallets": (range(11, 14), range(108, 109), range(114, 115)),
    "bells": (range(8, 11), range(14, 15)),
    "organ": (range(16, 21),),
    "reeds": (range(21, 24),),
    "acoustic guitar": (range(24, 26),),
    "electric guitar": (range(26, 29),),
    "distorted guitar": (range(29, 31),),
    "strings": (range(40, 52), range(110, 111)),
    "voices": (range(52, 55),),
    "brass": (range(56, 64),),
    "saxophone": (range(64, 68),),
    "woodwind": (range(68, 80), range(109, 110), range(111, 112)),
    "synth": (range(80, 96),),
    "plucked": (range(6, 7), range(15, 16), range(104, 108)),
}
NO_LEAD = "none"
LEAD_FAMILIES: tuple[str, ...] = (*LEAD_PROGRAMS, NO_LEAD)


def lead_family(program: int | None) -> str:
    """Return the family of a lead program, or "none" where there is no lead."""
    if program is None:
        return NO_LEAD
    return next(
        (name for name, ranges in LEAD_PROGRAMS.items() if any(program in r for r in ranges)),
        NO_LEAD,
    )
