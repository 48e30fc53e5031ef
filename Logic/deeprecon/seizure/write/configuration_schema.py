"""JSON Schema of the configuration file."""

from __future__ import annotations

from enum import Enum
from typing import Any

from deeprecon.jobs.parameters import Field, fields_of
from deeprecon.seizure.configuration import SECTIONS, ModelConfig
from deeprecon.seizure.networks.architecture import PUBLISHED_STRIDES
from deeprecon.seizure.read.configuration import FIXED_KEYS, MODEL_CLASSES, MODEL_TYPES


def configuration_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file."""
    properties: dict[str, Any] = {}
    for name, cls in SECTIONS.items():
        entries = {entry.name: _field_schema(entry) for entry in fields_of(cls)}
        if cls is ModelConfig:
            entries["modelClass"] |= {"enum": sorted(MODEL_CLASSES)}
            entries["strides"] |= {"minItems": len(PUBLISHED_STRIDES), "maxItems": len(PUBLISHED_STRIDES)}
            entries["modelType"] = {
                "description": "old name of framework",
                "enum": sorted(MODEL_TYPES),
                "deprecated": True,
            }
        for key, (value, reason) in FIXED_KEYS.items():
            section, _, entry = key.partition(".")
            if section == name:
                entries[entry] = {"description": reason, "const": value, "deprecated": True}
        properties[name] = {"type": "object", "additionalProperties": False, "properties": entries}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of deeprecon seizure",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _field_schema(entry: Field) -> dict[str, Any]:
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
    one: dict[str, Any]
    if issubclass(entry.type, Enum):
        one = {"enum": [choice.value for choice in entry.type]}
    else:
        one = {"type": [kinds[entry.type], "null"] if entry.optional else kinds[entry.type]}
    if entry.range is not None:
        one |= {"minimum": entry.range.minimum, "maximum": entry.range.maximum}
    if entry.many:
        one = {"type": "array", "items": one}
    unit = f" ({entry.range.unit})" if entry.range is not None and entry.range.unit else ""
    made = {"description": f"{entry.help}{unit}", **one}
    if not entry.required:
        default = entry.default.value if isinstance(entry.default, Enum) else entry.default
        made["default"] = list(default) if entry.many else default
    return made
