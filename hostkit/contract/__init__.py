"""The published contract as data: topics, envelope, schemas, KPI dictionary, and the texts beside them."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from hostkit.contract.topics import Address, TopicRow, parse_topic, topic, topics

__all__ = [
    "Address",
    "KpiDefinition",
    "TopicRow",
    "kpi_dictionary",
    "parse_topic",
    "schema",
    "schema_names",
    "text",
    "topic",
    "topics",
]

TEXTS = {
    "wire": "wire.md",
    "site-toml": "site-toml.md",
    "site-bundle": "site-bundle.md",
    "reference": "reference.md",
    "asyncapi": "asyncapi.yaml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiDefinition:
    """One row of the KPI dictionary. `people`: published beside its device figure, `<id>_devices`."""

    id: str
    name_en: str
    name_zh: str
    formula: str
    unit: str
    null_rule: str
    direction: Literal["higher", "lower", "none"]
    grain: tuple[Literal["live", "hour", "day"], ...]
    people: bool
    version: int


@cache
def kpi_dictionary() -> Mapping[str, KpiDefinition]:
    """Load kpi.toml, by id, in the order of the file."""
    rows = msgspec.convert(tomllib.loads(_read("kpi.toml"))["kpi"], tuple[KpiDefinition, ...])
    return {row.id: row for row in rows}


@cache
def schema_names() -> tuple[str, ...]:
    """Name the JSON Schemas of this package."""
    return tuple(sorted(path.name.removesuffix(".json") for path in files(__package__).joinpath("schema").iterdir()))


def schema(name: str) -> dict[str, object]:
    """Load one JSON Schema (draft 2020-12) with its examples; `name` must be one of `schema_names()`."""
    loaded: dict[str, object] = json.loads(_read(f"schema/{name}.json"))
    return loaded


def text(name: str) -> str:
    """Read one of TEXTS: wire format, keys of site.toml, page of topics and messages, AsyncAPI document."""
    return _read(TEXTS[name])


def _read(path: str) -> str:
    return files(__package__).joinpath(path).read_text("utf-8")
