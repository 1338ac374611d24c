"""Writes what follows from types and topics.toml: schema/*.json, asyncapi.yaml, reference.md.

Run `python -m hostkit.contract.generate`. Examples in the schemas are kept.

A test fails while a file differs from what this would write. Examples are written by hand into the files.
"""

import json
from pathlib import Path

import msgspec

from hostkit.contract import asyncapi, reference, schema, schema_names
from hostkit.contract.codec import KINDS, TYPE_PREFIX
from hostkit.contract.messages import SUPPRESSED, State
from hostkit.model import PrivacyMode

Json = dict[str, object]

# What `__post_init__` of the types checks, in the schemas' words.
RULES: dict[str, list[Json]] = {
    "KpiValue": [
        {
            "if": {"properties": {"value": {"type": "null"}}},
            "then": {"required": ["reason"], "properties": {"low": {"type": "null"}, "high": {"type": "null"}}},
            "else": {"properties": {"reason": {"type": "null"}}},
        },
        {
            "if": {"required": ["reason"], "properties": {"reason": {"const": SUPPRESSED}}},
            "then": {"required": ["below"], "properties": {"below": {"type": "integer"}}},
            "else": {"properties": {"below": {"type": "null"}}},
        },
    ],
    "Visits": [{"properties": {"privacy_mode": {"not": {"const": PrivacyMode.ANONYMOUS_5MIN.value}}}}],
    "Desired": [{"oneOf": [{"required": ["site"]}, {"required": ["probe"]}]}],
}


def build(name: str, examples: object) -> Json:
    """Give the whole schema `name` with these examples."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:footfall:v1:{name}",
        "title": f"Footfall message: {name}",
    }
    if name == "state":
        described = {"description": "The bare word, not quoted.", "enum": [state.value for state in State]}
        return {**head, **described, "examples": examples}
    generated: Json = msgspec.json.schema(KINDS[name].type)
    text = json.dumps(generated)
    envelope = text.partition('"$ref": "#/$defs/')[2].partition('"')[0]
    tree: Json = json.loads(text.replace(f'"#/$defs/{envelope}"', '"#/$defs/Message"'))
    definitions = tree["$defs"]
    assert isinstance(definitions, dict)
    definitions["Message"] = definitions.pop(envelope)
    definitions["Message"]["title"] = "Message"
    definitions["Message"]["properties"]["type"] = {"const": TYPE_PREFIX + name}
    for title, definition in definitions.items():
        if definition.get("type") == "object":
            definition["additionalProperties"] = False
        if title in RULES:
            definition["allOf"] = RULES[title]
    _fold(definitions)
    return {**head, "$ref": tree["$ref"], "examples": examples, "$defs": dict(sorted(definitions.items()))}


def dump(built: Json) -> str:
    """Give the file's text."""
    return json.dumps(built, indent=2, ensure_ascii=False) + "\n"


def _fold(node: object) -> None:
    """Put every description, which is a docstring, on one line."""
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            node["description"] = " ".join(node["description"].split())
        for value in node.values():
            _fold(value)
    elif isinstance(node, list):
        for value in node:
            _fold(value)


def main() -> None:
    """Write every generated file beside this one."""
    folder = Path(__file__).with_name("schema")
    for name in ("state", *KINDS):
        examples = schema(name).get("examples", []) if name in schema_names() else []
        (folder / f"{name}.json").write_text(dump(build(name, examples)), "utf-8")
    folder.with_name("asyncapi.yaml").write_text(dump(asyncapi.build()), "utf-8")
    folder.with_name("reference.md").write_text(reference.build(), "utf-8")


if __name__ == "__main__":
    main()
