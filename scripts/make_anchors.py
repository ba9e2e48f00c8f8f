"""Make the anchors in assets/anchors again: ``python -m scripts.make_anchors``.

Each is one clip of the shipped engine. Run it after the weights change, listen, and commit.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import soundfile

from riffusion.engines.loading import load_engine
from riffusion.engines.rendering import clip_sound
from riffusion.jam.anchors import FOLDER, LIST, Anchor

STEPS = 30
COMPRESSION = 0.8  # of at most 1, since an anchor need not be of the best quality
ANCHORS = (
    Anchor("soul_beat", "soul drums and bass", 3, 94.0, "Am"),
    Anchor("funk_guitar", "funk guitar", 1, 112.0, "Em"),
    Anchor("marimba", "marimba", 2, 120.0, "C"),
    Anchor("night_drive", "techno", 4, 126.0, "Dm"),
    Anchor("vibraphone", "vibraphone jazz", 5, 84.0, "F"),
    Anchor("piano_ballad", "piano ballad", 6, 72.0, "G"),
    Anchor("rock_drums", "rock drums", 7, 140.0, "E"),
    Anchor("bossa_guitar", "bossa nova acoustic guitar", 8, 130.0, "D"),
)


def main() -> None:
    """Generate every anchor, write it as Ogg Vorbis and write the list of anchors."""
    engine = load_engine()
    for anchor in ANCHORS:
        prompt = anchor.settings.prompt_a
        request = anchor.settings.request(0.0, prompt.seed, prompt.seed)
        request = replace(request, steps=STEPS, lead_sheet=anchor.lead_sheet(engine))
        sound = clip_sound(engine.generate([request])[0], engine.vocoder)
        with soundfile.SoundFile(
            anchor.path, "w", sound.sample_rate, sound.channels, compression_level=COMPRESSION
        ) as file:
            file.write(sound.samples.T)
    entries = [asdict(anchor) for anchor in ANCHORS]
    (FOLDER / LIST).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
