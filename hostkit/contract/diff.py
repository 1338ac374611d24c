"""What a change of the contract breaks, from two AsyncAPI documents. Compares what is said, not how it is worded.

Who reads our messages ignores keys it does not know, so new fields break nobody; a value it never met, or one that
may now be missing, does. Who writes to us is broken by what becomes needed or is no longer taken.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Node: TypeAlias = Mapping[str, object]

TAKEN = frozenset({"cmd", "config"})  # messages that integrators write; all others they read
_LOW = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_HIGH = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_NOTHING: Node = {}
_DEPTH = 32  # of records within records; ours go to 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference. `where` is a stream or a field of a message; `breaks` tells whether clients must change."""

    where: str
    what: str
    breaks: bool


def differences(old: Node, new: Node) -> tuple[Change, ...]:
    """Compare two documents of `footfall contract show asyncapi`; ValueError for what is no such document."""
    found = [*_channels(old, new)]
    before, after = (_at(document, "components", "messages") for document in (old, new))
    for name in sorted(set(before) & set(after)):
        comparison = _Comparison(old, new, writes=name in TAKEN)
        found += comparison.schemas(_payload(before[name]), _payload(after[name]), name, 0)
    return tuple(dict.fromkeys(found))


def _channels(old: Node, new: Node) -> Iterator[Change]:
    before, after = _at(old, "channels"), _at(new, "channels")
    for name in sorted(set(before) | set(after)):
        if name not in after:
            yield Change(where=name, what="the stream is gone", breaks=True)
        elif name not in before:
            yield Change(where=name, what="new stream", breaks=False)
        else:
            for key, what in (("address", "address"), ("messages", "message")):
                if _node(before[name]).get(key) != _node(after[name]).get(key):
                    yield Change(where=name, what=f"another {what}", breaks=True)
            yield from _delivery(old, new, name)


def _delivery(old: Node, new: Node, channel: str) -> Iterator[Change]:
    before, after = (_bindings(document, channel) for document in (old, new))
    for key in ("qos", "retain"):
        if before.get(key) != after.get(key):
            yield Change(where=channel, what=f"{key} {before.get(key)} becomes {after.get(key)}", breaks=True)


def _bindings(document: Node, channel: str) -> Node:
    for value in _at(document, "operations").values():
        operation = _node(value)
        if operation.get("action") == "send" and _node(operation.get("channel")).get("$ref") == f"#/channels/{channel}":
            return _at(operation, "bindings", "mqtt")
    return _NOTHING


class _Comparison:
    """Schemas of two documents against each other; `writes`: clients write the message."""

    def __init__(self, old: Node, new: Node, *, writes: bool) -> None:
        self._old, self._new, self._writes = old, new, writes

    def schemas(self, old: Node, new: Node, where: str, depth: int) -> Iterator[Change]:
        """Compare two schemas; `where` is the path so far."""
        if depth > _DEPTH:
            return
        before, after = _resolve(self._old, old), _resolve(self._new, new)
        yield from _values(before, after, where, writes=self._writes)
        yield from self._properties(before, after, where, depth + 1)
        for key in ("items", "additionalProperties"):
            pairs = zip(_listed(before.get(key)), _listed(after.get(key)), strict=False)
            for i, (one, other) in enumerate(pairs):
                path = f"{where}[{i if isinstance(before[key], list) else ''}]"
                yield from self.schemas(one, other, path, depth + 1)
        yield from self._unions(before, after, where, depth + 1)

    def _properties(self, before: Node, after: Node, where: str, depth: int) -> Iterator[Change]:
        olds, news = _node(before.get("properties")), _node(after.get("properties"))
        needed_before, needed = (set(_texts(node.get("required"))) for node in (before, after))
        for name in sorted(set(olds) | set(news)):
            path = f"{where}.{name}"
            if name not in news:
                yield Change(where=path, what="the field is gone", breaks=True)
            elif name not in olds:
                must = name in needed
                what = "new field, needed" if must else "new field"
                yield Change(where=path, what=what, breaks=self._writes and must)
            else:
                if name in needed - needed_before:
                    yield Change(where=path, what="becomes needed", breaks=self._writes)
                if name in needed_before - needed:
                    yield Change(where=path, what="may be missing now", breaks=not self._writes)
                yield from self.schemas(_node(olds[name]), _node(news[name]), path, depth)

    def _unions(self, before: Node, after: Node, where: str, depth: int) -> Iterator[Change]:
        """Compare the alternatives of `anyOf` by what they are called or are."""
        olds = {_name(node): node for node in _listed(before.get("anyOf"))}
        news = {_name(node): node for node in _listed(after.get("anyOf"))}
        for name in sorted(olds.keys() | news.keys()) if olds and news else ():
            if name not in news:
                yield Change(where=where, what=f"{name} is no longer an alternative", breaks=self._writes)
            elif name not in olds:
                yield Change(where=where, what=f"{name} is a new alternative", breaks=not self._writes)
            else:
                yield from self.schemas(olds[name], news[name], where, depth)


def _values(before: Node, after: Node, where: str, *, writes: bool) -> Iterator[Change]:
    """Compare which values are allowed: more break readers, fewer break writers."""
    olds, news = _allowed(before), _allowed(after)
    for value in sorted(news - olds):
        yield Change(where=where, what=f"may be {value} now", breaks=not writes)
    for value in sorted(olds - news):
        yield Change(where=where, what=f"is never {value} now", breaks=writes)
    if before.get("pattern") != after.get("pattern"):
        yield Change(where=where, what=f"pattern becomes {after.get('pattern')}", breaks=True)
    for keys, sign in ((_LOW, 1.0), (_HIGH, -1.0)):
        for key in keys:
            tighter = sign * (_bound(after, key, sign) - _bound(before, key, sign))
            if tighter > 0:
                yield Change(where=where, what=f"{key} becomes {after.get(key)}", breaks=writes)
            elif tighter < 0:
                yield Change(where=where, what=f"{key} becomes {after.get(key)}", breaks=not writes)


def _allowed(node: Node) -> set[str]:
    """Name the constants a schema allows or, without any, the types."""
    if "const" in node:
        return {repr(node["const"])}
    if "enum" in node:
        return {repr(value) for value in _values_of(node["enum"])}
    kind = node.get("type")
    return {kind} if isinstance(kind, str) else set(_texts(kind))


def _bound(node: Node, key: str, sign: float) -> float:
    value = node.get(key)
    return float(value) if isinstance(value, int | float) else -sign * 1e308


def _name(node: Node) -> str:
    reference = node.get("$ref")
    return str(reference).rpartition(".")[2] if reference else " or ".join(sorted(_allowed(node)))


def _payload(message: object) -> Node:
    return _node(_node(message).get("payload"))


def _resolve(document: Node, node: Node) -> Node:
    """Follow references; what stands beside one stays in force."""
    for _ in range(_DEPTH):
        reference = node.get("$ref")
        if not isinstance(reference, str):
            break
        beside = {key: value for key, value in node.items() if key != "$ref"}
        node = {**_at(document, *reference.removeprefix("#/").split("/")), **beside}
    return node


def _at(node: Node, *path: str) -> Node:
    for key in path:
        node = _node(node.get(key))
    return node


def _node(value: object) -> Node:
    if value is None or isinstance(value, bool):
        return _NOTHING
    if not isinstance(value, dict):
        raise ValueError(f"{str(value)[:40]!r} where an object should be")
    return value


def _listed(value: object) -> list[Node]:
    return [_node(item) for item in value] if isinstance(value, list) else [_node(value)] if value else []


def _values_of(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [str(item) for item in _values_of(value)]
