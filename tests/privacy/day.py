"""A simulated day of a shop through real processes, with everything written down that an onlooker could have."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from hostkit.config import dump_site
from hostkit.contract.codec import CMD
from hostkit.contract.messages import GiveKeys
from hostkit.core.address import format_address, is_randomised
from hostkit.core.dot11 import device_keys
from hostkit.core.wire import decode_batch
from hostkit.hub.seal import Seal
from hostkit.hub.tags import TAGS, TagRole, add_tag, tag_of
from hostkit.io.broker import plan_broker
from hostkit.io.outbox import Outbox
from hostkit.io.process import Child, Children
from hostkit.sim.chain import FOOTFALL, accepts
from hostkit.sim.world import SimSettings, Simulation, simulate
from tests.hub.service import Watcher
from tests.io.brokers import free_port
from tests.privacy.memory import memory_of
from tests.privacy.search import Search
from tests.privacy.wire import Recorder

SETTINGS = SimSettings(people=60, hours=10.0, start=datetime(2025, 3, 4, 20, 0), seed=11)  # 04:00 is within
SPEED = 5000.0
WORLD = "played"  # the simulator's own: its truth and sales
ADDRESS, SSID, KEY, DEVICE_KEY, TAG = "address", "SSID", "key", "device key", "tag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What the day left. `keys` by id, in the order they ruled; `memory` is the hub's while it still ran."""

    folder: Path
    world: Simulation
    tap: Watcher
    recorder: Recorder
    keys: dict[int, bytes]
    ruled: tuple[int, ...]  # ids of keys that batches carried
    memory: list[bytes] | None  # None: it does not let us look
    process_text: bytes  # arguments and environment of hub, collector and probes
    search: Search

    def files(self) -> Iterator[Path]:
        """Give every file the processes left, but the simulator's own world and the hub's list of tags."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.name != TAGS and WORLD not in path.relative_to(self.folder).parts:
                yield path


def live_through(folder: Path, settings: SimSettings = SETTINGS) -> Day:
    """Run the day to its end, flush, and stop everything."""
    with Children() as children:
        plan = plan_broker(folder / "broker")
        broker = children.start("mosquitto", plan.argv, folder)
        broker.wait_until(plan.accepts, 20.0)
        tap = Watcher(plan, "#")
        recorder = Recorder(plan.port)
        world = simulate(settings)
        _register(folder / "hub", world)
        services = _services(children, folder, settings, f"mqtt://127.0.0.1:{recorder.port}")
        hub, _, probes = services
        text = b"".join(_process_text(child) for child in services)
        assert probes.wait(180.0) == 0, probes.last_words()
        keys = _keys(tap)
        memory = _memory(hub.process.pid)
        for child in services[:2]:
            assert child.stop() == 0, child.last_words()
        tap.stop()
        broker.stop()
        recorder.stop()
    ruled = tuple(dict.fromkeys(_key_ids(tap)))
    return Day(
        folder=folder, world=world, tap=tap, recorder=recorder, keys=keys, ruled=ruled, memory=memory,
        process_text=text, search=Search(_secrets(folder, world, keys)),
    )  # fmt: skip


def _register(data: Path, world: Simulation) -> None:
    """Make one of the computers in the shop a tag: its address is one of those that may be nowhere else."""
    data.mkdir()
    computers = [phone.address.to_bytes(6, "big") for phone in world.phones if phone.owner is None]
    address = format_address(next(one for one in computers if not is_randomised(one)))
    add_tag(data, tag_of("till", TagRole.STAFF, address, random=False))


def _services(children: Children, folder: Path, settings: SimSettings, url: str) -> tuple[Child, Child, Child]:
    """Start hub, collector and probes, all through the recorder."""
    site, data = folder / "site.toml", ("--broker", url, "--clock", "batch", "--data")
    site.write_text(dump_site(settings.site), encoding="utf-8")
    port = free_port()
    world = ("--people", settings.people, "--hours", settings.hours, "--start", settings.start.isoformat())
    world += ("--seed", settings.seed, "--speed", SPEED, "--out", folder / WORLD, "--json")
    commands = {
        "hub": ("hub", "run", "--site", site, *data, folder / "hub"),
        "collector": ("collector", "run", *data, folder / "collector", "--http", f"127.0.0.1:{port}"),
        "probes": ("simulate", "--site", site, "--mqtt", url, *world),
    }
    hub, collector, probes = (
        children.start(name, (*FOOTFALL, *map(str, command)), folder) for name, command in commands.items()
    )
    collector.wait_until(lambda: accepts(port), 60.0)
    return hub, collector, probes


def _process_text(child: Child) -> bytes:
    """Give what everybody on the machine, or its own user, may read of a process."""
    folder = Path("/proc", str(child.process.pid))
    return b"".join((folder / name).read_bytes() for name in ("cmdline", "environ"))


def _memory(pid: int) -> list[bytes] | None:
    try:
        return memory_of(pid)
    except PermissionError:
        return None


def _keys(tap: Watcher) -> dict[int, bytes]:
    """Give the keys that were sent, in order."""
    spans = []
    for message in tap.of("cmd/key"):
        command = CMD.decoder.decode(message.payload).data
        assert isinstance(command, GiveKeys)
        spans += command.keys
    return {span.key_id: bytes.fromhex(span.key) for span in sorted(spans, key=lambda span: span.from_s)}


def _key_ids(tap: Watcher) -> Iterator[int]:
    for message in tap.of("obs"):
        yield decode_batch(message.payload, origin="obs").key_id


def _secrets(folder: Path, world: Simulation, keys: dict[int, bytes]) -> dict[str, list[bytes]]:
    """Give everything that may be nowhere, or in `obs` alone: what was in the air and what the keys make of it."""
    addresses = [int(address).to_bytes(6, "big") for address in np.unique(world.emissions["address"])]
    devices = [device_keys(addresses, key) for key in keys.values()]
    outbox = Outbox(folder / "hub" / "hub.db")
    life = outbox.life()
    outbox.close()
    assert life is not None
    tags = Seal(keys[life.key_id], life.id).tags(device_keys(addresses, keys[life.key_id]))
    return {
        ADDRESS: addresses,
        SSID: sorted({name for phone in world.phones for name in phone.networks}),
        "WPS UUID": [phone.uuid for phone in world.phones],
        KEY: list(keys.values()),
        DEVICE_KEY: [bytes(key) for key in np.concatenate(devices).view("V8")],
        TAG: [bytes(tag) for tag in tags.view("V8")],
    }
