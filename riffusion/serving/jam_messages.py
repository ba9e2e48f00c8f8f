"""The requests of a jam: JSON objects that the live source reads, and describes here.

Their values are read by the schema of settings and not by pydantic, so that each can be refused by
itself, and text may stand for a number that a browser would round.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, WithJsonSchema

from riffusion.jam.schema import settings_for
from riffusion.jam.setting import Setting
from riffusion.jam.setting_values import SHAPE
from riffusion.serving.openings import OPENING

JSON_TYPES = {"whole": "integer", "number": "number", "flag": "boolean"}
# A plan is text or an object of its fields.
Plan = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})]


def _property(setting: Setting) -> dict[str, Any]:
    """Return the JSON schema of a setting."""
    kind = JSON_TYPES.get(setting.kind, "string")
    described: dict[str, Any] = {"description": setting.help, "default": setting.default}
    if setting.kind == "choice":
        described["enum"] = [*setting.choices]
    elif setting.is_numeric:
        most = setting.maximum if setting.shared_maximum is None else setting.shared_maximum
        described |= {"minimum": setting.minimum, "maximum": most}
    return {"type": kind, **described}


def _describe_settings(schema: dict[str, Any]) -> None:
    """Fill the JSON schema of a set of settings by their names in messages."""
    shape = {"description": "Whether density, brightness and drums count", "default": False}
    properties = {setting.wire_name: _property(setting) for setting in settings_for("jam")}
    schema.pop("additionalProperties", None)
    opening = {
        "type": "object",
        "description": "A recording to go on from: name as recording, start_s and bar_line_s, as "
        "/jam/recording returns them",
        "properties": {
            "recording": {"type": "string"},
            "start_s": {"type": "number"},
            "bar_line_s": {"type": "number"},
        },
    }
    schema["properties"] = {
        **properties,
        SHAPE: {"type": "boolean", **shape},
        OPENING: opening,
    }
    schema["required"] = []


def _describe_message(schema: dict[str, Any]) -> None:
    """Fill the JSON schema of a message."""
    settings: dict[str, Any] = {"type": "object", "description": "change: those that change"}
    schema.pop("additionalProperties", None)
    schema["properties"] = {
        "type": {
            "type": "string",
            "description": "position, change, stop or keep",
            "examples": ["keep"],
        },
        "sample": {"type": "integer", "description": "position: the absolute sample that plays"},
        "late": {"type": "integer", "description": "position: samples that came too late so far"},
        "settings": settings,
        "plan": {"description": "change of a song: its plan, text or fields; may be left out"},
        "jump": {"type": "integer", "description": "change of a song: the section to jump to"},
    }
    schema["required"] = ["type"]


class JamRequest(RootModel[dict[str, Any]]):
    """The settings of a jam by their names in links."""

    model_config = ConfigDict(frozen=True, json_schema_extra=_describe_settings)


class StreamMessage(RootModel[dict[str, Any]]):
    """A message of a listener."""

    model_config = ConfigDict(frozen=True, json_schema_extra=_describe_message)


class SectionRequest(BaseModel):
    """A part of a jam to be kept as a section of a song."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The name of the section", examples=["chorus"])
    bars: int = Field(description="How many bars it has", examples=[8])
    plan: Plan = Field(default=None, description="The song it is added to; a new one without it")
