"""Music of Africa and Asia."""

from __future__ import annotations

from riffusion.music.styles.style import (
    COUNTRY_FORMS,
    DORIAN,
    DOUBLE_HARMONIC,
    FUNK_FORMS,
    IN_SCALE,
    MAJOR_PENTATONIC,
    MODAL_FORMS,
    PHRYGIAN,
    PHRYGIAN_FORMS,
    POP_FORMS,
    STATIC_FORMS,
    Style,
    part,
)

AFROBEAT_BAND = (
    part(
        "Bass-Afro",
        "FingeredBass",
        3,
        "1 8 1 110; 1.75 16 1 90; 2.5 8 5 95; 3.5 8 1 100; 4 8 3 85",
    )
    + part(
        "Arpeggio-Guitar",
        "MutedGuitar",
        5,
        "1 16 90; 1.5 16 80; 1.75 16 85; 2.5 16 90; 3 16 80; 3.75 16 85; 4.5 16 80",
    )
    + part("Chord-Horns", "BrassSection", 5, "1 8 100; 2.5 8 90; 4.5 8 90")
)
MARIMBA_BAND = part(
    "Arpeggio-Bars", "Marimba", 5, "1 8 80; 1.5 8 70; 2.5 8 75; 3 8 80; 4 8 70; 4.5 8 70"
) + part("Bass-Bars", "Marimba", 3, "1 4 1 90; 2.5 8 5 85; 3.5 4 1 80")
ORIENTAL_BAND = part("Bass-Oud", "NylonGuitar", 3, "1 4 1 95; 2.5 8 5 80; 3 4 1 90") + part(
    "Chord-Strings", "SlowStrings", 5, "1 1 50"
)
DRONE_BAND = part("Bass-Drone", "Sitar", 3, "1 1 1 70; 3 2 5 60") + part(
    "Chord-Tanpura", "SweepPad", 4, "1 1 40"
)
KOTO_BAND = "Arpeggio Voice Koto\n" + part("Bass-Zen", "Koto", 3, "1 2 1 80")

STYLES: tuple[Style, ...] = (
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
        "marimba ensemble",
        ("marimba ensemble", "kalimba", "african marimba", "thumb piano", "xylophone music"),
        ("woody", "rippling", "joyful"),
        ("zoom:AFRO04", "zoom:AFRO05", "zoom:LATN01"),
        (92, 126),
        COUNTRY_FORMS + POP_FORMS,
        MAJOR_PENTATONIC,
        (12, 108, 13),
        liveliness=0.8,
        extra=MARIMBA_BAND,
    ),
    Style(
        "middle eastern",
        ("middle eastern", "arabic music", "oriental", "belly dance", "turkish"),
        ("mysterious", "hypnotic", "ornate"),
        ("zoom:MidE01", "zoom:MidE02", "zoom:MidE03", "zoom:MidE04"),
        (84, 124),
        PHRYGIAN_FORMS,
        DOUBLE_HARMONIC,
        (111, 24, 15, 68),
        liveliness=0.85,
        extra=ORIENTAL_BAND,
    ),
    Style(
        "indian sitar",
        ("indian sitar", "raga", "indian classical", "sitar music", "bollywood"),
        ("meditative", "droning", "mystical"),
        ("stdlib:Desert",),
        (70, 110),
        STATIC_FORMS[:1],
        PHRYGIAN,
        (104,),
        liveliness=0.85,
        extra=DRONE_BAND,
    ),
    Style(
        "japanese koto",
        ("japanese koto", "koto", "japanese traditional", "zen garden music", "shamisen"),
        ("serene", "delicate", "spacious"),
        ("stdlib:Arpeggio4", "stdlib:Arpeggio8"),
        (62, 92),
        MODAL_FORMS,
        IN_SCALE,
        (107, 77, 106),
        liveliness=0.45,
        extra=KOTO_BAND,
    ),
)
