"""JSON schemas of answers, and the check for what cannot be mended without asking again."""

from collections.abc import Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]


def closed_object(properties: Mapping[str, Schema], required: Iterable[str] | None = None) -> dict[str, Any]:
    """An object with no other properties than these. All are required unless `required` names fewer."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


def is_strict(schema: Schema) -> bool:
    """Whether every object requires all of its properties: OpenAI's strict mode refuses any other schema."""
    properties = schema.get("properties", {})
    parts = [*properties.values(), *([schema["items"]] if "items" in schema else [])]
    return set(schema.get("required", ())) == set(properties) and all(map(is_strict, parts))


def short_text(limit: int) -> dict[str, Any]:
    """A text of 1 to `limit` characters."""
    return {"type": "string", "minLength": 1, "maxLength": limit}


def one_of(values: tuple[int, ...]) -> dict[str, Any]:
    """One of these whole numbers."""
    return {"type": "integer", "enum": list(values)}


def pick(ids: tuple[str, ...], count: int) -> dict[str, Any]:
    """`count` of these ids."""
    return {"type": "array", "items": {"type": "string", "enum": list(ids)}, "minItems": count, "maxItems": count}


def violations(data: object, schema: Schema, where: str = "answer") -> list[str]:
    """What is wrong with `data` beyond repair: missing or mistyped texts, lists and sections.

    Numbers and list entries are not looked at: a wrong one is dropped and counted without another call. Nor are
    additional properties (never read) and lengths (cut).
    """
    kind = schema["type"]
    if kind == "object":
        if not isinstance(data, dict):
            return [f"{where} is not an object"]
        found: list[str] = []
        for name, part in schema["properties"].items():
            if name in data:
                found += violations(data[name], part, f"{where}.{name}")
            elif part["type"] != "integer" and name in schema["required"]:
                found.append(f"{where}.{name} is missing")
        return found
    if kind == "array":
        return [] if isinstance(data, list) else [f"{where} is not a list"]
    if kind == "string":
        return [] if isinstance(data, str) else [f"{where} is not a text"]
    return []
