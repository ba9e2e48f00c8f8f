"""How a jam travels: frames of a WebSocket, records of a chunked HTTP answer, and JSON both ways.

An audio frame is its first absolute sample (float64, little endian), then int16 samples. A record
is the length of what follows (uint32, little endian), a byte for its kind, and a frame or JSON.
"""

from __future__ import annotations

import json
import struct

from riffusion.errors import InvalidInput
from riffusion.live.producer import Audio, Event

START = struct.Struct("<d")
RECORD = struct.Struct("<IB")
TEXT, AUDIO = 0, 1
MAX_MESSAGE_BYTES = 64 * 1024


def audio_frame(audio: Audio) -> bytes:
    return START.pack(audio.start) + audio.pcm


def text_frame(event: Event) -> str:
    return json.dumps(event, allow_nan=False)


def record(item: Audio | Event) -> bytes:
    """One record of a chunked answer."""
    if isinstance(item, Audio):
        body, kind = audio_frame(item), AUDIO
    else:
        body, kind = text_frame(item).encode(), TEXT
    return RECORD.pack(len(body), kind) + body


def parse_message(data: str | bytes, max_bytes: int = MAX_MESSAGE_BYTES) -> object:
    """JSON from a page. Raises InvalidInput for what is too long or no JSON."""
    if len(data) > max_bytes:
        legal = f"has more than {max_bytes} bytes; send less"
        raise InvalidInput("message", data[:40], legal)
    try:
        return json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("message", data[:40], "is no JSON") from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
