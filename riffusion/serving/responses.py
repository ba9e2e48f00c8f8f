"""The data models of the responses of the HTTP API."""

from __future__ import annotations

from pydantic import BaseModel, Field


class InferenceOutput(BaseModel):
    """The original's response: a clip, and how long it is."""

    image: str = Field(description="JPEG spectrogram, data:image/jpeg;base64,...")
    audio: str = Field(description="MP3, data:audio/mpeg;base64,...")
    duration_s: float


class ClipResponse(BaseModel):
    """A clip, without loss."""

    image: str = Field(description="PNG spectrogram, data:image/png;base64,...")
    audio: str = Field(description="WAV, data:audio/wav;base64,...")
    duration_s: float
    sample_rate: int
    engine: str


class AnchorEntry(BaseModel):
    """A clip of the library: its prompt, tempo and key, and where to see and hear it."""

    id: str
    prompt: str
    bpm: float
    key: str
    image: str
    audio: str


class MaskEntry(BaseModel):
    """A mask and where to see it."""

    name: str
    image: str


class Health(BaseModel):
    """The state of the server."""

    status: str
    engine: str
    jams_playing: int


class ErrorResponse(BaseModel):
    """An error: what was wrong and what to do."""

    error: str
    field: str = Field(
        default="", description="The setting that is wrong, where it is one; left out otherwise"
    )
