"""Tells a hub that its input is over: it closes open visits and puts them into its outbox. Waits for the answer."""

import secrets
import time
from datetime import UTC, datetime

from hostkit.contract.commands import Flush
from hostkit.errors import PeerError
from hostkit.hub.ask import ANSWER_S, EXPIRES_S, Envoy, ask
from hostkit.model import Provenance


def flush(broker: str, *, tenant: str, site: str, at_us: int, provenance: Provenance) -> None:
    """Send `cmd/flush` at `at_us` of batch time; raises PeerError if the hub refuses or does not answer."""
    at = datetime.fromtimestamp(at_us / 1e6, UTC)
    envoy = Envoy(broker=broker, tenant=tenant, site=site, at=at, provenance=provenance)
    command = Flush(id=secrets.token_hex(8), expires=int(time.time()) + EXPIRES_S)
    response = ask(envoy, command, wait_s=ANSWER_S, on_accepted=lambda _: None)
    if response.error:
        raise PeerError(response.error.what, where="hub: flush", next_step=response.error.next_step)
