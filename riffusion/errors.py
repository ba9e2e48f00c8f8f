"""The errors that this project raises on purpose.

    RiffusionError
    ├── InvalidInput (also a ValueError)   a value that a user gave: prompt, seed, tempo, key
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
    """The base of all errors that are raised on purpose.

    Messages name the bad value, the legal ones and the fix.

    Examples
    --------
    >>> import riffusion
    >>> try:
    ...     riffusion.read_audio("missing.wav")
    ... except riffusion.RiffusionError as error:
    ...     print(error)
    audio file is 'missing.wav': no such file; check the name and the folder
    """


class InvalidInput(RiffusionError, ValueError):
    """A value from a user that cannot be used.

    ``what`` names the field, ``value`` is the value, ``hint`` says which values are accepted.
    """

    def __init__(self, what: str, value: object, hint: str) -> None:
        self.what = what
        self.value = value
        self.hint = hint
        super().__init__(f"{what} is {shorten(value)}: {hint}")


class InvalidAudio(InvalidInput):
    """Audio that cannot be read, or has the wrong shape or values."""


class InvalidImage(InvalidInput):
    """An image that cannot be read as a spectrogram."""


class InvalidSession(InvalidInput):
    """A session file that is damaged or from an unknown version."""


class InvalidPlan(InvalidInput):
    """A song plan that is damaged or cannot be played. The message names the line."""


class ModelError(RiffusionError):
    """A model folder that cannot be loaded."""


class MissingTool(RiffusionError):
    """An optional program or package that a task needs is not installed."""


class StorageError(RiffusionError):
    """A file cannot be written."""


class ServerError(RiffusionError):
    """The page cannot be served."""


def shorten(value: object) -> str:
    """Return the ``repr`` of a value in at most 60 characters, so that messages stay readable.

    A long one loses its middle; more of its end stays, where a path has the name of its file.
    """
    text = repr(value)
    if len(text) <= MAX_SHOWN_LENGTH:
        return text
    return text[:SHOWN_FIRST] + "…" + text[SHOWN_FIRST + 1 - MAX_SHOWN_LENGTH :]
