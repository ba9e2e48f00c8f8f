"""The API describes itself: in OpenAPI for programs, and on a page for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from riffusion import __version__
from riffusion.serving.responses import ErrorResponse

TITLE = "Riffusion"
ABOUT = (
    "Clips, songs, jams and the original Riffusion's endpoint. The same clips and songs can be had "
    "through gradio_client and MCP. See docs/http.md."
)
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;"
    "color:#e2e8f0;background:#0f172a}a{color:#fb923c}code,pre{background:#1e293b;"
    "padding:.1em .3em;border-radius:4px}pre{padding:.8em;overflow-x:auto}"
    "td{padding:.2em .8em .2em 0;vertical-align:top}h2{margin:2rem 0 .3rem;font-size:1.1rem}"
)


def describe_routes(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Return the OpenAPI document of ``routes``."""
    described = get_openapi(title=TITLE, version=__version__, description=ABOUT, routes=routes)
    described["components"]["schemas"]["ErrorResponse"] = ErrorResponse.model_json_schema()
    for path, methods in described["paths"].items():
        for operation in methods.values():
            operation["responses"].pop("422", None)
            operation["operationId"] = path.strip("/").replace("/", "_")
            operation["responses"]["400"] = _error("Something asked for cannot be had")
    return described


def api_page(document: dict[str, Any], root: str) -> str:
    """Return a page that lists every endpoint with its fields and a command to try it."""
    sections = [
        _section(method, path, operation, document, root)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{TITLE}: HTTP API</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
        f"<h1>{TITLE}: HTTP API</h1><p>{escape(ABOUT)} For programs: "
        f"<a href='{escape(root)}/api/openapi.json'>openapi.json</a>.</p>{''.join(sections)}</html>"
    )


def _error(words: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ErrorResponse"}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _section(
    method: str, path: str, operation: dict[str, Any], document: dict[str, Any], root: str
) -> str:
    words = operation.get("description") or operation["summary"]
    model = _body_model(operation, document)
    fields = _fields(model) if model else _parameters(operation)
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{escape(text)}" for name, text in fields
    )
    command = f"curl '{root}{path}'"
    if model:
        command += f" \\\n  -d '{json.dumps(_example(model, document))}'"
    return (
        f"<h2>{method.upper()} <code>{escape(path)}</code></h2><p>{escape(words)}</p>"
        f"<table>{rows}</table><pre>{escape(command)}</pre>"
    )


def _body_model(operation: dict[str, Any], document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of the request body, if there is one."""
    if "requestBody" not in operation:
        return None
    return _resolved(operation["requestBody"]["content"]["application/json"]["schema"], document)


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    resolved: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return resolved


def _fields(model: dict[str, Any]) -> list[tuple[str, str]]:
    described = []
    for name, schema in model["properties"].items():
        about = schema.get("description", "see the example")
        if name not in model.get("required", ()):
            about += f" (default: {json.dumps(schema.get('default'))})"
        described.append((name, about))
    return described


def _parameters(operation: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (parameter["name"], parameter.get("description", parameter["in"]))
        for parameter in operation.get("parameters", [])
    ]


def _example(model: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return an example with the required fields of a model."""
    example: dict[str, Any] = {}
    for name in model.get("required", ()):
        schema = _resolved(model["properties"][name], document)
        nested = "properties" in schema
        example[name] = _example(schema, document) if nested else schema["examples"][0]
    return example
