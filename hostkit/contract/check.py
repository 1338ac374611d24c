"""Messages of any of our topics held against the contract, as lines or files bring them."""

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
