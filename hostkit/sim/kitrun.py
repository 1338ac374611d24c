"""A hub of the kit's own beside a private broker and a simulated shop: what a hub in service is spared."""

from dataclasses import replace as changed
from pathlib import Path

from hostkit.config import dump_site
from hostkit.contract.codec import ACK, KPI, VISITS, compose, encode
from hostkit.contract.messages import Ack
from hostkit.contract.topics import Address
from hostkit.core.wire import decode_batch, encode_batch
from hostkit.hub.ask import OPERATOR
from hostkit.io.broker import plan_broker
from hostkit.io.process import Child, Children
from hostkit.sim.chain import FOOTFALL
from hostkit.sim.kit import ANSWER_S, Check, Ear, Kit, MissedError, Outcome, latest_health, observe, read
from hostkit.sim.live import play
from hostkit.sim.world import SimSettings, simulate

PEOPLE, HOURS, SPEED, SEED = 40, 0.5, 300.0, 5
_GONE = 5  # batches that the fed one is ahead
OWN = ("birth and will", "acks", "gaps", "duplicates", "outbox", "replay", "keys", "restart")


def run_own(kit: Kit, folder: Path) -> None:
    """Start broker and hub in `folder`, play a shop, check everything. Raises PeerError where they do not start."""
    settings = SimSettings(people=PEOPLE, hours=HOURS, seed=SEED)
    site_file = folder / "site.toml"
    site_file.write_text(dump_site(settings.site), encoding="utf-8")
    with Children() as children:
        plan = plan_broker(folder / "broker")
        broker = children.start("broker", plan.argv, folder)
        broker.wait_until(plan.accepts, 20.0)
        options = ("--site", str(site_file), "--broker", plan.url, "--data", str(folder / "hub"), "--clock", "batch")
        with Ear(plan.url, settings.site, node="collector") as ear:
            hub = children.start("hub", (*FOOTFALL, "hub", "run", *options), folder)
            hub.wait_until(lambda: ear.until(lambda: bool(ear.of("state")), 0.2), 60.0)
            play(simulate(settings), plan.url, speed=SPEED, say=lambda _: None)
            ear.listen(1.0)
            _own_checks(kit, ear, hub)
        with Ear(plan.url, settings.site, node=OPERATOR) as ear:
            observe(kit, ear, 1.0)


def skip_own(kit: Kit) -> None:
    """Say what a hub in service is spared."""
    for name in OWN:
        kit.note(Check(name=name, outcome=Outcome.SKIP, what="only for a hub of the kit's own (without --broker)"))


def _own_checks(kit: Kit, ear: Ear, hub: Child) -> None:
    kit.check("acks", lambda: _acks(ear))
    kit.check("gaps", lambda: _gaps(ear))
    kit.check("duplicates", lambda: _duplicates(ear))
    kit.check("replay", lambda: _replay(ear))
    kit.check("keys", lambda: _keys(ear))
    kit.check("birth and will", lambda: _will(ear, hub))
    kit.check("outbox", lambda: _outbox(ear, hub))
    kit.check("restart", lambda: _restart(ear, hub))


def _acks(ear: Ear) -> str:
    sent: dict[tuple[str, str], int] = {}
    for probe in ear.site.probes:
        for message in ear.of("obs", probe.id):
            batch = decode_batch(message.payload, origin=message.topic)
            sent[probe.id, str(batch.boot)] = max(sent.get((probe.id, str(batch.boot)), 0), batch.seq)
        for message in ear.of("ack", probe.id):
            ack = read(ACK, message).data
            if ack.upto >= sent.get((probe.id, ack.boot), 1 << 31):
                del sent[probe.id, ack.boot]
    if sent:
        raise MissedError(f"no ack up to the last batch of {sorted(sent)}", "look at the hub's log and disk")
    return f"every batch of {len(ear.site.probes)} probes"


def _gaps(ear: Ear) -> str:
    return _counted(ear, "batches_lost", _GONE, ahead=1 + _GONE)


def _duplicates(ear: Ear) -> str:
    return _counted(ear, "batches_duplicate", 1, ahead=0)


