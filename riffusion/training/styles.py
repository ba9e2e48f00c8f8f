"""The styles the corpus is rendered in: plain data.

Grooves are named ``library:groove`` as the accompaniment generator MMA spells them, because the
same name exists in several of its libraries. Progressions are scale degrees, one bar each:
``1m7`` is a minor seventh on the tonic, ``b6`` a major triad on the flat sixth.
"""

from __future__ import annotations

from dataclasses import dataclass

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
HARMONIC_MINOR = (0, 2, 3, 5, 7, 8, 11)
DORIAN = (0, 2, 3, 5, 7, 9, 10)
MAJOR_PENTATONIC = (0, 2, 4, 7, 9)
MINOR_PENTATONIC = (0, 3, 5, 7, 10)
BLUES = (0, 3, 5, 6, 7, 10)

BLUES_FORMS = (
    "17 17 17 17 47 47 17 17 57 47 17 57",
    "17 47 17 17 47 47 17 17 57 47 17 57",
    "1m7 1m7 1m7 1m7 4m7 4m7 1m7 1m7 b67 57 1m7 57",
)
JAZZ_FORMS = (
    "2m7 57 1M7 67 2m7 57 1M7 1M7",
    "1M7 67 2m7 57 3m7 67 2m7 57",
    "2m7 57 1M7 4M7 7m7b5 37 6m7 67",
    "1m7 4m7 1m7 57 2m7b5 57 1m7 1m7",
)
POP_FORMS = ("1 5 6m 4", "1 6m 4 5", "6m 4 1 5", "1 4 5 4", "1 3m 4 5", "1m b6 b3 b7")
MINOR_FORMS = ("1m b6 b3 b7", "1m 4m 1m 5", "1m b7 b6 b7", "1m b7 4m 1m", "1m b3 b7 4")
FUNK_FORMS = ("1m7 1m7 47 47", "17 17 17 17", "1m9 47 1m9 47", "1m7 b37 47 1m7")
CLASSICAL_FORMS = ("1 4 5 1 6m 2m 5 1", "1 5 6m 3m 4 1 4 5", "1m 4m 57 1m b6 2m7b5 57 1m")
STATIC_FORMS = ("1m 1m 1m 1m", "1m 1m b7 b7", "1m b6 1m b7", "1 1 4 1")
ROCK_FORMS = ("1 b7 4 1", "1m b7 b6 b7", "1 4 5 4", "1m b3 b7 4")
COUNTRY_FORMS = ("1 1 4 1 1 5 1 1", "1 4 1 5", "1 5 4 1")


@dataclass(frozen=True)
class Style:
    """One style. ``words`` are what people call it, ``moods`` adjectives that fit it.

    ``bpm`` is (slowest, fastest); ``leads`` are General MIDI programs; ``liveliness`` is the
    chance of a melody note on a beat; ``extra`` adds tracks to grooves that have only drums.
    """

    name: str
    words: tuple[str, ...]
    moods: tuple[str, ...]
    grooves: tuple[str, ...]
    bpm: tuple[int, int]
    forms: tuple[str, ...]
    scale: tuple[int, ...]
    leads: tuple[int, ...]
    liveliness: float = 0.6
    swing: bool = False
    extra: str = ""


def _part(kind: str, voice: str, octave: int, sequence: str) -> str:
    body = f"Voice {voice}\nOctave {octave}\nSequence {{{sequence}}}\n"
    return f"Begin {kind}\n{body}End\n"


REGGAE_BAND = (
    _part("Chord-Skank", "CleanGuitar", 5, "2 16 90; 4 16 90")
    + _part("Bass-Reggae", "FingeredBass", 3, "1 8 1 110; 2.5 8 1 90; 3 8 5 100; 4 8 3 85")
    + _part("Chord-Organ", "Organ2", 5, "1.5 16 70; 2.5 16 70; 3.5 16 70; 4.5 16 70")
)
AFROBEAT_BAND = (
    _part(
        "Bass-Afro",
        "FingeredBass",
        3,
        "1 8 1 110; 1.75 16 1 90; 2.5 8 5 95; 3.5 8 1 100; 4 8 3 85",
    )
    + _part(
        "Arpeggio-Guitar",
        "MutedGuitar",
        5,
        "1 16 90; 1.5 16 80; 1.75 16 85; 2.5 16 90; 3 16 80; 3.75 16 85; 4.5 16 80",
    )
    + _part("Chord-Horns", "BrassSection", 5, "1 8 100; 2.5 8 90; 4.5 8 90")
)
DRUM_AND_BASS_BAND = _part(
    "Bass-Sub", "SynthBass1", 2, "1 4 1 115; 2.5 8 1 100; 3.5 4 5 105"
) + _part("Chord-Pad", "WarmPad", 5, "1 1 60")
HIP_HOP_BAND = _part("Bass-Hip", "FingeredBass", 2, "1 4 1 110; 2.75 8 1 95; 3.5 8 5 95") + _part(
    "Chord-Keys", "ElectricPiano1", 5, "1 4 75; 2.5 4 70"
)
METAL_BAND = _part(
    "Chord-Chug",
    "DistortionGuitar",
    4,
    "1 8 110; 1.5 8 90; 2 8 100; 2.5 8 90; 3 8 105; 3.5 8 90; 4 8 100",
) + _part("Bass-Chug", "PickedBass", 2, "1 8 1 110; 2 8 1 100; 3 8 1 105; 4 8 5 100")

