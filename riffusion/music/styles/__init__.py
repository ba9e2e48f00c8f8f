"""The styles the corpus is rendered in: plain data, a family a file.

Grooves are named ``library:groove`` as the accompaniment generator MMA spells them, because the
same name exists in several of its libraries.
"""

from __future__ import annotations

from riffusion.music.styles import (
    blues,
    classical,
    country,
    electronic,
    jazz,
    latin,
    rock,
    world,
)
from riffusion.music.styles.style import Style as Style

STYLES: tuple[Style, ...] = (
    *jazz.STYLES,
    *blues.STYLES,
    *latin.STYLES,
    *electronic.STYLES,
    *rock.STYLES,
    *country.STYLES,
    *classical.STYLES,
    *world.STYLES,
)
