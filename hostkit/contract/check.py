"""Messages of any of our topics held against the contract, as lines or files bring them."""

from collections.abc import Mapping
from typing import cast

from hostkit.contract.codec import KINDS, MAX_MESSAGE_BYTES, Kind, decode, decode_state
from hostkit.contract.topics import parse_topic, topics
from hostkit.core.wire import decode_batch
from hostkit.errors import HostkitError

HEX_DIGITS = b"0123456789abcdefABCDEF"


def refusal(topic: str, payload: bytes) -> HostkitError | None:
    """Give what is wrong with a message on `topic`, None for nothing."""
    try:
        row = topics()[parse_topic(topic).stream]
        if row.content == "text":
            decode_state(payload, topic)
        elif row.content == "batch":
            decode_batch(payload, origin=topic)
        else:
            decode(cast("Kind[object]", KINDS[row.schema]), payload, topic)
    except HostkitError as error:
        return error
    return None


def split_line(line: bytes) -> tuple[str, bytes]:
    """Take `topic payload` apart: payload as it is (`mosquitto_sub -v`) or in hex (`-F '%t %x'`), as batches need.

    No topic has a space and no message of ours consists of hex digits.
    """
    topic, _, payload = line[: 2 * MAX_MESSAGE_BYTES + 256].rstrip(b"\r\n").partition(b" ")
    if payload and len(payload) % 2 == 0 and not payload.strip(HEX_DIGITS):
        payload = bytes.fromhex(payload.decode("ascii"))
    return topic.decode("utf-8", "replace"), payload


def unknown_key(tree: object, known: object, path: str = "") -> str | None:
    """Find a key of `tree` that `known`, the same as it was understood, does not have."""
    if isinstance(tree, Mapping) and isinstance(known, Mapping):
        for key, value in tree.items():
            where = f"{path}.{key}" if path else str(key)
            if key not in known:
                return "".join(char if char.isprintable() else "?" for char in where)[:200]
            if (found := unknown_key(value, known[key], where)) is not None:
                return found
    elif isinstance(tree, list) and isinstance(known, list | tuple):
        for index, (one, other) in enumerate(zip(tree, known, strict=False)):
            if (found := unknown_key(one, other, f"{path}[{index}]")) is not None:
                return found
    return None
