"""Every error this project raises on purpose.

    RiffusionError
    ├── InvalidInput (also a ValueError)   a value a user gave: prompt, seed, tempo, key, request
    │   ├── InvalidAudio                   a file or array that is not usable audio
    │   ├── InvalidImage                   a file that is not a spectrogram image
    │   ├── InvalidSession                 a session file that cannot be replayed
    │   └── InvalidPlan                    a song's plan that cannot be played
    ├── ModelError                         weights missing, damaged or of another kind
    ├── MissingTool                        an optional program or package that is not installed
    ├── StorageError                       the disk is full or a folder cannot be written
    └── ServerError                        the page cannot be served: port taken, bad address

Messages name the bad value, the legal ones and the fix, in words a musician understands.
"""

from __future__ import annotations

MAX_SHOWN_LENGTH = 60
SHOWN_FIRST = 20


class RiffusionError(Exception):
    """Base of the tree: catch this to catch everything we raise on purpose."""


class InvalidInput(RiffusionError, ValueError):
    """A value from a user that cannot be used.

    ``what`` names the field, ``value`` is what came, ``legal`` says what is accepted.
    """

    def __init__(self, what: str, value: object, legal: str) -> None:
        self.what = what
        self.value = value
        self.legal = legal
        super().__init__(f"{what} is {shorten(value)}: {legal}")


class InvalidAudio(InvalidInput):
    """Audio that cannot be read, or has the wrong shape or values."""


class InvalidImage(InvalidInput):
    """An image that cannot be read as a spectrogram."""


class InvalidSession(InvalidInput):
    """A session file that is damaged or from an unknown version."""


class InvalidPlan(InvalidInput):
    """A plan of a song that is damaged or asks for what cannot be. Says in which line."""


class ModelError(RiffusionError):
    """A model folder that cannot be loaded."""


class MissingTool(RiffusionError):
    """Something optional that this task needs is not installed."""


class StorageError(RiffusionError):
    """A file could not be written."""


class ServerError(RiffusionError):
    """The page could not be served."""


def shorten(value: object) -> str:
    """``repr`` of a value, at most 60 characters, so that a message stays readable.

    Of a long one the middle goes, and more of the end stays: there a path has its file.
    """
    text = repr(value)
    if len(text) <= MAX_SHOWN_LENGTH:
        return text
    return text[:SHOWN_FIRST] + "…" + text[SHOWN_FIRST + 1 - MAX_SHOWN_LENGTH :]
