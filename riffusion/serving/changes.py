"""Messages of the page that change what plays, read and checked before anything hears of them."""

from __future__ import annotations

from collections.abc import Mapping

from riffusion.errors import InvalidInput
from riffusion.jam.schema import BY_NAME
from riffusion.jam.setting_values import MAX_JSON_NUMBER, read_settings, read_whole
from riffusion.jam.settings import JamSettings
from riffusion.serving.uploads import UploadStore
from riffusion.song.model import Song, check_whole
from riffusion.song.plan import read_plan
from riffusion.song.session import SongChange


def read_jam_change(
    message: Mapping[str, object], waiting: JamSettings | None, shelf: UploadStore | None = None
) -> JamSettings:
    """All settings of the page. They replace those that wait. ``shelf``: see ``read_settings``."""
    return read_settings(message.get("settings"), shelf or UploadStore())


def read_song_change(
    message: Mapping[str, object], waiting: SongChange | None, shelf: UploadStore
) -> SongChange:
    """A plan, and perhaps where to jump; a jump that waits stays where none is said."""
    song = read_live_plan(message.get("plan"), shelf)
    jump = message.get("jump")
    if jump is None:
        return SongChange(song, waiting.jump if waiting else None)
    return SongChange(song, read_whole("section to jump to", jump))


def read_live_plan(text: object, shelf: UploadStore) -> Song:
    """A plan to be played live, with the anchors that ``shelf`` has.

    InvalidInput says what is wrong, and in which line.
    """
    if not isinstance(text, str):
        raise InvalidInput("plan", text, "send its text, YAML or JSON")
    song = read_plan(text, shelf.known_anchor)
    check_whole("steps", song.steps, 1, int(BY_NAME["steps"].shared_maximum or 0))
    for section in song.sections:
        for prompt in filter(None, (section.prompt, section.prompt_b)):
            # The page edits plans, and a browser would round larger numbers.
            check_whole("seed", prompt.seed, 0, MAX_JSON_NUMBER)
    return song
