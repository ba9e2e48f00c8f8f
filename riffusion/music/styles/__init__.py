"""The styles that the corpus is rendered in, and that the song planner knows: plain data.

    style       Style, and the scales, progressions and parts that styles share
    blues       blues, soul and gospel
    classical   classical, sacred and stage music
    country     country, folk and the dances of the countryside
    electronic  electronic music and hip hop
    jazz        jazz and its relatives
    latin       music of Latin America and the Caribbean
    rock        rock and pop
    world       music of Africa and Asia

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
