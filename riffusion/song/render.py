"""Rendering a song: its blocks as fast as they can be made, on two cores."""

from __future__ import annotations

from collections.abc import Iterator

from riffusion.engines.prefetch import PrefetchThread
from riffusion.song.session import SongBlock, SongSession


def render_song(session: SongSession) -> Iterator[SongBlock]:
    """Yield the blocks of a song to its end.

    While the sound of a clip is made, a thread generates the next one of its section.

    Parameters
    ----------
    session : SongSession
        Is played on, and can be changed between two blocks.
    """
    with PrefetchThread() as thread:
        while not session.finished:
            session.place_clip()
            if task := session.prefetch():
                thread.start(task)
            yield session.block()
