"""Services are what all routes of one server share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from riffusion.live.registry import JamRegistry
from riffusion.serving.plans import PlanReader
from riffusion.serving.uploads import UploadStore


@dataclass(frozen=True)
class Services:
    """The registry of jams, the uploads, the reader of plans, and the turn for background work.

    Exports and decoding take a core each: whoever does such work holds ``background``, so that it
    is done one at a time and the music plays on.
    """

    registry: JamRegistry
    uploads: UploadStore
    plans: PlanReader
    background: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))


def make_services(registry: JamRegistry) -> Services:
    """Return the services of a server that has no uploads yet."""
    uploads = UploadStore()
    return Services(registry, uploads, PlanReader(uploads))
