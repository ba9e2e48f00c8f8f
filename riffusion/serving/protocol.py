"""The protocol of a stream: frames of a WebSocket, records of a chunked response, and JSON.

An audio frame is its first absolute sample (float64, little endian), then int16 samples,
interleaved. A record is the length of its body (uint32, little endian), a byte for its kind, and a
body that is an audio frame or JSON.
"""

from __future__ import annotations

import json
import struct

from riffusion.errors import InvalidInput
from riffusion.live.connection import Audio, Event

START = struct.Struct("<d")
RECORD = struct.Struct("<IB")
TEXT, AUDIO = 0, 1
MAX_MESSAGE_BYTES = 64 * 1024


def audio_frame(audio: Audio) -> bytes:
    """Return the frame of some audio."""
    return START.pack(audio.start) + audio.pcm


def text_frame(event: Event) -> str:
    """Return an event as JSON."""
    return json.dumps(event, allow_nan=False)


def record(item: Audio | Event) -> bytes:
    """Return one record of a chunked response."""
    if isinstance(item, Audio):
        body, kind = audio_frame(item), AUDIO
    else:
        body, kind = text_frame(item).encode(), TEXT
    return RECORD.pack(len(body), kind) + body


def parse_message(data: str | bytes, max_bytes: int = MAX_MESSAGE_BYTES) -> object:
    """Parse a JSON message. Raises InvalidInput for one that is too long or no JSON."""
    if len(data) > max_bytes:
        raise too_large("message", max_bytes)
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("message", data[:40], "is no JSON") from error


def too_large(what: str, max_bytes: int) -> InvalidInput:
    """Return the error for a message or a request that is longer than ``max_bytes``."""
    is_megabytes = max_bytes >= 2**20
    most = f"{max_bytes // 2**20} MB" if is_megabytes else f"{max_bytes} bytes"
    return InvalidInput(what, "too large", f"send less: at most {most}")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
