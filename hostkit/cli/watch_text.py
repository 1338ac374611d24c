"""A message of any topic as one readable line, or as JSON. Trusts nobody: what is not printable is shown as `?`."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import click
import msgspec

from hostkit.cli import text
from hostkit.contract.codec import (
    ACK,
    CMD,
    CONFIG,
    EVENT,
    HEALTH,
    INFO,
    KPI,
    LIVE,
    RSP,
    SITE,
    VISITS,
    Kind,
    decode,
    decode_state,
)
from hostkit.contract.commands import Response
from hostkit.contract.messages import (
    Ack,
    Desired,
    Event,
    Flood,
    GiveKeys,
    Health,
    Info,
    KpiBucket,
    KpiValue,
    Live,
    SiteInForce,
    Visits,
)
from hostkit.contract.topics import Address, parse_topic, topics
from hostkit.core.drift import in_words
from hostkit.core.wire import Batch, decode_batch
from hostkit.errors import HostkitError
from hostkit.model import Provenance

T = TypeVar("T")

_FIGURES = 6  # in a line; --json has all
_MAX_LINE = 400
_COLOURS = {"simulated": "magenta", "replay": "cyan", "live": "green", "refused": "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One message, ready to be shown. `body` is what JSON shows of it, already encoded."""

    time: str
    place: str
    stream: str
    what: str
    provenance: str
    body: str


def seen(topic: str, payload: bytes) -> Seen:
    """Decode a message; one that breaks the contract is shown as refused, with the reason."""
    try:
        address = parse_topic(topic)
        return _decoded(address, topic, payload)
    except HostkitError as error:
        return Seen(
            time="", place=clean(topic), stream="", what=clean(str(error)), provenance="refused",
            body=json.dumps({"refused": clean(str(error))}),
        )  # fmt: skip


def line(shown: Seen, *, colour: bool) -> str:
    """Give the line for a person."""
    mark = (
        click.style(f"{shown.provenance:9}", fg=_COLOURS.get(shown.provenance)) if colour else f"{shown.provenance:9}"
    )
    place = click.style(shown.place, bold=True) if colour else shown.place
    return f"{shown.time:19} {mark} {place} {shown.stream}: {shown.what}"[:_MAX_LINE] + "\n"


def json_line(topic: str, shown: Seen) -> str:
    """Give the message as one line of JSON: topic and message, as it came but for keys."""
    return f'{{"topic": {json.dumps(clean(topic))}, "message": {shown.body}}}\n'


def clean(hostile: str) -> str:
    """Replace what could move the cursor, colour the screen or turn the writing direction."""
    return "".join(char if char.isprintable() else "?" for char in hostile)[:_MAX_LINE]


def _decoded(address: Address, topic: str, payload: bytes) -> Seen:
    stream = address.stream.replace("<verb>", address.last or "").replace("<id>", address.last or "")
    place = f"{address.tenant}/{address.site}/{address.node}"
    schema = topics()[address.stream].schema
    if schema == "state":
        word = decode_state(payload, topic).value
        return Seen(time="", place=place, stream=stream, what=word, provenance="", body=json.dumps(word))
    if schema == "wire":
        batch = decode_batch(payload, origin=topic)
        return Seen(
            time=_time(datetime.fromtimestamp(batch.base_time_us / 1e6, UTC)),
            place=place,
            stream=stream,
            what=_batch(batch),
            provenance=batch.provenance.value,
            body=json.dumps(_batch_figures(batch)),
        )
    data, at, provenance = _READERS[schema](payload, topic)
    secret = isinstance(data, GiveKeys) or (isinstance(data, Response) and bool(data.keys))
    body = json.dumps("holds keys: not shown") if secret else json.dumps(msgspec.json.decode(payload))
    return Seen(
        time=_time(at),
        place=place,
        stream=stream,
        what=clean(_what(data)),
        provenance=provenance.value,
        body=body,
    )


Reader = Callable[[bytes, str], tuple[object, datetime, Provenance]]


def _reader(kind: Kind[T]) -> Reader:
    def read(payload: bytes, topic: str) -> tuple[object, datetime, Provenance]:
        message = decode(kind, payload, topic)
        return message.data, message.time, message.provenance

    return read


