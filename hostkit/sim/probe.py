"""A probe over MQTT with the real protocol: key request, batches, spool until ack, health. Hears what its source says.

Where a real probe hears a radio, this one asks a `Source`; everything after that is what the hub gets from hardware.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hostkit import __version__
from hostkit.contract.codec import ACK, CMD, CONFIG, HEALTH, INFO, RSP, Kind, compose, decode, decode_state, encode
from hostkit.contract.commands import Command, Measured, Response, Restart, Status
from hostkit.contract.messages import (
    Ack,
    AskKeys,
    Clock,
    GiveKeys,
    Health,
    Info,
    KeySpan,
    State,
)
from hostkit.contract.topics import Address, parse_topic, topic, topics
from hostkit.core.dot11 import FINGERPRINT_VERSION
from hostkit.core.wire import READABLE_VERSIONS, Batch, Flag, Listened, encode_batch, records_of
from hostkit.errors import PeerError
from hostkit.io.memory import CACHED_BYTES
from hostkit.io.mqtt import Arrived, BrokerUrl, Client, Inbox, Item, Up
from hostkit.model import Probe, Provenance, Radio
from hostkit.sim.orders import Orders
from hostkit.sim.spool import Spool, Spooled

_HUB = "hub"
BATCH_RECORDS = 36  # fills about 1 KiB
BATCH_US = 10_000_000
HEALTH_US = 30_000_000
BOOT_LEAD_US = 30_000_000  # switched on this long before it first listens
_U32 = 2**32

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    """FRAME rows of [from_us, to_us), probe-local time, and how long each channel was listened to."""

    from_us: int
    to_us: int
    frames: NDArray[np.void]
    listened: tuple[Listened, ...]


class Source(Protocol):
    """What a probe hears, on its own clock (Unix time in µs as the probe believes it)."""

    @property
    def probe(self) -> str:
        """Give the probe's id."""

    @property
    def provenance(self) -> Provenance:
        """Say where it comes from."""

    @property
    def hardware(self) -> str:
        """Say what stands in for the board."""

    @property
    def start_us(self) -> int:
        """Give when listening begins."""

    def true_us(self, local_us: int) -> int:
        """Give the true time at which the probe's clock shows `local_us`."""

    def describe(self, fingerprint: int) -> bytes | None:
        """Give the description of a frame heard with this fingerprint; None if none is kept."""

    def measure(self, seconds: int) -> Measured:
        """Give the level of a reference phone, if somebody carries one here."""

    def take_up(self, probe: Probe) -> str | None:
        """Hear by another configuration from the next `listen` on; or say why not."""

    def listen(self, from_us: int, to_us: int, most: int, key: bytes) -> Heard | None:
        """Hear on from `from_us`, until `to_us` or `most` frames; later calls never go back. None when it is over.

        The result may begin after `from_us` where nobody listened in between.
        """


