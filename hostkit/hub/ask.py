"""The other end of a command: sends one to a hub and waits for its answers."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Queue

from cryptography import x509
from cryptography.x509.oid import NameOID

from hostkit.contract.codec import CMD, RSP, compose, decode, encode
from hostkit.contract.commands import Asked, Response, Status
from hostkit.contract.rights import verb_of
from hostkit.contract.topics import HUB, Address, topic
from hostkit.errors import ConfigError, PeerError
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, Up, parse_url, take
from hostkit.model import Provenance

OPERATOR = "operator"  # node of who asks, where the broker does not know it by its certificate
EXPIRES_S = 60
ANSWER_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Envoy:
    """Who asks which hub, and when; `at` is of the envelope: in a replay that of the batches."""

    broker: str
    tenant: str
    site: str
    at: datetime
    node: str = OPERATOR
    provenance: Provenance = Provenance.LIVE


def order_terms(expires_s: int = EXPIRES_S) -> tuple[str, int]:
    """Give a new command's id and when it expires, Unix seconds."""
    return secrets.token_hex(8), int(time.time()) + expires_s


def node_of(broker: str) -> str:
    """Give the node that a broker URL's certificate names; without one, OPERATOR. ConfigError for a broken file."""
    url = parse_url(broker)
    if url.cert is None:
        return OPERATOR
    try:
        certificate = x509.load_pem_x509_certificate(Path(url.cert).read_bytes())
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no certificate ({str(error)[:120]})", where=url.cert, next_step="give the file that enrolment made"
        ) from error
    return str(name.value).rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command as it is published."""

    topic: str
    payload: bytes


def request_of(envoy: Envoy, command: Asked) -> Request:
    """Put a command into its envelope."""
    address = Address(tenant=envoy.tenant, site=envoy.site, node=envoy.node)
    message = compose(CMD, command, publisher=address, at=envoy.at, boot=command.id, seq=1, provenance=envoy.provenance)
    where = topic(envoy.tenant, envoy.site, HUB, f"cmd/{verb_of(command)}")
    return Request(topic=where, payload=encode(CMD, message))


def ask(envoy: Envoy, command: Asked, *, wait_s: float, on_accepted: Callable[[Response], None]) -> Response:
    """Send `command` once and give its final answer, refused or done.

    Raises PeerError where no broker or hub answers within `wait_s`; what was accepted may still be done then.
    """
    answer = topic(envoy.tenant, envoy.site, HUB, f"rsp/{command.id}")
    request = request_of(envoy, command)
    inbox: Inbox = Queue(100)
    client = Client(
        parse_url(envoy.broker),
        inbox,
        name="ask",
        client_id=f"{envoy.tenant}/{envoy.site}/{envoy.node}-{command.id}",
        subscriptions=((answer, 1),),
    )
    conversation = _Conversation(client, inbox, request.topic, request.payload, answer)
    client.start()
    try:
        return conversation.final(time.monotonic() + wait_s, on_accepted)
    finally:
        client.stop()


class _Conversation:
    """One question on one connection; the client sends it again by itself if that breaks."""

    def __init__(self, client: Client, inbox: Inbox, request: str, payload: bytes, answer: str) -> None:
        self._client, self._inbox = client, inbox
        self._request, self._payload, self._answer = request, payload, answer
        self._sent = False
        self._trouble = "it cannot be reached"

    def final(self, until_s: float, on_accepted: Callable[[Response], None]) -> Response:
        accepted = False
        while time.monotonic() < until_s:
            response = self._next()
            if response is None:
                continue
            if response.outcome is not Status.ACCEPTED:
                return response
            accepted = True
            on_accepted(response)
        if not self._sent:
            raise PeerError(
                f"no broker answers ({self._trouble})",
                where=str(self._client.url),
                next_step="start the broker, check address and certificate",
            )
        what = "accepted, not done in time" if accepted else "no answer; it may lack the right to ask"
        raise PeerError(what, where=self._request, next_step="look at the hub's state and log (footfall watch)")

    def _next(self) -> Response | None:
        item = take(self._inbox, 0.2)
        if isinstance(item, Up) and not self._sent:
            self._sent = self._client.publish(self._request, self._payload) is not None
        elif isinstance(item, Down):
            self._trouble = item.reason
        elif isinstance(item, Arrived):
            self._client.ack(item)
            if item.topic == self._answer:  # amqtt 0.12 also delivers retained messages nobody subscribed to
                return decode(RSP, item.payload, item.topic).data
        return None
