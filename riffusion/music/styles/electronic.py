"""Electronic music and hip hop."""

from __future__ import annotations

from riffusion.music.styles.style import (
    JAZZ_FORMS,
    MAJOR,
    MAJOR_PENTATONIC,
    MINOR,
    MINOR_FORMS,
    MINOR_PENTATONIC,
    POP_FORMS,
    STATIC_FORMS,
    Style,
    part,
)

DRUM_AND_BASS_BAND = part(
    "Bass-Sub", "SynthBass1", 2, "1 4 1 115; 2.5 8 1 100; 3.5 4 5 105"
) + part("Chord-Pad", "WarmPad", 5, "1 1 60")
HIP_HOP_BAND = part("Bass-Hip", "FingeredBass", 2, "1 4 1 110; 2.75 8 1 95; 3.5 8 5 95") + part(
    "Chord-Keys", "ElectricPiano1", 5, "1 4 75; 2.5 4 70"
)
TRIP_HOP_BAND = (
    part("Bass-Trip", "AcousticBass", 2, "1 4 1 110; 2.5 8 1 95; 3.75 8 5 90")
    + part("Chord-Trip", "RhodesPiano", 4, "1.5 2 70")
    + part("Chord-Haze", "SlowStrings", 5, "1 1 45")
)
LOFI_BAND = part("Bass-Lofi", "FingeredBass", 2, "1 4 1 100; 2.5 8 5 85; 3.5 4 1 90") + part(
    "Chord-Lofi", "RhodesPiano", 4, "1 2 72; 2.75 4 62; 4 8 58"
)
SYNTHWAVE_BAND = (
    part(
        "Bass-Wave",
        "SynthBass1",
        2,
        "1 8 1 105; 1.5 8 1 90; 2 8 1 100; 2.5 8 1 90; "
        "3 8 1 105; 3.5 8 1 90; 4 8 1 100; 4.5 8 1 90",
    )
    + part("Chord-Wave", "PolySynth", 5, "1 1 60")
    + part("Arpeggio-Wave", "SawWave", 5, "1 8 60 * 8")
)
CHIPTUNE_BAND = part(
    "Bass-Chip",
    "SquareWave",
    3,
    "1 8 1 80; 1.5 8 5 70; 2 8 1 80; 2.5 8 5 70; 3 8 1 80; 3.5 8 5 70; 4 8 1 80; 4.5 8 5 70",
) + part("Arpeggio-Chip", "SquareWave", 6, "1 16 55 * 16")
NEW_AGE_BAND = "Arpeggio Voice OrchestralHarp\n" + part("Chord-Mist", "WarmPad", 5, "1 1 60")

STYLES: tuple[Style, ...] = (
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
        ("trance", "electronic trance", "synth anthem"),
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
        ("hip hop", "hip hop beat", "boom bap", "rap beat"),
        ("chill", "moody", "laid-back"),
        ("alexis:HipHop", "casio:Hip-Hop", "zoom:HIP03", "zoom:HIP07"),
        (76, 98),
        MINOR_FORMS,
        MINOR_PENTATONIC,
        (4, 11, 73, 0),
        liveliness=0.35,
    ),
    Style(
        "ambient",
        ("ambient", "ambient soundscape", "drone", "meditation music"),
        ("dreamy", "calm", "atmospheric", "spacious"),
        ("casio:Ambient1", "casio:Ambient2", "casio:Ambient3"),
        (62, 100),
        MINOR_FORMS + POP_FORMS,
        MINOR_PENTATONIC,
        (88, 89, 91, 11, 95),
        liveliness=0.25,
    ),
    Style(
        "trip hop",
        ("trip hop", "downtempo", "chillout", "bristol sound"),
        ("dark", "smoky", "slow-motion", "moody"),
        ("casio:TripHop", "zoom:TRIP01", "zoom:TRIP02", "zoom:TRIP03"),
        (70, 96),
        STATIC_FORMS + MINOR_FORMS,
        MINOR_PENTATONIC,
        (4, 89, 59, 48),
        liveliness=0.3,
        extra=TRIP_HOP_BAND,
    ),
    Style(
        "lo-fi hip hop",
        ("lo-fi hip hop", "lofi", "lofi beat", "lo-fi beats", "chillhop", "beats to study to"),
        ("chill", "cozy", "sleepy", "nostalgic"),
        ("zoom:HIP01", "zoom:HIP05", "zoom:HIP10"),
        (68, 90),
        JAZZ_FORMS,
        MAJOR_PENTATONIC,
        (4, 11, 26, 0),
        liveliness=0.35,
        extra=LOFI_BAND,
    ),
    Style(
        "synthwave",
        ("synthwave", "retrowave", "80s synth", "outrun", "synth music"),
        ("neon", "nostalgic", "driving", "retro"),
        ("zoom:DANC01", "zoom:POP02", "zoom:08Beat03"),
        (84, 118),
        MINOR_FORMS,
        MINOR,
        (81, 80, 90, 62),
        liveliness=0.5,
        extra=SYNTHWAVE_BAND,
    ),
    Style(
        "chiptune",
        ("chiptune", "8-bit music", "video game music", "game boy music", "retro game"),
        ("bleepy", "playful", "frantic"),
        ("zoom:08Beat01", "zoom:08Beat05", "zoom:POP03"),
        (118, 168),
        POP_FORMS + MINOR_FORMS,
        MAJOR,
        (80,),
        liveliness=0.9,
        extra=CHIPTUNE_BAND,
    ),
    Style(
        "eurodance",
        ("eurodance", "90s dance", "dance pop", "club hit"),
        ("euphoric", "cheesy", "energetic"),
        ("casio:DancePop1", "casio:DancePop2", "casio:DancePop3", "casio:8BeatDance"),
        (122, 146),
        MINOR_FORMS + POP_FORMS,
        MINOR,
        (81, 80, 62, 0),
        liveliness=0.7,
    ),
    Style(
        "new age",
        ("new age", "spa music", "relaxation music", "healing music", "yoga music"),
        ("peaceful", "soothing", "floating", "calm"),
        ("stdlib:Arpeggio8", "stdlib:Arpeggio4", "stdlib:Arpeggio68"),
        (60, 96),
        POP_FORMS,
        MAJOR_PENTATONIC,
        (75, 46, 73, 88),
        liveliness=0.3,
        extra=NEW_AGE_BAND,
    ),
)