STYLES: tuple[Style, ...] = (
    Style(
        "blues",
        ("blues", "12-bar blues", "bluesy groove", "slow blues", "delta blues"),
        ("soulful", "gritty", "smoky", "sad"),
        ("stdlib:Blues", "casio:Blues", "stdlib:SlowBlues", "stdlib:ShuffleBoggie"),
        (65, 125),
        BLUES_FORMS,
        BLUES,
        (29, 27, 26, 25, 22, 0, 66),
        swing=True,
    ),
    Style(
        "jazz",
        ("jazz", "jazz trio", "cool jazz", "jazzy tune", "lounge jazz", "bebop"),
        ("smooth", "elegant", "cool", "late night"),
        ("yamaha:JazzTrioMainA", "stdlib:Evansish", "stdlib:NiteJazz", "stdlib:JazzGuitar"),
        (95, 170),
        JAZZ_FORMS,
        MAJOR,
        (0, 0, 66, 65, 56, 26, 11, 71),
        swing=True,
    ),
    Style(
        "swing",
        ("swing", "big band", "swing jazz", "1940s dance band"),
        ("swinging", "lively", "brassy", "joyful"),
        ("stdlib:SwingWalk", "stdlib:EasySwingWalk", "stdlib:BigBand", "casio:MiddleBigBand"),
        (120, 180),
        JAZZ_FORMS,
        MAJOR,
        (66, 65, 56, 57, 71, 0),
        swing=True,
    ),
    Style(
        "funk",
        ("funk", "funky groove", "funky jam", "70s funk", "funky"),
        ("groovy", "tight", "sweaty", "funky"),
        ("stdlib:BVFunk", "casio:Funk1", "casio:Funk2", "kara:Kfunk1A"),
        (92, 120),
        FUNK_FORMS,
        DORIAN,
        (28, 7, 61, 65, 0, 4, 16, 66),
    ),
    Style(
        "bossa nova",
        ("bossa nova", "bossa", "brazilian lounge", "latin jazz"),
        ("relaxed", "breezy", "romantic", "gentle"),
        ("stdlib:BossaNova", "kara:kbossaA", "yamaha:JazzBossaA"),
        (105, 150),
        JAZZ_FORMS,
        MAJOR,
        (73, 24, 65, 0, 66),
    ),
    Style(
        "samba",
        ("samba", "brazilian carnival", "brazilian samba", "batucada"),
        ("festive", "sunny", "dancing"),
        ("stdlib:Samba", "stdlib:SambaPlus"),
        (95, 125),
        JAZZ_FORMS,
        MAJOR,
        (73, 24, 56, 0),
    ),
    Style(
        "reggae",
        ("reggae", "dub", "jamaican groove", "roots reggae"),
        ("laid-back", "sunny", "stoned"),
        ("zoom:REGG02", "zoom:REGG01"),
        (66, 88),
        (*MINOR_FORMS, "1 4 1 5"),
        MINOR_PENTATONIC,
        (22, 56, 17, 66),
        liveliness=0.4,
        extra=REGGAE_BAND,
    ),
    Style(
        "house",
        ("house", "deep house", "dance music", "electronic beats", "club music", "edm"),
        ("energetic", "hypnotic", "uplifting"),
        ("casio:House", "casio:LatinHouse", "casio:Dance1", "casio:Dance2"),
        (116, 130),
        MINOR_FORMS,
        MINOR_PENTATONIC,
        (81, 80, 4, 0),
        liveliness=0.5,
    ),
    Style(
        "techno",
        (
            "techno",
            "electronic beats",
            "rave",
            "electronic music",
            "electro",
            "minimal techno",
            "warehouse techno",
        ),
        ("driving", "dark", "pulsing", "mechanical"),
        ("casio:Techno", "alexis:TeamTechno", "casio:Rave"),
        (120, 145),
        STATIC_FORMS,
        MINOR_PENTATONIC,
        (81, 80, 62),
        liveliness=0.7,
    ),
    Style(
        "trance",
        ("trance", "eurodance", "electronic trance", "synth anthem"),
        ("euphoric", "uplifting", "soaring"),
        ("stdlib:Trance", "casio:Trance1", "casio:Trance2"),
        (128, 142),
        MINOR_FORMS,
        MINOR,
        (81, 90, 80),
        liveliness=0.8,
    ),
    Style(
        "drum and bass",
        ("drum and bass", "jungle", "dnb", "breakbeat"),
        ("frantic", "fast", "urban"),
        ("zoom:DnB01", "zoom:DnB02", "zoom:DnB03"),
        (155, 178),
        STATIC_FORMS + MINOR_FORMS,
        MINOR_PENTATONIC,
        (88, 81, 4),
        liveliness=0.3,
        extra=DRUM_AND_BASS_BAND,
    ),
    Style(
        "hip hop",
        ("hip hop", "hip hop beat", "boom bap", "lofi beat", "rap beat", "trip hop"),
        ("chill", "moody", "laid-back"),
        ("alexis:HipHop", "casio:Hip-Hop", "casio:TripHop", "zoom:HIP03", "zoom:HIP07"),
        (76, 98),
        MINOR_FORMS,
        MINOR_PENTATONIC,
        (4, 11, 73, 0),
        liveliness=0.35,
    ),
    Style(
        "ambient",
        ("ambient", "ambient soundscape", "drone", "meditation music", "new age"),
        ("dreamy", "calm", "atmospheric", "spacious"),
        ("casio:Ambient1", "casio:Ambient2", "casio:Ambient3"),
        (62, 100),
        MINOR_FORMS + POP_FORMS,
        MINOR_PENTATONIC,
        (88, 89, 91, 11, 95),
        liveliness=0.25,
    ),
    Style(
        "rock",
        ("rock", "rock band", "indie rock", "garage rock", "classic rock"),
        ("energetic", "raw", "loud"),
        ("pflib:rock1A", "casio:Rock1", "stdlib:BasicRock", "casio:Rock2"),
        (98, 142),
        ROCK_FORMS,
        MINOR_PENTATONIC,
        (30, 29, 27, 16),
    ),
    Style(
        "heavy metal",
        ("heavy metal", "metal", "thrash metal", "hard rock"),
        ("aggressive", "heavy", "brutal"),
        ("casio:HeavyMetal", "pflib:metal1A", "zoom:MTL01"),
        (120, 165),
        MINOR_FORMS,
        MINOR_PENTATONIC,
        (30, 29),
        liveliness=0.8,
        extra=METAL_BAND,
    ),
    Style(
        "afrobeat",
        ("afrobeat", "west african groove", "african funk", "afro groove", "lagos groove"),
        ("hypnotic", "groovy", "polyrhythmic"),
        ("zoom:AFRO01", "zoom:AFRO02", "zoom:AFRO03"),
        (98, 122),
        FUNK_FORMS,
        DORIAN,
        (66, 67, 16, 56),
        liveliness=0.45,
        extra=AFROBEAT_BAND,
    ),
    Style(
        "salsa",
        ("salsa", "latin dance", "cuban son", "mambo"),
        ("fiery", "festive", "hot"),
        ("yamaha:Salsa1MainA", "stdlib:Salsa", "stdlib:Mambo"),
        (88, 112),
        ("1m 4m 57 1m", "1m b7 b6 57"),
        HARMONIC_MINOR,
        (56, 73, 57, 0),
    ),
    Style(
        "bluegrass",
        ("bluegrass", "country", "country banjo", "americana", "hoedown"),
        ("cheerful", "rustic", "homespun"),
        ("stdlib:BlueGrass", "stdlib:HillCountry", "stdlib:WesternSwing"),
        (100, 142),
        COUNTRY_FORMS,
        MAJOR_PENTATONIC,
        (105, 110, 25, 22),
        liveliness=0.85,
    ),
    Style(
        "folk",
        ("folk", "acoustic folk", "singer-songwriter", "campfire song", "acoustic guitar song"),
        ("warm", "honest", "tender"),
        ("stdlib:Folk", "stdlib:FolkBallad", "stdlib:GuitarBallad"),
        (72, 118),
        POP_FORMS + COUNTRY_FORMS,
        MAJOR,
        (24, 25, 73, 22, 40),
        liveliness=0.5,
    ),
    Style(
        "pop",
        ("pop", "80s pop", "synth pop", "radio pop", "chart pop"),
        ("bright", "catchy", "happy"),
        ("casio:80sPop", "casio:Pop", "casio:ElectricPop", "casio:DancePop1"),
        (92, 130),
        POP_FORMS,
        MAJOR,
        (80, 4, 27, 0, 50),
    ),
    Style(
        "disco",
        ("disco", "70s disco", "soul", "motown", "nu disco"),
        ("glamorous", "groovy", "happy"),
        ("casio:DiscoSoul", "casio:Soul", "kara:8beatmotownA"),
        (100, 126),
        MINOR_FORMS + POP_FORMS,
        DORIAN,
        (61, 48, 4, 66),
    ),
    Style(
        "piano ballad",
        ("piano ballad", "ballad", "love song", "soft piano", "power ballad"),
        ("melancholic", "romantic", "tender", "sad"),
        ("stdlib:PianoBallad", "casio:PopBallad", "stdlib:PopBallad"),
        (60, 88),
        POP_FORMS + MINOR_FORMS,
        MAJOR,
        (0, 40, 66, 73, 48),
        liveliness=0.4,
    ),
    Style(
        "ragtime",
        ("ragtime", "saloon piano", "stride piano", "silent film piano"),
        ("playful", "comic", "bouncy"),
        ("stdlib:RagTime", "stdlib:BoggieWoggie"),
        (90, 140),
        COUNTRY_FORMS + POP_FORMS,
        MAJOR,
        (3, 0, 71),
        liveliness=0.8,
    ),
    Style(
        "gypsy jazz",
        ("gypsy jazz", "jazz manouche", "hot club swing"),
        ("spirited", "nostalgic", "parisian"),
        ("stdlib:GypsyJazz", "stdlib:GypsyJazzFiddle"),
        (120, 180),
        ("1m 1m 4m 1m 57 57 1m 57", *JAZZ_FORMS),
        HARMONIC_MINOR,
        (24, 40, 21, 71),
        liveliness=0.8,
        swing=True,
    ),
    Style(
        "church organ",
        ("church organ", "hymn", "organ music", "sacred music", "cathedral organ"),
        ("solemn", "majestic", "sacred"),
        ("stdlib:Hymn", "stdlib:HymnWalk"),
        (62, 96),
        CLASSICAL_FORMS,
        MAJOR,
        (19,),
        liveliness=0.3,
    ),
    Style(
        "church bells",
        (
            "church bells",
            "bells",
            "bell tower",
            "cathedral bells",
            "ringing bells",
            "carillon",
            "chimes",
        ),
        ("solemn", "echoing", "distant", "festive"),
        (),
        (60, 110),
        CLASSICAL_FORMS + STATIC_FORMS,
        MAJOR,
        (14,),
        liveliness=0.75,
    ),
    Style(
        "music box",
        ("music box", "lullaby", "toy box melody", "celesta tune"),
        ("sweet", "childlike", "sleepy"),
        ("stdlib:Lullaby", "stdlib:Lullaby1"),
        (66, 104),
        POP_FORMS,
        MAJOR,
        (10, 8, 9),
        liveliness=0.6,
    ),
    Style(
        "tango",
        ("tango", "argentine tango", "milonga"),
        ("dramatic", "passionate", "tense"),
        ("stdlib:Tango", "stdlib:LightTango"),
        (104, 128),
        ("1m 4m 57 1m b6 2m7b5 57 1m",),
        HARMONIC_MINOR,
        (40, 23, 0),
    ),
    Style(
        "waltz",
        ("waltz", "viennese waltz", "ballroom waltz", "musette"),
        ("graceful", "nostalgic", "elegant"),
        ("stdlib:Waltz", "stdlib:VieneseWaltz", "stdlib:FrenchWaltz"),
        (110, 175),
        CLASSICAL_FORMS,
        MAJOR,
        (40, 21, 71, 0),
        liveliness=0.4,
    ),
    Style(
        "ska",
        ("ska", "ska punk", "two tone"),
        ("upbeat", "bouncy", "cheeky"),
        ("stdlib:Ska", "stdlib:Ska1"),
        (118, 160),
        POP_FORMS,
        MAJOR_PENTATONIC,
        (56, 57, 16),
    ),
)
