"""Registered tags: the list and what it refuses; a shop with staff in it counts as without them."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hostkit.cli.main import cli
from hostkit.contract.codec import CMD, HEALTH, KPI
from hostkit.contract.messages import GiveKeys
from hostkit.core.dot11 import FRAME, device_keys
from hostkit.core.wire import RECORD, Batch, Flag
from hostkit.errors import ConfigError, HostkitError, UsageError
from hostkit.hub.tags import LOOK_S, TAGS, Registry, TagRole, add_tag, read_tags, tag_of
from hostkit.model import Provenance
from hostkit.sim.air import SimulatedAir
from hostkit.sim.flush import flush
from hostkit.sim.player import Player
from hostkit.sim.probe import Heard
from hostkit.sim.world import SimSettings, Simulation, simulate
from tests.hub.service import HubProcess, Watcher, patient
from tests.io.brokers import Mosquitto
from tests.privacy.search import Search

SCANNER, BADGE, OTHER = "00:1b:c5:0a:00:07", "ce:1b:c5:00:00:09", "00:1b:c5:0a:00:08"
KEY = bytes(range(16))


def raw(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


# ---- the list ----


def tag(*arguments: str | Path, given: str | None = None) -> Result:
    result = CliRunner().invoke(cli, ["hub", "tag", *map(str, arguments)], input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


def test_tags_are_added_listed_and_removed_and_no_word_holds_an_address(tmp_path: Path) -> None:
    (tmp_path / "address").write_text(f"# anna's badge\n{BADGE.upper().replace(':', '-')}\n")
    said = tag("add", "scanner", "--role", "staff", "--data", tmp_path, given=f" {SCANNER}\n").output
    said += tag("add", "anna", "--role", "tag", "--random", "--from", tmp_path / "address", "--data", tmp_path).output
    listed = tag("list", "--json", "--data", tmp_path).stdout
    assert json.loads(listed) == [
        {"name": "scanner", "role": "staff", "address_kind": "public"},
        {"name": "anna", "role": "tag", "address_kind": "static"},
    ]
    assert (tmp_path / TAGS).stat().st_mode & 0o777 == 0o600
    said += listed + tag("list", "--data", tmp_path).output + repr(read_tags(tmp_path))
    said += tag("remove", "scanner", "--data", tmp_path).output
    assert [one.address for one in read_tags(tmp_path)] == [BADGE]
    assert Search({"address": [raw(SCANNER), raw(BADGE)]}).find(said.encode()) == []


@pytest.mark.parametrize(
    ("address", "random", "why"),
    [
        ("5e:1b:c5:00:00:07", False, "is randomised"),
        ("5e:1b:c5:00:00:07", True, "a resolvable private address changes and cannot be registered"),
        ("2c:1b:c5:00:00:07", True, "a non-resolvable private address changes"),
        ("8c:1b:c5:00:00:07", True, "a reserved private address changes"),
        ("01:00:5e:00:00:07", False, "is nobody's own"),
        ("00:00:00:00:00:00", False, "is nobody's own"),
        ("00:1b:c5:0a:00", False, "is no address"),
        (f"{SCANNER}\n{OTHER}", False, "is no address"),
        ("", False, "is no address"),
        ("x" * 20_000, False, "is no address"),
    ],
)
def test_an_address_that_changes_or_is_none_is_refused_and_not_repeated(address: str, random: bool, why: str) -> None:
    with pytest.raises(HostkitError, match=why) as refused:
        tag_of("anna", TagRole.STAFF, address, random=random)
    assert len(address) < 17 or address[:17] not in str(refused.value)


def test_names_and_addresses_are_registered_once_and_the_list_is_bounded(tmp_path: Path) -> None:
    scanner = tag_of("scanner", TagRole.STAFF, SCANNER, random=False)
    add_tag(tmp_path, scanner)
    for again in (
        tag_of("scanner", TagRole.TAG, OTHER, random=False),
        tag_of("s2", TagRole.TAG, SCANNER, random=False),
    ):
        with pytest.raises(UsageError, match="is registered already"):
            add_tag(tmp_path, again)
    with pytest.raises(UsageError, match="is no name"):
        tag_of("Anna B", TagRole.STAFF, OTHER, random=False)
    for number in range(31):
        add_tag(tmp_path, tag_of(f"t-{number}", TagRole.STAFF, f"00:1b:c5:0b:00:{number:02x}", random=False))
    with pytest.raises(UsageError, match="32 tags are registered"):
        add_tag(tmp_path, tag_of("more", TagRole.STAFF, OTHER, random=False))


@pytest.mark.parametrize("spoil", [lambda path: path.chmod(0o640), lambda path: path.write_text('{"tags": [{}]}')])
def test_a_list_others_may_read_or_that_is_damaged_is_told_and_the_last_one_kept(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    add_tag(tmp_path, tag_of("scanner", TagRole.STAFF, SCANNER, random=False))
    said: list[str] = []
    registry = Registry(tmp_path, said.append)
    assert registry.look(0.0)
    before = registry.named(1, memoryview(KEY)).tolist()
    assert before == device_keys([raw(SCANNER)], KEY).tolist()
    (tmp_path / TAGS).touch()
    spoil(tmp_path / TAGS)
    assert not registry.look(2 * LOOK_S)
    assert "the hub goes on with the tags it knows" in said[-1]
    assert registry.named(1, memoryview(KEY)).tolist() == before
    with pytest.raises(ConfigError):
        read_tags(tmp_path)


# ---- what they sent ----


def batch_of(*rows: tuple[int, int]) -> Batch:
    """A batch of records with these device keys and flags."""
    records = np.zeros(len(rows), RECORD)
    records["device_key"], records["flags"] = np.array(rows, np.uint64).T
    return Batch(
        provenance=Provenance.LIVE, probe="p", key_id=1, boot=1, seq=1, element_table=0, base_time_us=1, base_us=0,
        sent_us=1, seen=0, kept=0, dropped=0, records=records, listened=(),
    )  # fmt: skip


def test_what_tags_sent_is_left_out_flagged_or_not(tmp_path: Path) -> None:
    add_tag(tmp_path, tag_of("scanner", TagRole.STAFF, SCANNER, random=False))
    registry = Registry(tmp_path, lambda _: None)
    registry.look(0.0)
    own = int(device_keys([raw(SCANNER)], KEY)[0])
    batch = batch_of((own, 0), (5, 0), (7, Flag.REGISTERED), (own, Flag.REGISTERED | Flag.BLE))
    assert registry.without_tags(batch, memoryview(KEY)).records["device_key"].tolist() == [5]
    assert registry.heard == 3
    assert registry.without_tags(batch, None).records["device_key"].tolist() == [own, 5]  # its key is gone: by the flag


# ---- the whole way ----

SHORT = SimSettings(people=40, hours=0.5, seed=5)
TAGGED = {raw(SCANNER): 0, raw(BADGE): int(Flag.BLE)}


class WithStaff(SimulatedAir):
    """A simulated probe that hears a hand scanner over Wi-Fi and a badge over BLE as well, every five seconds."""

    sent = 0

    def listen(self, from_us: int, to_us: int, most: int, key: bytes) -> Heard | None:
        heard = super().listen(from_us, to_us, most, key)
        if heard is None:
            return None
        times = np.arange(-(-heard.from_us // 5_000_000) * 5_000_000, heard.to_us, 5_000_000)
        frames = np.zeros(len(times) * len(TAGGED), FRAME)
        frames["time_us"] = np.repeat(times, len(TAGGED))
        frames["device_key"] = np.tile(device_keys(list(TAGGED), key), len(times))
        frames["flags"] = np.tile(list(TAGGED.values()), len(times))
        frames["rssi_dbm"], frames["channel"], frames["fingerprint"] = -50, 6, 77
        self.sent += len(frames)
        together = np.concatenate([heard.frames, frames])
        return replace(heard, frames=together[np.argsort(together["time_us"], kind="stable")])


def hours(watcher: Watcher) -> dict[int, dict[tuple[str, str], float | None]]:
    """Give the figures of every hour as they were told last."""
    told = [KPI.decoder.decode(message.payload).data for message in watcher.of("hub/kpi/hour")]
    return {hour.start_s: {(one.id, str(one.split)): one.value for one in hour.kpis} for hour in told}


def lived(
    folder: Path, world: Simulation, sources: list[SimulatedAir], meanwhile: Callable[[Watcher], object]
) -> Watcher:
    """Play to a hub of its own until the end; give everything that was said."""
    site = SHORT.site
    broker = Mosquitto(folder).start()
    hub, watcher = HubProcess(folder, broker.url, site=site).start(), Watcher(broker)
    beside = threading.Thread(target=meanwhile, args=(watcher,), daemon=True)
    beside.start()
    try:
        player = Player(sources, broker.url, tenant=site.tenant, site=site.site, speed=400.0, say=patient)
        played = player.run()
        beside.join(5)
        flush(broker.url, tenant=site.tenant, site=site.site, at_us=played.until_us, provenance=Provenance.SIMULATED)
        assert hub.stop() == 0, hub.lines
        deadline = time.monotonic() + 60
        while watcher.of("hub/state")[-1].payload != b"offline":
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        if hub.process and hub.process.poll() is None:
            hub.process.kill()
        watcher.stop()
        broker.stop()
    return watcher


@pytest.fixture(scope="module")
def world() -> Simulation:
    return simulate(SHORT)


@pytest.mark.needs("mosquitto")
def test_a_shop_with_staff_all_day_counts_as_without_and_a_change_is_given_at_once(
    tmp_path: Path, world: Simulation
) -> None:
    data = tmp_path / "staff" / "data"
    for folder in (tmp_path / "without", data):
        folder.mkdir(parents=True)
    tag("add", "scanner", "--role", "staff", "--data", data, given=SCANNER)
    tag("add", "anna", "--role", "staff", "--random", "--data", data, given=BADGE)
    probes = range(len(world.ears))
    without = hours(lived(tmp_path / "without", world, [SimulatedAir(world, at) for at in probes], lambda _: None))

    def change(watcher: Watcher) -> None:
        watcher.wait("probe-1/cmd/key")
        tag("add", "walker", "--role", "tag", "--data", data, given=OTHER)

    staff = [WithStaff(world, at) for at in probes]
    heard = lived(tmp_path / "staff", world, list(staff), change)
    assert hours(heard) == without
    first = next(iter(without.values()))
    assert (first["footfall", "None"] or 0) > 3 < (first["occupancy", "None"] or 0)
    told = HEALTH.decoder.decode(heard.of("hub/health")[-1].payload).data.counters
    assert told["registered"] == sum(one.sent for one in staff) > 1000

    given = [CMD.decoder.decode(message.payload).data for message in heard.of("cmd/key")]
    keys = [one.keys[0] for one in given if isinstance(one, GiveKeys)]
    assert len({key.key_id for key in keys}) == 1  # the same key, with another list
    assert {len(key.registered) for key in keys} == {2, 3}
    expected = device_keys([raw(one) for one in (SCANNER, BADGE, OTHER)], bytes.fromhex(keys[-1].key))
    assert [int(one, 16) for one in keys[-1].registered] == expected.tolist()

    search = Search({"address": [raw(one) for one in (SCANNER, BADGE, OTHER)]})
    said = b"".join(one.topic.encode() + b" " + one.payload for one in heard.messages)
    kept = [path for path in (tmp_path / "staff").rglob("*") if path.is_file() and path.name != TAGS]
    assert search.find(said + b"".join(path.read_bytes() for path in kept)) == []
