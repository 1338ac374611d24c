"""The contract as one AsyncAPI 3.0 document, built from topics.toml and the schemas. States nothing of its own."""

import json
from typing import TypeAlias

from hostkit import __version__
from hostkit.contract import TopicRow, schema, schema_names, topics

Json: TypeAlias = dict[str, object]

_LEVELS = {
    "tenant": "the chain",
    "site": "the shop",
    "node": "id of the hub, probe or collector",
    "verb": "which command",
    "id": "correlation id of the command answered",
}
_BATCH = "sighting records, little-endian: see `footfall contract show wire`"


def build() -> Json:
    """Give the document as a JSON tree; YAML readers take it as it is."""
    rows = topics().values()
    return {
        "asyncapi": "3.0.0",
        "id": "urn:footfall:v1",
        "info": {
            "title": "Footfall",
            "version": __version__,
            "description": "How people move through shops, measured without names. Topics carry no device key, ever.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "{host}:{port}",
                "protocol": "secure-mqtt",
                "protocolVersion": "3.1.1",
                "description": "The site's broker and the uplink's; a node's client id and user are tenant/site/node.",
                "variables": {
                    "host": {"description": "of your own broker: there is no public one"},
                    "port": {"default": "8883"},
                },
            }
        },
        "channels": {_name(row): _channel(row) for row in rows},
        "operations": {name: operation for row in rows for name, operation in _operations(row)},
        "components": {
            "messages": {name: _message(name) for name in (*schema_names(), "wire")},
            "schemas": _schemas(),
            "parameters": {name: {"description": text} for name, text in _LEVELS.items()},
        },
    }


def _name(row: TopicRow) -> str:
    """Give the channel's key: letters and dots only, as generators make identifiers of it."""
    return row.stream.replace("/", ".").replace("<", "").replace(">", "")


def _channel(row: TopicRow) -> Json:
    address = f"footfall/v1/{{tenant}}/{{site}}/{{node}}/{row.stream.replace('<', '{').replace('>', '}')}"
    return {
        "address": address,
        "title": row.stream,
        "description": f"{row.doc}. <node> is the {row.node}.",
        "messages": {row.schema: {"$ref": f"#/components/messages/{row.schema}"}},
        "parameters": {
            name: {"$ref": f"#/components/parameters/{name}"} for name in _LEVELS if f"{{{name}}}" in address
        },
    }


def _operations(row: TopicRow) -> list[tuple[str, Json]]:
    """Give one operation a role: who publishes sends, who reads receives."""
    binding = {"mqtt": {"qos": row.qos, "retain": row.retained, "bindingVersion": "0.2.0"}}
    common: Json = {
        "channel": {"$ref": f"#/channels/{_name(row)}"},
        "messages": [{"$ref": f"#/channels/{_name(row)}/messages/{row.schema}"}],
    }
    sends = [
        (f"{role}.sends.{_name(row)}", {"action": "send", **common, "bindings": binding}) for role in row.publishers
    ]
    takes: list[tuple[str, Json]] = [
        (f"{role}.receives.{_name(row)}", {"action": "receive", **common}) for role in row.readers
    ]
    return [*sends, *takes]


def _message(name: str) -> Json:
    if name == "wire":
        return {"name": name, "title": "Sighting batch", "contentType": "application/octet-stream", "summary": _BATCH}
    examples = schema(name)["examples"]
    assert isinstance(examples, list)
    text = {"contentType": "text/plain"} if name == "state" else {}
    return {
        "name": name,
        "title": f"Footfall message: {name}",
        **text,
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [{"payload": example} for example in examples],
    }


def _schemas() -> Json:
    """Give every schema and the definitions it points at, as `<schema>.<definition>`."""
    out: Json = {}
    for name in schema_names():
        tree = json.loads(
            json.dumps(schema(name)).replace('"#/$defs/', f'"#/components/schemas/{name}.'), object_hook=_draft7
        )
        definitions = tree.pop("$defs", {})
        out[name] = {key: value for key, value in tree.items() if key not in ("$schema", "$id", "examples")}
        out.update({f"{name}.{key}": value for key, value in definitions.items()})
    return out


def _draft7(node: Json) -> Json:
    """Say in JSON Schema draft 7, which AsyncAPI 3.0 is built on, what 2020-12 says of tuples and unions."""
    if "prefixItems" in node:
        node["items"] = node.pop("prefixItems")
        node["additionalItems"] = False
    if isinstance(node.get("discriminator"), dict):
        del node["discriminator"]  # the tag's `const` says the same
    return node
