"""The contract as one page to read: topics, fields, examples. Built from topics.toml and the schemas alone."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from hostkit.contract import TopicRow, schema, schema_names, topics

Node: TypeAlias = Mapping[str, object]

NO_NEWLINE = r"(?!\n)"  # how the patterns keep Python's $ from matching before one
PIPE = r"\|"  # in a table

HEAD = """\
# Topics and messages

`footfall/v1/<tenant>/<site>/<node>/<stream>`, ids `[a-z0-9-]{1,32}`, MQTT 3.1.1. Messages are CloudEvents in structured
JSON, but for `state` (a bare word) and `obs` (the binary batch of `footfall contract show wire`). (`source`, `boot`,
`seq`) names a message once and for ever: drop what you have seen. A key you do not know is to be ignored: later
versions add some. The same as a machine reads it: `footfall contract show asyncapi`.
"""


def build() -> str:
    """Give the page, Markdown."""
    trees = {name: schema(name) for name in schema_names()}
    records = {name: _records(tree) for name, tree in trees.items()}
    uses = Counter(title for titles in records.values() for title in titles)
    shared = {title: node for titles in records.values() for title, node in titles.items() if uses[title] > 1}
    own = {name: {t: node for t, node in titles.items() if t not in shared} for name, titles in records.items()}
    sections = (
        _overview(),
        _section("Envelope", {"Message": _definitions(trees["ack"])["Message"]}),
        *(_kind(tree, own[name], name) for name, tree in trees.items()),
        _section("Shared", shared),
    )
    return "\n".join((HEAD, *(line for lines in sections for line in lines))) + "\n"


def _overview() -> Iterator[str]:
    yield "| stream | from → to | QoS | retained | message | content |"
    yield "|---|---|---|---|---|---|"
    for row in topics().values():
        yield (
            f"| `{row.stream}` | {_way(row)} | {row.qos} | {'yes' if row.retained else 'no'} "
            f"| {f'[{row.schema}](#{row.schema})' if row.schema != 'wire' else 'batch'} | {row.doc} |"
        )
    yield ""


def _way(row: TopicRow) -> str:
    return f"{', '.join(row.publishers)} → {', '.join(row.readers)}"


def _kind(tree: Node, records: Mapping[str, Node], name: str) -> Iterator[str]:
    yield from _section(name, records)
    if name == "state":
        yield f"{tree['description']} One of {_alternatives(_list(tree['enum']))}."
        yield ""
    yield "```json"
    yield json.dumps(_list(tree["examples"])[0], ensure_ascii=False, indent=1)
    yield "```"
    yield ""


def _section(name: str, records: Mapping[str, Node]) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    for title, definition in records.items():
        yield from _record(title, definition)


def _definitions(tree: Node) -> Mapping[str, Node]:
    return {title: _node(definition) for title, definition in _node(tree.get("$defs", {})).items()}


def _records(tree: Node) -> Mapping[str, Node]:
    """Give what a message is made of, but for its envelope; what is no record by its bare alternatives."""
    return {title: node for title, node in _definitions(tree).items() if title != "Message"}


def _record(title: str, definition: Node) -> Iterator[str]:
    if definition.get("type") != "object":
        yield f"**{title}**: {_type(definition)}. {definition.get('description', '')}"
        yield ""
        return
    yield f"**{title}**: {definition.get('description', '')}"
    yield ""
    yield "| field | type | needed | |"
    yield "|---|---|---|---|"
    required = _list(definition.get("required", []))
    for name, value in _node(definition.get("properties", {})).items():
        field = _node(value)
        yield f"| `{name}` | {_type(field)} | {'yes' if name in required else 'no'} | {field.get('description', '')} |"
    yield ""


def _type(field: Node) -> str:
    """Say a field's type and bounds in a few words."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(_node(option)) for option in _list(field["anyOf"])))
    if "enum" in field:
        return _alternatives(_list(field["enum"]))
    if "const" in field:
        return f"`{field['const']}`"
    if "prefixItems" in field:
        return f"[{', '.join(_type(_node(item)) for item in _list(field['prefixItems']))}]"
    if field.get("type") == "array":
        return f"list of {_type(_node(field.get('items', {})))}{_bounds(field, 'minItems', 'maxItems')}"
    if "pattern" in field:
        return f"text `{str(field['pattern']).removesuffix(NO_NEWLINE).replace('|', PIPE)}`"
    name = {"number": "number", "integer": "integer", "string": "text", "object": "map", "null": "null"}
    kind = name.get(str(field.get("type")), str(field.get("type", "any")))
    return f"{kind}{_bounds(field, 'minimum', 'maximum')}{_bounds(field, 'minLength', 'maxLength')}"


def _bounds(field: Node, low: str, high: str) -> str:
    if low not in field and high not in field:
        return ""
    return f" ({field.get(low, '')}…{field.get(high, '')})"


def _alternatives(values: list[object]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _node(value: object) -> Node:
    assert isinstance(value, dict)
    return value


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