class ProbeNode:
    """One probe and its connection. `step` its items and calls come from one thread."""

    def __init__(self, source: Source, url: BrokerUrl, inbox: Inbox, *, tenant: str, site: str, boot: int) -> None:
        self.source = source
        self.address = Address(tenant=tenant, site=site, node=source.probe)
        self.boot = boot
        self.spool = Spool()
        self.over = False
        self.sent = 0
        self.acknowledged = 0
        self.no_key = 0  # frames that passed before there was a key
        self._last: Ack | None = None
        self._keys: tuple[KeySpan, ...] = ()
        self._known: int | None = None  # key id of the info that was sent last
        self._open: Heard | None = None
        self._open_key: KeySpan | None = None
        self._heard_until_us = self.now_us = source.start_us
        self._health_due_us = source.start_us + HEALTH_US
        self._seq = self._message_seq = self._kept = self._refused = 0
        self.orders = Orders(source.probe, source, lambda: f"{datetime.fromtimestamp(self.now_us / 1e6, UTC):%H:%M:%S}")
        self.client = Client(
            url,
            inbox,
            name=source.probe,
            client_id=f"{tenant}/{site}/{source.probe}",
            subscriptions=(
                (self._topic("ack"), 0),
                (f"{self._topic('state').removesuffix('state')}cmd/+", 1),
                (self._topic("config"), 1),
                (topic(tenant, site, _HUB, "state"), 0),
            ),
            state_topic=self._topic("state"),
        )

    @property
    def keyed(self) -> bool:
        """Tell whether it holds a key for what it hears next."""
        return self.over or self._open is not None or self._key_at(self._heard_until_us) is not None

    @property
    def kept(self) -> int:
        """Give how many frames went into batches."""
        return self._kept

    @property
    def dropped(self) -> int:
        """Give how many frames were lost: no key, or no room in the spool."""
        return self.no_key + self.spool.dropped_records

    @property
    def due_us(self) -> int | None:
        """True time at which the open batch is full; None without one."""
        return self.source.true_us(self._open.to_us) if self._open else None

    def handle(self, item: Item, at_s: float) -> None:
        """Take what the connection brought at `at_s` (monotonic). Refuses and counts what breaks the contract."""
        if isinstance(item, Up):
            self.spool.send_again(at_s)
            self._say_info()
        elif isinstance(item, Arrived):
            self.client.ack(item)
            self._arrived(item, at_s)

    def prepare(self) -> None:
        """Open the next batch if there is a key for it and no open one."""
        key = self._key_at(self._heard_until_us)
        if self._open or self.over or key is None:
            return
        until_us = min(self._heard_until_us + BATCH_US, key.until_s * 1_000_000)
        self._open_key = key
        self._open = self.source.listen(self._heard_until_us, until_us, BATCH_RECORDS, bytes.fromhex(key.key))
        self.over = self._open is None

    def close(self, true_us: int | None = None) -> None:
        """Close the open batch, with `true_us` before it is full, and put it into the spool."""
        heard, key = self._open, self._open_key
        if heard is None or key is None:
            return
        to_us, frames = heard.to_us, heard.frames
        if true_us is not None:
            ahead_us = self.source.true_us(heard.to_us) - true_us
            to_us = max(heard.to_us - max(ahead_us, 0), heard.from_us)
            frames = frames[frames["time_us"] < to_us]
        batch = self._batch(heard, frames, to_us, key)
        self.spool.push(Spooled(seq=self._seq, data=encode_batch(batch), records=len(frames)))
        self._open = None
        self._heard_until_us = self.now_us = to_us

    def pass_over(self, true_us: int) -> None:
        """Let time go by without a key: no key, no capture."""
        late_us = true_us - self.source.true_us(self._heard_until_us)
        if self.keyed or late_us <= 0:
            return
        until_us = self._heard_until_us + late_us
        while (missed := self.source.listen(self._heard_until_us, until_us, 4096, bytes(16))) is not None:
            self.no_key += len(missed.frames)
            self._heard_until_us = self.now_us = missed.to_us
            if missed.to_us >= until_us:
                return
        self.over = True

    def pump(self, at_s: float) -> None:
        """Send what the window allows, and health when it is due."""
        for batch in self.spool.to_send():
            if self.client.publish(self._topic("obs"), batch.data, qos=1) is None:
                return
            self.spool.sent(batch, at_s)
            self.sent += 1
        if self.now_us >= self._health_due_us and self.client.connected:
            self._health_due_us = self.now_us + HEALTH_US
            self._say(HEALTH, self._health(), "health")

    def restart(self) -> None:
        """Lose power and come back: RAM is lost, the spool and the keys with it; the boot counter goes on."""
        self._last = Ack(boot=str(self.boot), upto=self._seq)
        self.boot += 1
        self.spool, self._keys, self._open, self._known = Spool(), (), None, None
        self._seq = self._message_seq = self._kept = 0
        self.orders.note(f"boot: {self.boot}")
        self._say_info()

    def _topic(self, stream: str) -> str:
        return topic(self.address.tenant, self.address.site, self.address.node, stream)

    def _key_at(self, local_us: int) -> KeySpan | None:
        at_s = local_us // 1_000_000
        return next((key for key in self._keys if key.from_s <= at_s < key.until_s), None)

    def _arrived(self, item: Arrived, at_s: float) -> None:
        try:
            stream = parse_topic(item.topic).stream
            if stream == "state":
                self._hub_came(item, at_s)
            elif stream == "ack":
                self._acknowledged(decode(ACK, item.payload, item.topic).data, at_s)
            elif stream == "config":
                self.orders.configure(decode(CONFIG, item.payload, item.topic).data)
                self._say_info()
            else:
                self._command(decode(CMD, item.payload, item.topic).data)
        except PeerError:
            self._refused += 1  # reaches health; a probe has nobody else to tell

    def _hub_came(self, item: Arrived, at_s: float) -> None:
        """A hub that comes back to a broker without its session has none of what went there meanwhile."""
        if not item.retained and decode_state(item.payload, item.topic) is State.ONLINE:
            self.spool.send_again(at_s)

    def _acknowledged(self, ack: Ack, at_s: float) -> None:
        if ack.boot == str(self.boot) and ack.upto <= self._seq:
            self.acknowledged += self.spool.acknowledge(ack.upto, at_s)

    def _command(self, command: Command) -> None:
        if isinstance(command, GiveKeys):
            self._keys = (*self._ending(command.keys[0]), *command.keys)
            self._say_info()
        elif isinstance(command, AskKeys):
            # A key in an answer travels as one in a command: QoS 0, never queued, never retained.
            self._say(RSP, Response(id=command.id, keys=self._keys[-2:]), f"rsp/{command.id}", qos=0)
        else:
            response = self.orders.do(command)
            self._say(RSP, response, f"rsp/{command.id}")
            if isinstance(command, Restart) and response.outcome is Status.DONE:
                self.restart()

    def _ending(self, running: KeySpan) -> tuple[KeySpan, ...]:
        """Give the key before `running` while this probe's own clock has not passed its end."""
        own_s = self._heard_until_us / 1e6
        return tuple(key for key in self._keys if own_s < key.until_s <= running.from_s)

    def _say_info(self) -> None:
        key = self._open_key if self._open else self._key_at(self._heard_until_us)
        info = Info(
            role="probe",
            firmware=__version__,
            hardware=self.source.hardware,
            key_id=key.key_id if key and self._keys else None,
            wire_versions=READABLE_VERSIONS,
            radios=(Radio.WIFI,),
            element_table=FINGERPRINT_VERSION,
            config_hash=self.orders.config_hash,
            config_refused=self.orders.config_refused,
            last=self._last,
        )
        self._say(INFO, info, "info")

    def _say(self, kind: Kind[T], data: T, stream: str, *, qos: int | None = None) -> None:
        row = topics()[stream if stream in topics() else f"{stream.partition('/')[0]}/<id>"]
        self._message_seq += 1
        message = compose(
            kind,
            data,
            publisher=self.address,
            at=datetime.fromtimestamp(self.now_us / 1e6, UTC),
            boot=str(self.boot),
            seq=self._message_seq,
            provenance=self.source.provenance,
        )
        payload = encode(kind, message)
        if isinstance(data, Response) and data.keys:
            payload = payload.ljust(CACHED_BYTES + 1)  # so long that the hub's copies are overwritten when freed
        self.client.publish(self._topic(stream), payload, qos=row.qos if qos is None else qos, retain=row.retained)

    def _health(self) -> Health:
        return Health(
            uptime_s=self._own_us(self.now_us) / 1e6,
            counters={"kept": self._kept, "batches": self._seq, "sent": self.sent, "acknowledged": self.acknowledged},
            drops={
                "spool_batches": self.spool.dropped_batches,
                "spool_records": self.spool.dropped_records,
                "no_key": self.no_key,
                "refused": self._refused,
            },
            clock=Clock(synced=True),
            outbox_depth=len(self.spool),
        )

    def _own_us(self, local_us: int) -> int:
        return local_us - self.source.start_us + BOOT_LEAD_US

    def _batch(self, heard: Heard, frames: NDArray[np.void], to_us: int, key: KeySpan) -> Batch:
        self._seq += 1
        self._kept += len(frames)
        span_ms = (to_us - heard.from_us) // 1000
        return Batch(
            provenance=self.source.provenance,
            probe=self.source.probe,
            key_id=key.key_id,
            boot=self.boot,
            seq=self._seq,
            element_table=FINGERPRINT_VERSION,
            base_time_us=heard.from_us,
            base_us=self._own_us(heard.from_us),
            sent_us=self._own_us(to_us),
            seen=(self._kept + self.no_key) % _U32,
            kept=self._kept % _U32,
            dropped=self.dropped % _U32,
            records=_flagged(records_of(frames, heard.from_us), key),
            listened=_shortened(heard.listened, span_ms) if to_us < heard.to_us else heard.listened,
        )


def _flagged(records: NDArray[np.void], key: KeySpan) -> NDArray[np.void]:
    """Flag what registered tags sent, as the key names them."""
    theirs = np.isin(records["device_key"], np.array([int(one, 16) for one in key.registered], np.uint64))
    records["flags"][theirs] |= np.uint8(Flag.REGISTERED)
    return records


def _shortened(listened: tuple[Listened, ...], span_ms: int) -> tuple[Listened, ...]:
    """Share a shorter span among the channels as the whole was."""
    total = sum(entry.listened_ms for entry in listened) or 1
    return tuple(
        Listened(
            radio=entry.radio, channel=entry.channel, listened_ms=entry.listened_ms * span_ms // max(total, span_ms)
        )
        for entry in listened
    )


def new_boot() -> int:
    """Give a boot number no earlier run of this machine had: seconds since 1970."""
    return int(datetime.now(UTC).timestamp()) % _U32


def command_id() -> str:
    """Give an id for a command nobody else uses."""
    return secrets.token_hex(8)
