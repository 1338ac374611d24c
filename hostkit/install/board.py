"""A board beside the installer, whatever the way to it: what it says of itself, and what it can be told."""

from collections.abc import Mapping
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from hostkit.install.improv import Device

Word = Annotated[str, Meta(max_length=200)]
Settings = Mapping[str, object]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How far a board with settings is, by its own word (firmware/sensor/console.py). `trouble` is `kind: what`."""

    probe: Word
    tenant: Word = ""
    site: Word = ""
    uplink: Word = ""
    firmware: Word = ""
    boot: int = 0
    state: Word = ""
    network: bool = False
    hub: bool = False
    trouble: Word = ""
    key_id: int | None = None
    radios: Annotated[tuple[Word, ...], Meta(max_length=8)] = ()
    seen: int = 0
    acknowledged: int = 0
    on_trial: bool = False


class Way(Protocol):
    """A way to a board. Every call raises PeerError that says what happened and what to try."""

    where: str

    def meet(self) -> Device | Status:
        """Hear who it is: a blank board its firmware, one with settings how far it is."""

    def join(self, ssid: str, password: str) -> None:
        """Let a blank board join a network and wait until it has; it keeps both."""

    def configure(self, settings: Settings, salt: str) -> dict[str, object]:
        """Give a blank board its settings; give what its flash holds then, secrets as digests behind `salt`."""

    def forget(self, probe: str) -> None:
        """Make a board blank that is set up as `probe`, and wait until it is."""

    def close(self) -> None:
        """Let go of it."""
