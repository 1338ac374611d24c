"""What the hub says, in its envelopes. Knows topics and sequence; keeps nothing and waits for nobody."""

import secrets
from datetime import UTC, datetime
from typing import TypeVar

from hostkit.contract.codec import Kind, compose, encode
from hostkit.contract.messages import ConfigRefused, Message
from hostkit.contract.topics import HUB, Address, topic
from hostkit.hub.settings import config_hash
from hostkit.model import Provenance, Site

T = TypeVar("T")

NODE = HUB


class Voice:
    """Composes messages of one run: their `boot` is the run's, their `seq` counts from 1."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.address = Address(tenant=site.tenant, site=site.site, node=NODE)
        self.boot = f"run-{secrets.token_hex(8)}"
        self.config_hash = config_hash(site)
        self.config_refused: ConfigRefused | None = None
        self.provenance: Provenance | None = None  # that of the probes; unknown, nothing but `state` is said
        self._seq = 0

    def compose(self, kind: Kind[T], data: T, at_s: float, *, boot: str | None = None, seq: int = 0) -> Message[T]:
        """Put `data` into its envelope; with `boot` and `seq` it is the outbox's, else the run's next."""
        if boot is None:
            self._seq += 1
            boot, seq = self.boot, self._seq
        at = datetime.fromtimestamp(at_s, UTC)
        provenance = self.provenance or Provenance.LIVE
        return compose(kind, data, publisher=self.address, at=at, boot=boot, seq=seq, provenance=provenance)

    def payload(self, kind: Kind[T], data: T, at_s: float) -> bytes:
        """Compose and encode."""
        return encode(kind, self.compose(kind, data, at_s))

    def topic(self, stream: str, node: str = NODE) -> str:
        """Give the topic of a stream of this site."""
        return topic(self.site.tenant, self.site.site, node, stream)

    def pattern(self, stream: str) -> str:
        """Give the subscription to a stream of every node of this site."""
        return f"footfall/v1/{self.site.tenant}/{self.site.site}/+/{stream}"
