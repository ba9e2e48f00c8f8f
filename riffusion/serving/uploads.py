"""UploadStore: the sounds and pictures that listeners uploaded, by name."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from riffusion.errors import InvalidInput
from riffusion.jam.asset import UPLOAD_PREFIX, AssetRef
from riffusion.jam.loops import encode_anchor, encode_mask, library_anchor, library_mask
from riffusion.jam.masks import image_mask
from riffusion.serving.data_urls import (
    is_image,
    uploaded_picture,
    uploaded_sound,
    uploaded_spectrogram,
)
from riffusion.spectral.image import image_to_audio

MAX_BYTES = 128 * 2**20
KINDS = ("anchor", "mask")


class UploadStore:
    """Keeps at most ``max_bytes``; what was put there or used longest ago goes first.

    A jam that plays keeps what it uses, whether it is still here or not. Threads may share it.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, AssetRef] = OrderedDict()
        self._lock = Lock()

    def put(self, material: AssetRef) -> None:
        """Keep somebody's own material."""
        with self._lock:
            self._kept[material.name] = material
            self._kept.move_to_end(material.name)
            while sum(len(one.data) for one in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)

    def own(self, what: str, name: str) -> AssetRef:
        """A listener's own. Raises InvalidInput where it is gone; ``what`` says what it was."""
        with self._lock:
            if name not in self._kept:
                raise InvalidInput(what, name, "is not on this machine any more; bring it again")
            self._kept.move_to_end(name)
            return self._kept[name]

    def anchor(self, name: str) -> AssetRef | None:
        """The anchor of a name, ours or a listener's; None for "". Raises InvalidInput."""
        return self.known_anchor(name) if name else None

    def known_anchor(self, name: str) -> AssetRef:
        """The anchor of a name, ours or a listener's. Raises InvalidInput."""
        return self.own("anchor", name) if name.startswith(UPLOAD_PREFIX) else library_anchor(name)

    def mask(self, name: str) -> AssetRef | None:
        """The same for a mask."""
        if not name:
            return None
        return self.own("mask", name) if name.startswith(UPLOAD_PREFIX) else library_mask(name)


def brought(message: object) -> AssetRef:
    """The material of a listener's message: {"kind": "anchor" or "mask", "data": a data URL}.

    An anchor is audio or a spectrogram image, a mask a picture of 512 x 512. Raises InvalidInput.
    """
    if not isinstance(message, dict):
        raise InvalidInput("message", message, "send a JSON object with kind and data")
    kind, data = message.get("kind"), message.get("data")
    if kind not in KINDS:
        raise InvalidInput("kind", kind, f"use {' or '.join(KINDS)}")
    if not isinstance(data, str):
        raise InvalidInput(kind, data, "send it as a data URL")
    if kind == "mask":
        return encode_mask(image_mask(uploaded_picture(kind, data)))
    if is_image(data):
        return encode_anchor(image_to_audio(uploaded_spectrogram(kind, data)))
    return encode_anchor(uploaded_sound(kind, data))