_READERS = {
    "info": _reader(INFO),
    "health": _reader(HEALTH),
    "site": _reader(SITE),
    "visits": _reader(VISITS),
    "live": _reader(LIVE),
    "kpi": _reader(KPI),
    "event": _reader(EVENT),
    "ack": _reader(ACK),
    "cmd": _reader(CMD),
    "rsp": _reader(RSP),
    "config": _reader(CONFIG),
}


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _batch(batch: Batch) -> str:
    span_s = (batch.sent_us - batch.base_us) / 1e6
    listened_s = sum(entry.listened_ms for entry in batch.listened) / 1000
    return (
        f"{len(batch.records)} sightings in {span_s:.1f} s, listened {listened_s:.1f} s on {len(batch.listened)} "
        f"channels, key {batch.key_id}, batch {batch.boot}/{batch.seq}, {batch.dropped} dropped"
    )


def _batch_figures(batch: Batch) -> dict[str, object]:
    names = ("probe", "key_id", "boot", "seq", "base_time_us", "base_us", "sent_us", "seen", "kept", "dropped")
    figures: dict[str, object] = {name: getattr(batch, name) for name in names}
    return figures | {"provenance": batch.provenance.value, "records": len(batch.records)}


def _what(data: object) -> str:
    match data:
        case Info():
            key = "no key" if data.key_id is None else f"key {data.key_id}"
            return f"{data.role}, {data.hardware}, firmware {data.firmware}, {key}"
        case Health():
            return _health(data)
        case SiteInForce():
            return (
                f"{len(data.site.probes)} probes, {len(data.site.zones)} zones, configuration {data.config_hash[:12]}"
            )
        case Visits():
            return _visits(data)
        case Live():
            return _figures(data.kpis)
        case KpiBucket():
            start = _time(datetime.fromtimestamp(data.start_s, UTC))
            return f"{data.grain} from {start}, rev {data.rev}: {_figures(data.kpis)}"
        case Event():
            return f"{data.phase} {data.severity} {data.kind} {data.rule}: {data.text}"
        case Ack():
            return f"stored up to {data.boot}/{data.upto}"
        case Response():
            return f"refused: {data.error.what}; {data.error.next_step}" if data.error else data.outcome.value
        case Desired():
            return f"desired configuration {data.config_hash[:12]}"
        case GiveKeys():
            return "keys " + ", ".join(str(key.key_id) for key in data.keys) + " (not shown)"
    return type(data).__name__


def _health(health: Health) -> str:
    drops = ", ".join(f"{name} {count:,}" for name, count in health.drops.items() if count) or "nothing lost"
    counters = ", ".join(f"{name} {count:,}" for name, count in health.counters.items() if count) or "nothing counted"
    depth = "" if health.outbox_depth is None else f", {health.outbox_depth:,} waiting"
    flood = "" if health.flood is None else f"; {_flood(health.flood)}"
    drift = health.calibration.calibration_drift if health.calibration else ()
    drifted = "".join(f"; calibration_drift: {in_words(one.probe, one.hears_db, one.is_heard_db)}" for one in drift)
    return f"up {text.duration(health.uptime_s)}{depth}; {counters}; {drops}{flood}{drifted}"


def _flood(flood: Flood) -> str:
    near = f" near {flood.probe}" if flood.probe else ""
    return f"flood{'' if flood.active else ' (over)'}: {flood.set_aside:,} addresses in {flood.minutes:,} min{near}"


def _visits(visits: Visits) -> str:
    classes = Counter(row.visit_class.value for row in visits.rows)
    split = ", ".join(f"{count} {name}" for name, count in sorted(classes.items()))
    return f"{len(visits.rows)} visits ({split})"


def _figures(kpis: Iterable[KpiValue]) -> str:
    whole = [kpi for kpi in kpis if kpi.split is None]
    shown = "; ".join(_figure(kpi) for kpi in whole[:_FIGURES])
    return shown + (f"; {len(whole) - _FIGURES} more" if len(whole) > _FIGURES else "")


def _figure(kpi: KpiValue) -> str:
    if kpi.value is None:
        return f"{kpi.id} – ({kpi.reason})"
    interval = "" if kpi.low is None or kpi.high is None else f" ({kpi.low:,.3g} to {kpi.high:,.3g})"
    return f"{kpi.id} {kpi.value:,.4g}{interval}"
