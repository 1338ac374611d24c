"""The AsyncAPI document and the reference page are generated, valid, and say what topics and schemas say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from hostkit import contract
from hostkit.contract import asyncapi, generate, reference

DOCUMENT = json.loads(contract.text("asyncapi"))
META = Path(__file__).parents[1] / "data" / "asyncapi" / "3.0.0.json"


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_files_are_what_the_generator_writes() -> None:
    assert contract.text("asyncapi") == generate.dump(asyncapi.build()), "run python -m hostkit.contract.generate"
    assert contract.text("reference") == reference.build(), "run python -m hostkit.contract.generate"


def test_the_document_keeps_the_standard() -> None:
    jsonschema.Draft7Validator(json.loads(META.read_text("utf-8"))).validate(DOCUMENT)


def test_every_reference_leads_somewhere() -> None:
    for reference_ in references(DOCUMENT):
        node = DOCUMENT
        for key in reference_.removeprefix("#/").split("/"):
            node = node[key]


def test_every_topic_is_a_channel_with_its_delivery_and_its_roles() -> None:
    operations = DOCUMENT["operations"]
    assert len(DOCUMENT["channels"]) == len(contract.topics())
    for row in contract.topics().values():
        name = row.stream.replace("/", ".").replace("<", "").replace(">", "")
        address = DOCUMENT["channels"][name]["address"]
        assert re.sub(r"\{(\w+)\}", r"<\1>", address) == f"footfall/v1/<tenant>/<site>/<node>/{row.stream}"
        for role in row.publishers:
            binding = operations[f"{role}.sends.{name}"]["bindings"]["mqtt"]
            assert (binding["qos"], binding["retain"]) == (row.qos, row.retained)
        assert all(f"{role}.receives.{name}" in operations for role in row.readers)


@pytest.mark.parametrize("name", contract.schema_names())
def test_its_schemas_take_every_example_and_refuse_what_ours_refuse(name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    validator = jsonschema.Draft7Validator(schema)
    for example in contract.schema(name)["examples"]:
        validator.validate(example)
        broken = "onlin" if name == "state" else {**example, "seq": -1}
        assert not validator.is_valid(broken)


def test_tuples_are_held_to_their_length_and_kinds() -> None:
    schema = {"$ref": "#/components/schemas/visits.VisitRow", "components": DOCUMENT["components"]}
    validator = jsonschema.Draft7Validator(schema)
    row = contract.schema("visits")["examples"][0]["data"]["rows"][0]
    validator.validate(row)
    for dwell_s in ([1, 2], [1, 2, 3, 4], [1, "2", 3]):
        assert not validator.is_valid({**row, "dwell_s": dwell_s})


def test_the_page_has_every_stream_and_every_field() -> None:
    page = contract.text("reference")
    for stream in contract.topics():
        assert f"| `{stream}` |" in page
    for schema in DOCUMENT["components"]["schemas"].values():
        for field in schema.get("properties", {}):
            assert f"| `{field}` |" in page
