"""Tells a hub that its input is over: it closes open visits and puts them into its outbox. Waits for the answer."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Queue

from hostkit.contract.codec import CMD, RSP, compose, decode, encode
from hostkit.contract.messages import Flush, Response
from hostkit.contract.topics import Address, topic
from hostkit.errors import PeerError
from hostkit.io.mqtt import Arrived, Client, Inbox, Up, parse_url, take
from hostkit.model import Provenance

HUB = "hub"
_NODE = "flush"
_ANSWER_S = 30.0


def flush(broker: str, *, tenant: str, site: str, at_us: int, provenance: Provenance) -> None:
    """Send `cmd/flush` at `at_us` of batch time; raises PeerError if the hub refuses or does not answer."""
    inbox: Inbox = Queue(100)
    name = secrets.token_hex(8)
    answer = topic(tenant, site, HUB, f"rsp/{name}")
    client = Client(
        parse_url(broker), inbox, name=_NODE, client_id=f"{tenant}/{site}/{_NODE}-{name}", subscriptions=((answer, 1),)
    )
    message = compose(
        CMD,
        Flush(id=name),
        publisher=Address(tenant=tenant, site=site, node=_NODE),
        at=datetime.fromtimestamp(at_us / 1e6, UTC),
        boot=name,
        seq=1,
        provenance=provenance,
    )
    payload = encode(CMD, message)
    client.start()
    try:
        response = _answered(
            client, inbox, answer, lambda: client.publish(topic(tenant, site, HUB, "cmd/flush"), payload)
        )
    finally:
        client.stop()
    if response.error:
        raise PeerError(response.error.what, where="hub: flush", next_step=response.error.next_step)


def _answered(client: Client, inbox: Inbox, answer: str, ask: Callable[[], object]) -> Response:
    give_up = time.monotonic() + _ANSWER_S
    while time.monotonic() < give_up:
        item = take(inbox, 0.2)
        if isinstance(item, Up):
            ask()
        elif isinstance(item, Arrived):
            client.ack(item)
            if item.topic == answer:  # amqtt 0.12 also delivers retained messages nobody subscribed to
                return decode(RSP, item.payload, item.topic).data
    raise PeerError(f"no answer within {_ANSWER_S:.0f} s", where="hub: flush", next_step="look at the hub's log")
