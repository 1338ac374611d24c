"""MQTT topics as data: `footfall/v1/<tenant>/<site>/<node>/<stream>`. Refuses ids that could reach another place."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec

from hostkit.errors import PeerError, UsageError
from hostkit.model import ID_PATTERN

ROOT = "footfall/v1"
HUB = "hub"  # its node id in every site
_LEVELS = 5  # footfall, v1, tenant, site, node; the stream follows


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRow:
    """One stream of topics.toml. A level in <> of `stream` stands for any id."""

    stream: str
    publishers: tuple[str, ...]
    readers: tuple[str, ...]
    node: str  # whose id <node> is: publisher or addressee
    qos: int
    retained: bool
    content: str  # text, batch (wire.md) or json
    schema: str  # name in schema/; "wire" for batches
    doc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A topic taken apart. `stream` is as in topics.toml, `last` the id in the place of its <>."""

    tenant: str
    site: str
    node: str
    stream: str = ""
    last: str | None = None

    @property
    def source(self) -> str:
        """CloudEvents source of the node."""
        return f"/{self.tenant}/{self.site}/{self.node}"

    def may_come_from(self, source: str, *, to_node: bool) -> bool:
        """Tell whether a message with this `source` belongs here: same place and, unless addressed, same node."""
        return source.startswith(f"/{self.tenant}/{self.site}/") if to_node else source == self.source


@cache
def topics() -> Mapping[str, TopicRow]:
    """Load topics.toml, by stream."""
    data = tomllib.loads(files(__package__).joinpath("topics.toml").read_text("utf-8"))
    rows = msgspec.convert(data["topics"], tuple[TopicRow, ...])
    return {row.stream: row for row in rows}


def topic(tenant: str, site: str, node: str, stream: str) -> str:
    """Build a topic, e.g. stream "kpi/hour" or "cmd/key"; raises UsageError for a bad id or an unknown stream."""
    for name, value in (("tenant", tenant), ("site", site), ("node", node)):
        if not re.fullmatch(ID_PATTERN, value):
            raise UsageError(f"{name} {value!r} is not an id", where="topic", next_step="use 1 to 32 of a-z, 0-9 and -")
    if _row(stream) is None:
        known = ", ".join(topics())
        raise UsageError(f"stream {stream!r} is unknown", where="topic", next_step=f"use one of {known}")
    return f"{ROOT}/{tenant}/{site}/{node}/{stream}"


def parse_topic(text: str) -> Address:
    """Take a topic apart; raises PeerError for anything `topic` would not build."""
    levels = text.split("/", _LEVELS)
    ids, stream = levels[2:_LEVELS], levels[-1]
    row = _row(stream)
    if text[:200] != text or levels[:2] != ROOT.split("/") or len(levels) <= _LEVELS or row is None:
        raise PeerError(
            f"{text[:200]!r} is no topic of ours", where="topic", next_step="look at the publisher's version"
        )
    for value in ids:
        if not re.fullmatch(ID_PATTERN, value):
            raise PeerError(f"{value[:40]!r} is not an id", where="topic", next_step="use 1 to 32 of a-z, 0-9 and -")
    last = stream.rpartition("/")[2] if row.endswith(">") else None
    return Address(tenant=ids[0], site=ids[1], node=ids[2], stream=row, last=last)


def _row(stream: str) -> str | None:
    """Find the row of topics.toml a stream belongs to."""
    if stream in topics() and not stream.endswith(">"):
        return stream
    head, _, last = stream.partition("/")
    row = next((row for row in topics() if row.startswith(f"{head}/<")), None)
    return row if row and re.fullmatch(ID_PATTERN, last) else None
