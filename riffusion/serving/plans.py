"""Plans that are sent to the server, read once each."""

from __future__ import annotations

import json
from collections import OrderedDict
from threading import Lock

from riffusion.errors import InvalidInput
from riffusion.jam.schema import BY_NAME
from riffusion.jam.setting_values import MAX_JSON_NUMBER
from riffusion.serving.uploads import UploadStore
from riffusion.song.model import Song, check_whole
from riffusion.song.plan import plan_fields, plan_text, read_plan

MAX_PLANS = 16


class PlanReader:
    """Reads plans as text (YAML or JSON) or as JSON objects of their fields.

    It remembers the last ``max_plans``, so that a plan that is checked and then played is parsed
    once. Parsing takes a moment: do it in a thread. Threads may share a reader.
    """

    def __init__(self, uploads: UploadStore, max_plans: int = MAX_PLANS) -> None:
        self._uploads = uploads
        self._max_plans = max_plans
        self._songs: OrderedDict[str, Song] = OrderedDict()
        self._lock = Lock()

    def read(self, plan: object) -> Song:
        """Return the song of a plan, with the anchors that listeners uploaded.

        Raises InvalidInput, saying what is wrong and in which line.
        """
        text = plan if isinstance(plan, str) else _write_json(plan)
        with self._lock:
            song = self._songs.get(text)
        if song is None:
            song = read_plan(text, self._uploads.known_anchor)
            _check_limits(song)
        self._remember(text, song)
        return song

    def write(self, song: Song) -> tuple[str, dict[str, object]]:
        """Return a song as YAML and as fields for JSON; reading either back costs nothing."""
        text, fields = plan_text(song), plan_fields(song)
        self._remember(text, song)
        self._remember(_write_json(fields), song)
        return text, fields

    def _remember(self, text: str, song: Song) -> None:
        with self._lock:
            self._songs[text] = song
            self._songs.move_to_end(text)
            while len(self._songs) > self._max_plans:
                self._songs.popitem(last=False)


def _write_json(plan: object) -> str:
    """Return an object of a plan's fields as JSON text. Raises InvalidInput for anything else."""
    if not isinstance(plan, dict):
        raise InvalidInput("plan", plan, "send its text, YAML or JSON, or an object of its fields")
    try:
        return json.dumps(plan, indent=1)
    except RecursionError as error:
        raise InvalidInput("plan", "an object", "nests too deep") from error


def _check_limits(song: Song) -> None:
    """Raise InvalidInput for what a listener may not ask of a server that others use too."""
    check_whole("steps", song.steps, 1, int(BY_NAME["steps"].shared_maximum or song.steps))
    for section in song.sections:
        for prompt in filter(None, (section.prompt, section.prompt_b)):
            # The page edits plans, and a browser would round larger numbers.
            check_whole("seed", prompt.seed, 0, MAX_JSON_NUMBER)
