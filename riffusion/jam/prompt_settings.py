"""The settings of the up to eight prompts of a jam."""

from __future__ import annotations

from riffusion.jam.setting import Setting

MAX_SEED = 2**63 - 1
# A jam has up to eight prompts, each called by its letter. The first two are always there.
LETTERS = "abcdefgh"
FIRST_LETTERS = LETTERS[:2]
TEXTS = {"a": "church bells", "b": "electronic beats"}
PROMPT_HELP = {"a": "What sounds where the jam begins", "b": "What the jam walks to"}


def prompt_settings(letter: str) -> tuple[Setting, ...]:
    """Return the entries of the prompt of a letter: text, seed, negative prompt and weight."""
    name = letter.upper()
    first = letter in FIRST_LETTERS
    since = 1 if first else 3
    help_text = PROMPT_HELP.get(letter, f"What the jam visits after {chr(ord(name) - 1)}")
    return (
        Setting(
            f"prompt_{letter}",
            "text",
            TEXTS.get(letter, ""),
            f"prompt {name}",
            help_text,
            short=letter,
            since=since,
        ),
        Setting(
            f"seed_{letter}",
            "whole",
            LETTERS.index(letter) + 1,
            f"seed {name}",
            f"The noise that prompt {name} starts from",
            maximum=MAX_SEED,
            since=since,
        ),
        Setting(
            f"negative_{letter}",
            "text",
            "",
            f"negative prompt {name}",
            f"What prompt {name} is led away from",
            since=3,
        ),
        Setting(
            f"weight_{letter}",
            "number",
            1.0,
            f"weight {name}",
            f"How much of prompt {name} is heard beside others; 0 leaves it out",
            step=0.05,
            since=3,
        ),
    )