def _counted(ear: Ear, name: str, more: int, *, ahead: int) -> str:
    """Send the last batch of a probe once more, `ahead` in its sequence; see what the hub counts."""
    before = latest_health(ear)[name]
    last = ear.of("obs", ear.site.probes[0].id)[-1]
    batch = decode_batch(last.payload, origin=last.topic)
    ear.say(last.topic, encode_batch(changed(batch, seq=batch.seq + ahead)))
    ear.listen(6.0 if ahead else 0.5)  # so long it waits for what is missing
    found = latest_health(ear)[name] - before
    if found != more:
        raise MissedError(f"{name} rose by {found}, not by {more}", "update the hub")
    return f"{more} counted"


def _replay(ear: Ear) -> str:
    hours = [read(KPI, message) for message in ear.of("kpi/hour")]
    if not hours:
        raise MissedError("no hour was closed", "look at the hub's log")
    known = {(hour.data.start_s, hour.data.rev) for hour in hours}
    before = len(ear.of("kpi/hour"))
    id_, payload = ear.command(node=OPERATOR, from_s=min(known)[0], to_s=max(known)[0] + 1)
    ear.say(ear.topic("cmd/replay"), payload)
    ear.until(lambda: len(ear.of("kpi/hour")) > before and len(ear.answers(id_)) > 1, ANSWER_S)
    again = [read(KPI, message).data for message in ear.of("kpi/hour")[before:]]
    if not again or any((hour.start_s, hour.rev) not in known for hour in again):
        raise MissedError(f"{len(again)} hours came again, with other revisions than before", "update the hub")
    return f"{len(again)} closed hours came again as they were"


def _keys(ear: Ear) -> str:
    sent = [message for probe in ear.site.probes for message in ear.of("cmd/key", probe.id)]
    if not sent or any(message.retained or message.qos for message in sent):
        raise MissedError(f"{len(sent)} key messages, some retained or queued", "update the hub: keys go at QoS 0 only")
    return f"{len(sent)} messages, none retained, all QoS 0"


def _will(ear: Ear, hub: Child) -> str:
    states = [message.payload for message in ear.of("state")]
    hub.kill()
    ear.until(lambda: ear.of("state")[-1].payload == b"offline", ANSWER_S)
    said = ear.of("state")[-1].payload
    hub.restart()
    if b"online" not in states or said != b"offline":
        raise MissedError(f"born with {states[:3]}, after a kill {said!r}", "let the broker keep the will")
    if not ear.until(lambda: ear.of("state")[-1].payload == b"online", 60.0):
        raise MissedError("does not come back after a kill", f"read its log {hub.log}")
    return "online, offline when killed, online again"


def _outbox(ear: Ear, hub: Child) -> str:
    """Nobody has acknowledged so far: after the kill everything must have come again, under the same ids."""
    ear.listen(3.0)
    messages = [read(VISITS, message) for message in ear.of("visits")]
    times: dict[int, int] = {}
    for message in messages:
        times[message.seq] = times.get(message.seq, 0) + 1
    if not times or min(times.values()) < 2 or sorted(times) != list(range(1, max(times) + 1)):
        raise MissedError(f"rows by seq came so often: {times}", "update the hub: only an ack frees a row")
    address = Address(tenant=ear.site.tenant, site=ear.site.site, node="collector")
    last = messages[-1]
    ack = compose(
        ACK, Ack(boot=last.boot, upto=max(times)), publisher=address, at=last.time, boot="kit", seq=1,
        provenance=last.provenance,
    )  # fmt: skip
    ear.say(ear.topic("ack"), encode(ACK, ack), qos=0)
    ear.listen(1.0)
    before = len(ear.of("visits"))
    hub.kill()
    hub.restart()
    ear.listen(6.0)
    if len(ear.of("visits")) > before:
        raise MissedError("rows came again after they were acknowledged", "update the hub")
    return f"{len(times)} messages, again until acknowledged and then no more"


def _restart(ear: Ear, hub: Child) -> str:
    if not ear.until(lambda: ear.of("state")[-1].payload == b"online", 60.0):
        raise MissedError("does not come back", f"read its log {hub.log}")
    with Ear(ear.broker, ear.site, node="kit-2") as fresh:
        fresh.listen(1.0)
        missing = [s for s in ("state", "info", "site", "live", "kpi/hour") if not fresh.of(s)]
    if missing:
        raise MissedError(f"not retained after restarts: {', '.join(missing)}", "let the broker keep its data")
    return "state, info, site, live and hours are there for who comes later"
