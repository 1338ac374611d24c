"""JSON messages to bytes and back. Refuses what breaks the contract, also what claims to come from elsewhere."""

import re
from binascii import crc32
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
from msgspec import UNSET

from hostkit.contract.commands import Command, Response
from hostkit.contract.messages import (
    Ack,
    Desired,
    Event,
    Gap,
    GiveKeys,
    Health,
    Info,
    KpiBucket,
    Live,
    Message,
    SiteInForce,
    State,
    Visits,
)
from hostkit.contract.probes import Probes
from hostkit.contract.topics import Address, parse_topic, topics
from hostkit.errors import PeerError, UsageError
from hostkit.model import Provenance

T = TypeVar("T")

TYPE_PREFIX = "footfall.v1."
MAX_MESSAGE_BYTES = 1 << 20  # a heat map of 100,000 cells; everything else is far smaller
_MAX_QUOTE = 200  # characters of an error that quotes the sender's value
_encoder = msgspec.json.Encoder()
_SEAL = re.compile(rb',"crc32":"([0-9a-f]{8})"}')
_SEAL_BYTES = 20


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of message: the name of its schema and the decoder of its type."""

    name: str
    decoder: msgspec.json.Decoder[Message[T]]

    @property
    def type(self) -> object:
        """The type of the whole message, envelope included."""
        return self.decoder.type


INFO = Kind("info", msgspec.json.Decoder(Message[Info]))
HEALTH = Kind("health", msgspec.json.Decoder(Message[Health]))
SITE = Kind("site", msgspec.json.Decoder(Message[SiteInForce]))
VISITS = Kind("visits", msgspec.json.Decoder(Message[Visits]))
GAP = Kind("gap", msgspec.json.Decoder(Message[Gap]))
LIVE = Kind("live", msgspec.json.Decoder(Message[Live]))
KPI = Kind("kpi", msgspec.json.Decoder(Message[KpiBucket]))
EVENT = Kind("event", msgspec.json.Decoder(Message[Event]))
ACK = Kind("ack", msgspec.json.Decoder(Message[Ack]))
CMD: Kind[Command] = Kind("cmd", msgspec.json.Decoder(Message[Command]))
RSP = Kind("rsp", msgspec.json.Decoder(Message[Response]))
CONFIG = Kind("config", msgspec.json.Decoder(Message[Desired]))
PROBES = Kind("probes", msgspec.json.Decoder(Message[Probes]))
KINDS = {kind.name: kind for kind in (INFO, HEALTH, SITE, VISITS, GAP, LIVE, KPI, EVENT, ACK, CMD, RSP, CONFIG, PROBES)}


def compose(
    kind: Kind[T], data: T, *, publisher: Address, at: datetime, boot: str, seq: int, provenance: Provenance
) -> Message[T]:
    """Put `data` into its envelope; `at` is the publishing time with a time zone."""
    return Message(
        id=f"{boot}-{seq}",
        source=publisher.source,
        type=TYPE_PREFIX + kind.name,
        time=at,
        boot=boot,
        seq=seq,
        provenance=provenance,
        specversion="1.0",
        datacontenttype="application/json",
        data=data,
    )


def encode(kind: Kind[T], message: Message[T]) -> bytes:
    """Encode with a CRC-32 and read back: raises UsageError if what we are about to send breaks the contract."""
    payload = _sealed(message)
    try:
        _check(kind, kind.decoder.decode(payload))
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(
            str(error), where=f"message {message.id} of kind {kind.name}", next_step="correct it before sending"
        ) from error
    return payload


def decode(kind: Kind[T], payload: bytes, topic: str) -> Message[T]:
    """Decode what arrived on `topic`; raises PeerError with topic and key path. Unknown keys are ignored.

    A message without CRC-32, of an older release or an integrator's, is taken at its word.
    """
    address = parse_topic(topic)
    if len(payload) > MAX_MESSAGE_BYTES:
        raise _refusal(topic, f"{len(payload)} bytes, at most {MAX_MESSAGE_BYTES}")
    try:
        message = kind.decoder.decode(payload)
        _check(kind, message)
        if message.crc32 is not UNSET:
            if not whole(payload):
                raise ValueError("damaged on its way: its CRC-32 does not match")
            message = msgspec.structs.replace(message, crc32=UNSET)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _refusal(topic, str(error)) from error
    row = topics()[address.stream]
    if row.schema != kind.name:
        raise _refusal(topic, f"is a topic of {row.schema}, not of {kind.name}")
    if not address.may_come_from(message.source, to_node=row.node == "addressee"):
        raise _refusal(topic, f"its source {message.source} may not publish here")
    return message


def whole(payload: bytes) -> bool:
    """Tell whether a message is as it was sent: its CRC-32 matches, or its sender gave none. Blanks may follow."""
    payload = payload.rstrip()
    seal = _SEAL.fullmatch(payload[-_SEAL_BYTES:])
    return int(seal[1], 16) == crc32(payload[:-_SEAL_BYTES]) if seal else b'"crc32":' not in payload


def _sealed(message: Message[T]) -> bytes:
    """Encode with the CRC-32 of all that comes before it as the last member; not what is filled in with keys later."""
    encoded = _encoder.encode(message)
    if isinstance(message.data, GiveKeys | Response) and message.data.keys:
        return encoded
    return encoded[:-1] + b',"crc32":"%08x"}' % crc32(encoded[:-1])


def decode_state(payload: bytes, topic: str) -> State:
    """Decode the bare word of a `state` topic."""
    try:
        return State(payload[:32].decode("ascii"))
    except ValueError as error:
        raise _refusal(topic, f"not one of {', '.join(State)}") from error


def _check(kind: Kind[T], message: Message[T]) -> None:
    """Check what the types cannot say: the envelope's attributes agree with each other."""
    if message.type != TYPE_PREFIX + kind.name:
        raise ValueError(f"type is {message.type}, not {TYPE_PREFIX}{kind.name} - at `$.type`")
    if message.id != f"{message.boot}-{message.seq}":
        raise ValueError("id is not <boot>-<seq> - at `$.id`")


def _refusal(topic: str, what: str) -> PeerError:
    shown = "".join(char if char.isprintable() else "?" for char in what)  # it may quote the sender's value
    text, found, path = shown.rpartition(" - at `$.")
    where = f"{topic}: {path.rstrip('`')[:_MAX_QUOTE]}" if found else topic
    return PeerError(
        (text if found else shown)[:_MAX_QUOTE], where=where, next_step="quarantine it and look at its sender's version"
    )
