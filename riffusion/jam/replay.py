"""Sessions are saved to files, and played again from them."""

from __future__ import annotations

import os
from dataclasses import replace

from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidSession
from riffusion.jam.session import JamSession
from riffusion.jam.session_file import SavedSession, write_session
from riffusion.vocoder.protocol import Vocoder


def save_session(
    session: JamSession, path: str | os.PathLike[str], samples: int | None = None
) -> None:
    """Write the session file of what a jam has played.

    Parameters
    ----------
    session : JamSession
        The jam; it can be played on afterwards.
    path : str or path
        The file to write, in JSON. A file that is there is replaced once the new one is whole.
    samples : int, optional
        The length that is replayed, where it is not all that the session has given out.

    Raises
    ------
    StorageError
        If the file cannot be written.

    Examples
    --------
    >>> import riffusion
    >>> bells, beats = riffusion.Prompt("church bells"), riffusion.Prompt("electronic beats")
    >>> engine = riffusion.load_engine(device="cpu")
    >>> session = riffusion.JamSession(engine, riffusion.JamSettings(bells, beats, steps=1))
    >>> blocks = list(riffusion.render(session, 44100))
    >>> riffusion.save_session(session, "evening.json")
    """
    saved = session.saved()
    write_session(saved if samples is None else replace(saved, samples=samples), path)


def replay(engine: Engine, session: SavedSession, *, vocoder: Vocoder | None = None) -> JamSession:
    """Return a jam that generates the same samples as a saved one, and can be played on.

    ``render(jam, session.samples)`` ends where the saved one ended.

    Parameters
    ----------
    engine : Engine
        The engine that made the session.
    session : SavedSession
        What ``load_session`` returned.
    vocoder : Vocoder, optional
        The one that took the place of the engine's own.

    Raises
    ------
    InvalidSession
        If another engine made the session.

    Examples
    --------
    >>> import riffusion
    >>> bells, beats = riffusion.Prompt("church bells"), riffusion.Prompt("electronic beats")
    >>> engine = riffusion.load_engine(device="cpu")
    >>> session = riffusion.JamSession(engine, riffusion.JamSettings(bells, beats, steps=1))
    >>> blocks = list(riffusion.render(session, 44100))
    >>> riffusion.save_session(session, "evening.json")
    >>> saved = riffusion.load_session("evening.json")
    >>> again = list(riffusion.render(riffusion.replay(engine, saved), saved.samples))
    >>> all((a.samples == b.samples).all() for a, b in zip(blocks, again))
    True
    """
    if engine.name != session.engine:
        hint = f"this is {engine.name!r}; load the model that made it (--model)"
        raise InvalidSession("session's engine", session.engine, hint)
    return JamSession(
        engine,
        session.settings,
        changes=session.changes,
        vocoder=vocoder,
        opening=session.opening,
    )
