"""Our own request for a clip, as the HTTP API takes it.

The settings of a clip come from the schema: their names, types, defaults, ranges and help.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine
from riffusion.jam.anchors import anchor_sound, find_anchor, fit_image, fit_sound
from riffusion.jam.masks import Mask, fit_mask, image_mask, named_mask
from riffusion.jam.schema import settings_for
from riffusion.jam.setting import Setting
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

# Other listeners wait while a clip is made.
MAX_STEPS = 100
TYPES: dict[str, Any] = {"whole": int, "number": float}
ASSETS = {
    "anchor": "an id of /api/anchors, or audio or a spectrogram image as a data URL",
    "mask": "a name of /api/masks, or a picture of 512 x 512 as a data URL",
}


class _Prompts(BaseModel):
    """The prompts and seeds of a clip, which are the request's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(description="What to play", examples=["jazzy saxophone"])
    seed: int = Field(default=0, description="The noise that the clip starts from")
    prompt_b: str | None = Field(default=None, description="Where a walk goes; alpha says how far")
    seed_b: int | None = Field(default=None, description="The noise at the far end of the walk")
    alpha: float = Field(default=0.0, description="Where on the walk: 0 is prompt, 1 is prompt_b")


def _field(entry: Setting) -> Any:
    """Return the type of a setting in a request for a clip, and its field.

    Settings on the bar grid are None where they are left out, since a clip without any of them is
    in free time.
    """
    may_be_none = entry.on_grid or entry.automatic
    default = None if may_be_none else entry.default
    kind = TYPES.get(entry.kind, str)
    schema: dict[str, Any] = {}
    if entry.is_numeric:
        maximum = MAX_STEPS if entry.name == "steps" else entry.maximum
        schema = {"minimum": entry.minimum, "maximum": maximum}
    left_out = f" (left out: {entry.clip_default_in_words})" if may_be_none else ""
    assets = f": {ASSETS[entry.kind]}" if entry.kind in ASSETS else ""
    return (
        kind | None if may_be_none else kind,
        Field(
            default=default,
            description=f"{entry.summary}{assets}{left_out}",
            examples=[entry.example] if entry.example else None,
            json_schema_extra=schema,
        ),
    )


if TYPE_CHECKING:
    # The settings are read by their names, so type checkers need to know only what others read.
    class _Settings(_Prompts):
        steps: int = 0
else:
    _Settings = create_model(
        "_Settings", __base__=_Prompts, **{e.name: _field(e) for e in settings_for("clip")}
    )


class ClipApiRequest(_Settings):
    """One clip. Without tempo, key, chords and metre they are as the prompt says."""

    def request(self, engine: Engine) -> ClipRequest:
        """Return the request for ``engine``. Raises InvalidInput, naming the field."""
        settings = self._jam_settings()
        anchor = self._anchor(engine)
        request = replace(
            settings.request(self.alpha, settings.prompt_a.seed, settings.prompt_b.seed),
            anchor=anchor,
            strength=settings.strength if anchor else 1.0,
            mask=self._mask(engine),
        )
        values = self._values()
        if all(values[entry.name] is None for entry in settings_for("clip") if entry.on_grid):
            return replace(request, bpm=None)
        return replace(request, lead_sheet=window_sheet(settings, engine.params, engine.frames))

    def info(self, engine: str) -> ImageInfo:
        """Return what the image of the clip says about it."""
        settings, values = self._jam_settings(), self._values()
        return ImageInfo(
            prompt_a=settings.prompt_a.text,
            prompt_b=settings.prompt_b.text,
            seed_a=settings.prompt_a.seed,
            seed_b=settings.prompt_b.seed,
            alpha=self.alpha,
            engine=engine,
            bpm=values["bpm"],
            harmony=values["chords"] or values["key"],
        )

    def _values(self) -> dict[str, Any]:
        """Return the values of the settings by name, None for what is left out."""
        return {entry.name: getattr(self, entry.name) for entry in settings_for("clip")}

    def _jam_settings(self) -> JamSettings:
        """Return the settings of a jam that begins with this clip, without anchor and mask."""
        start = Prompt(self.prompt, self.seed)
        end = Prompt(
            self.prompt if self.prompt_b is None else self.prompt_b,
            self.seed if self.seed_b is None else self.seed_b,
        )
        given = {
            name: value
            for name, value in self._values().items()
            if value is not None and name not in ASSETS
        }
        return JamSettings(start, end).with_settings(given)

    def _anchor(self, engine: Engine) -> Spectrogram | None:
        anchor = self._values()["anchor"]
        if anchor is None:
            return None
        if is_image(anchor):
            return fit_image(uploaded_spectrogram("anchor", anchor), engine)
        if is_upload(anchor):
            return fit_sound(uploaded_sound("anchor", anchor), engine)
        return fit_sound(anchor_sound(find_anchor(anchor)), engine)

    def _mask(self, engine: Engine) -> Mask | None:
        mask = self._values()["mask"]
        if mask is None:
            return None
        if is_upload(mask):
            return fit_mask(image_mask(uploaded_picture("mask", mask)), engine)
        return fit_mask(named_mask(mask), engine)
