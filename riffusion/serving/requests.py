"""Our own request for a clip, as the HTTP API takes it."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from riffusion.engines.clip import DEFAULT_GUIDANCE, DEFAULT_STEPS, ClipRequest, Controls, Prompt
from riffusion.engines.protocol import Engine
from riffusion.jam.anchors import anchor_sound, find_anchor, fit_image, fit_sound
from riffusion.jam.masks import Mask, fit_mask, image_mask, named_mask
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import window_sheet
from riffusion.serving.data_urls import (
    is_image,
    is_upload,
    uploaded_picture,
    uploaded_sound,
    uploaded_spectrogram,
)
from riffusion.spectral.spectrogram import Spectrogram
from riffusion.spectral.tags import ImageInfo

MUSIC = ("bpm", "key", "chords", "beats_per_bar")


class ClipApiRequest(BaseModel):
    """One clip. Without tempo, key and chords they are as the prompt says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(description="What to play", examples=["jazzy saxophone"])
    seed: int = Field(default=0, description="Which noise to start from")
    prompt_b: str | None = Field(default=None, description="Where a walk goes; alpha says how far")
    seed_b: int | None = Field(default=None, description="The noise at the far end")
    alpha: float = Field(default=0.0, description="0 is prompt, 1 is prompt_b")
    bpm: float | None = Field(default=None, description="Beats per minute, 60 to 180")
    key: str | None = Field(default=None, description="Key, for example Cm", examples=["Cm"])
    chords: str | None = Field(
        default=None, description="One chord a bar", examples=["Cm Ab Eb Bb"]
    )
    beats_per_bar: int | None = Field(default=None, description="3 for a waltz")
    density: float | None = Field(default=None, description="0 to 1")
    brightness: float | None = Field(default=None, description="0 to 1")
    drums: float | None = Field(default=None, description="0 to 1")
    guidance: float = Field(default=DEFAULT_GUIDANCE, description="0 to 30: how closely to follow")
    steps: int = Field(default=DEFAULT_STEPS, description="Steps of the denoiser: finer and slower")
    anchor: str | None = Field(
        default=None,
        description="A clip to start from: an id of /api/anchors, or audio or a spectrogram "
        "image as a data URL",
    )
    strength: float = Field(default=0.75, description="0 keeps the anchor, 1 ignores it")
    mask: str | None = Field(
        default=None,
        description="What to repaint of the anchor: a name of /api/masks, or a picture of "
        "512 x 512 as a data URL",
    )

    def request(self, engine: Engine) -> ClipRequest:
        """What is asked of ``engine``. Raises InvalidInput, naming the field."""
        settings = self._settings()
        anchor = self._anchor(engine)
        asked = replace(
            settings.request(self.alpha, settings.prompt_a.seed, settings.prompt_b.seed),
            anchor=anchor,
            strength=self.strength if anchor else 1.0,
            mask=self._mask(engine),
        )
        if all(getattr(self, name) is None for name in MUSIC):
            return replace(asked, bpm=None)
        return replace(asked, lead_sheet=window_sheet(settings, engine.params, engine.frames))

    def info(self, engine: str) -> ImageInfo:
        """What the image of the clip says about it."""
        settings = self._settings()
        return ImageInfo(
            prompt_a=settings.prompt_a.text,
            prompt_b=settings.prompt_b.text,
            seed_a=settings.prompt_a.seed,
            seed_b=settings.prompt_b.seed,
            alpha=self.alpha,
            engine=engine,
            bpm=self.bpm,
            harmony=self.chords or self.key,
        )

    def _settings(self) -> JamSettings:
        start = Prompt(self.prompt, self.seed)
        end = Prompt(
            self.prompt if self.prompt_b is None else self.prompt_b,
            self.seed if self.seed_b is None else self.seed_b,
        )
        given = {name: getattr(self, name) for name in (*MUSIC, "guidance", "steps")}
        settings = JamSettings(
            start, end, controls=Controls(self.density, self.brightness, self.drums)
        )
        return settings.changed({name: v for name, v in given.items() if v is not None})

    def _anchor(self, engine: Engine) -> Spectrogram | None:
        if self.anchor is None:
            return None
        if is_image(self.anchor):
            return fit_image(uploaded_spectrogram("anchor", self.anchor), engine)
        if is_upload(self.anchor):
            return fit_sound(uploaded_sound("anchor", self.anchor), engine)
        return fit_sound(anchor_sound(find_anchor(self.anchor)), engine)

    def _mask(self, engine: Engine) -> Mask | None:
        if self.mask is None:
            return None
        if is_upload(self.mask):
            return fit_mask(image_mask(uploaded_picture("mask", self.mask)), engine)
        return fit_mask(named_mask(self.mask), engine)
