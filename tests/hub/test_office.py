"""Commands and configuration at a running hub with simulated probes, over a real mosquitto."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hostkit.config import load_site, parse_site
from hostkit.contract import topic
from hostkit.contract.codec import CONFIG, INFO, KPI, SITE, compose, encode
from hostkit.contract.commands import (
    Asked,
    CalibrateApply,
    CalibrateStart,
    CalibrateUndo,
    Flush,
    Identify,
    Measure,
    ReadLog,
    Recompute,
    Replay,
    Response,
    Restart,
    Rollback,
    RotateKey,
    SetHop,
    SetPrivacy,
    SetProbe,
    SetThresholds,
    SetZones,
    Status,
)
from hostkit.contract.messages import Desired
from hostkit.contract.topics import Address
from hostkit.hub.ask import Envoy, ask
from hostkit.hub.fleet import probe_hash
from hostkit.hub.settings import versions
from hostkit.model import PrivacyMode, Provenance, Site, Zone
from hostkit.sim.air import SimulatedAir
from hostkit.sim.player import Player
from hostkit.sim.world import SimSettings, simulate
from tests.hub.service import HubProcess, Watcher, patient
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
SETTINGS = SimSettings(people=60, hours=6.0, seed=5)
SITE_ = SETTINGS.site


class Shop:
    """A hub, and probes that play beside it until the end of the tests."""

    def __init__(self, folder: Path) -> None:
        self.broker = Mosquitto(folder).start()
        self.path = folder / "site.toml"
        self.hub = HubProcess(folder, self.broker.url, site=SITE_).start()
        self.watcher = Watcher(self.broker)
        simulation = simulate(SETTINGS)
        air = [SimulatedAir(simulation, index) for index in range(len(simulation.ears))]
        self.player = Player(air, self.broker.url, tenant=SITE_.tenant, site=SITE_.site, speed=120.0, say=patient)
        self.thread = threading.Thread(target=self.player.run, daemon=True)
        self.thread.start()
        self.hub.said("key: ")
        self.watcher.wait("hub/site")

    def close(self) -> None:
        self.player.stop()
        self.thread.join(40)
        self.watcher.stop()
        self.hub.stop()
        self.broker.stop()

    def asked(self, of: type, *, node: str = "operator", expires: int = 20, **values: object) -> Response:
        command: Asked = of(id=secrets.token_hex(6), expires=int(time.time()) + expires, **values)
        envoy = Envoy(broker=self.broker.url, tenant=SITE_.tenant, site=SITE_.site, at=datetime.now(UTC), node=node)
        accepted: list[Response] = []
        response = ask(envoy, command, wait_s=expires + 5, on_accepted=accepted.append)
        assert len(accepted) == 1 or response.outcome is Status.REFUSED
        return response

    def done(self, of: type, **values: object) -> Response:
        response = self.asked(of, **values)
        assert response.error is None, response.error
        return response

    def in_force(self) -> Site:
        return SITE.decoder.decode(self.watcher.of("hub/site")[-1].payload).data.site

    def until(self, holds, what: str) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + 40
        while not holds():
            assert time.monotonic() < deadline, what
            time.sleep(0.05)

    def publish(self, stream: str, payload: bytes) -> None:
        self.watcher.client.publish(topic(SITE_.tenant, SITE_.site, "hub", stream), payload, retain=True)

    def desired(self, config_hash: str, site: Site, node: str = "collector", **change: object) -> None:
        message = compose(
            CONFIG,
            Desired(config_hash=config_hash, site=site),
            publisher=Address(tenant=SITE_.tenant, site=SITE_.site, node=node),
            at=datetime.now(UTC),
            boot="c",
            seq=1,
            provenance=Provenance.LIVE,
        )
        tree = json.loads(encode(CONFIG, message))
        del tree["crc32"]
        tree["data"] |= change
        self.publish("config", json.dumps(tree).encode())

    def refused(self, config_hash: str) -> str:
        def told() -> str | None:
            refused = INFO.decoder.decode(self.watcher.of("hub/info")[-1].payload).data.config_refused
            return refused.what if refused and refused.config_hash == config_hash else None

        self.until(told, "config_refused")
        what = told()
        assert what
        return what


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    yield shop
    shop.close()


def test_thresholds_and_zones_are_taken_over_while_it_runs(shop: Shop) -> None:
    before = load_site(shop.path)
    answer = shop.done(SetThresholds, values={"bounce_s": 45.0, "deep_zones": 4})
    assert (answer.version, answer.restart) == (2, ())
    zones = (Zone(id="all", floor=before.floors[0].id, polygon_m=before.floors[0].interior_m),)
    assert shop.done(SetZones, zones=zones).version == 3
    shop.until(lambda: shop.in_force().zones == zones, "the site in force has the zones")
    assert shop.in_force() == load_site(shop.path)
    assert (shop.in_force().thresholds.bounce_s, shop.in_force().thresholds.deep_zones) == (45.0, 4)
    shop.done(Rollback, version=1)
    shop.until(lambda: shop.in_force() == before, "the first version is in force again")
    assert [one.number for one in versions(shop.path)] == [1, 2, 3, 4]


def test_a_bad_one_is_refused_whole_and_named(shop: Shop) -> None:
    text = shop.path.read_text()
    answer = shop.asked(SetThresholds, values={"bounce_s": 45.0, "deep_s": 10.0})
    assert answer.error is not None
    assert answer.error.what == "site.toml: thresholds.bounce_s: 45 is not below thresholds.deep_s 10"
    answer = shop.asked(SetThresholds, values={"bounse_s": 45.0})
    assert answer.error is not None
    assert "thresholds.bounse_s: unknown key" in answer.error.what
    assert shop.path.read_text() == text


def test_a_probe_hops_as_told_and_what_it_cannot_is_taken_back(shop: Shop) -> None:
    answer = shop.done(SetHop, probe="probe-1", channels=(6,), dwell_ms=400)
    assert answer.waiting == ()
    wanted = next(probe for probe in load_site(shop.path).probes if probe.id == "probe-1")
    assert (wanted.channels, wanted.dwell_ms) == ((6,), 400)
    shop.until(
        lambda: INFO.decoder.decode(shop.watcher.of("probe-1/info")[-1].payload).data.config_hash == probe_hash(wanted),
        "the probe says its configuration",
    )
    answer = shop.asked(SetProbe, probe=replace(wanted, channels=(36, 40)))
    assert answer.error is not None
    assert answer.error.what == "probe-1: this board hears channels 1 to 14 only"
    assert next(probe for probe in load_site(shop.path).probes if probe.id == "probe-1") == wanted
    answer = shop.asked(SetHop, probe="nobody", channels=(6,), dwell_ms=400)
    assert answer.error is not None
    assert "there is no probe nobody" in answer.error.what


def test_commands_reach_probes_and_their_answers_come_back(shop: Shop) -> None:
    shop.done(Identify, probe="probe-2", seconds=7)
    assert shop.player.probes[1].orders.identified == 1
    assert shop.done(Measure, probe="probe-2", beacon="b-1", channel=6).measured.frames == 0  # type: ignore[union-attr]
    boot = shop.player.probes[1].boot
    shop.done(Restart, probe="probe-2")
    shop.until(lambda: shop.player.probes[1].boot == boot + 1, "the probe restarted")
    lines = shop.done(ReadLog, probe="probe-2", lines=2, node="collector").lines
    assert [line.partition(" ")[2].partition(":")[0] for line in lines] == ["restart", "boot"]


def test_a_collector_may_not_touch_privacy_or_keys(shop: Shop) -> None:
    for of, values in ((SetPrivacy, {"mode": PrivacyMode.ANONYMOUS_5MIN}), (RotateKey, {}), (Rollback, {"version": 1})):
        answer = shop.asked(of, node="collector", **values)
        assert answer.error is not None
        assert answer.error.what == "a collector may not"


def test_the_key_is_rotated_now(shop: Shop) -> None:
    before = INFO.decoder.decode(shop.watcher.of("hub/info")[-1].payload).data.key_id
    shop.done(RotateKey)
    shop.until(
        lambda: INFO.decoder.decode(shop.watcher.of("hub/info")[-1].payload).data.key_id != before, "another key"
    )
    shop.hub.said("key: rotated")
    batches = len(shop.watcher.of("probe-1/obs"))
    shop.watcher.wait("probe-1/obs", batches + 8)
    health = json.loads(shop.watcher.of("hub/health")[-1].payload)["data"]["drops"]
    assert health["batch_key"] == 0


def test_what_is_desired_from_above_is_taken_whole_or_refused_with_the_reason(shop: Shop) -> None:
    site = load_site(shop.path)
    shop.desired("aa01", replace(site, name="from above"))
    shop.until(lambda: shop.in_force().name == "from above", "the desired site is in force")
    assert INFO.decoder.decode(shop.watcher.of("hub/info")[-1].payload).data.config_hash == "aa01"
    assert 'name = "from above"' in shop.path.read_text()
    text = shop.path.read_text()
    shop.desired("aa02", replace(site, thresholds=replace(site.thresholds, deep_s=1.0)))
    assert "thresholds.bounce_s: 60 is not below thresholds.deep_s 1" in shop.refused("aa02")
    shop.desired("aa03", site, version=2)
    assert shop.refused("aa03") == "version: version 2 is newer than this release's 1"
    shop.desired("aa04", replace(site, privacy=replace(site.privacy, k=2)))
    assert shop.refused("aa04") == "site.privacy: is changed in the shop only"
    shop.desired("aa05", replace(site, site="another"))
    assert "is of another site" in shop.refused("aa05")
    shop.desired("aa07", replace(site, name="a probe's"), node="probe-1")
    assert shop.refused("aa07") == "source: its sender has no such right"
    shop.desired("aa06", site, zites=1)
    assert shop.refused("aa06") == "zites: unknown key"
    shop.publish("config", b"")
    assert shop.path.read_text() == text


def test_a_file_changed_by_hand_is_taken_over_and_a_bad_one_is_told(shop: Shop) -> None:
    good = shop.path.read_text()
    shop.path.write_text(good.replace("from above", "by hand") + "\nzites = 1\n")
    assert "zites: unknown key" in shop.hub.said("the hub goes on as before")
    shop.path.write_text(good.replace("from above", "by hand"))
    shop.hub.said("changed by hand, taken over")
    shop.until(lambda: shop.in_force().name == "by hand", "taken over")
    shop.path.write_text(good.replace("Europe/Berlin", "Asia/Shanghai"))
    assert "from the next start: time_zone" in shop.hub.said("changed by hand, taken over; from")
    shop.path.write_text(good)


def test_a_count_at_the_door_calibrates_and_can_be_taken_back(shop: Shop) -> None:
    answer = shop.asked(CalibrateApply, entered=30)
    assert answer.error is not None
    assert "no count has begun" in answer.error.what
    shop.done(CalibrateStart)
    begun = shop.player.now_us
    shop.until(lambda: shop.player.now_us > begun + 900_000_000, "a quarter of an hour")
    answer = shop.done(CalibrateApply, entered=30, passed=40)
    assert answer.count
    assert parse_site(shop.path.read_text(), "x").people_per_device.reference_counts == 1
    shop.until(lambda: shop.in_force().people_per_device.reference_counts == 1, "taken over")
    for again, counts in (("", 0), (answer.count, 1), ("", 0)):
        if again:
            shop.done(CalibrateApply, calibration=again)
        else:
            shop.done(CalibrateUndo, count=answer.count)
        assert parse_site(shop.path.read_text(), "x").people_per_device.reference_counts == counts
    answer = shop.asked(CalibrateApply, calibration="walk-1")
    assert answer.error is not None
    assert "there is no such calibration" in answer.error.what


def test_closed_hours_come_again_and_a_day_is_computed_again_with_a_higher_rev(shop: Shop) -> None:
    shop.until(lambda: shop.watcher.of("hub/kpi/hour"), "an hour is over")
    first = KPI.decoder.decode(shop.watcher.of("hub/kpi/hour")[0].payload).data
    day = datetime.fromtimestamp(first.start_s, UTC).date().isoformat()
    count = len(shop.watcher.of("hub/kpi/hour"))
    answer = shop.done(Replay, from_s=first.start_s, to_s=first.start_s + 1)
    assert answer.replayed == 1
    assert KPI.decoder.decode(shop.watcher.wait("hub/kpi/hour", count + 1)[-1].payload).data.rev >= 1
    answer = shop.done(Recompute, day=day)
    assert answer.recomputed
    assert answer.recomputed >= 1
    shop.until(
        lambda: any(
            KPI.decoder.decode(one.payload).data.rev > first.rev
            and KPI.decoder.decode(one.payload).data.start_s == first.start_s
            for one in shop.watcher.of("hub/kpi/hour")
        ),
        "a higher rev",
    )
    answer = shop.asked(Recompute, day="2020-01-01")
    assert answer.error is not None
    assert "no longer here" in answer.error.what


def test_a_day_is_published_at_its_end_and_again_with_a_higher_rev(shop: Shop) -> None:
    shop.done(Flush)
    first = KPI.decoder.decode(shop.watcher.wait("hub/kpi/day")[-1].payload).data
    assert (first.grain, first.rev, first.end_s - first.start_s) == ("day", 1, 86_400)
    assert {kpi.id for kpi in first.kpis} >= {"footfall", "dwell_mean"}
    day = datetime.fromtimestamp(first.start_s + 43_200, UTC).date().isoformat()
    assert shop.done(Recompute, day=day).recomputed
    again = [KPI.decoder.decode(one.payload).data for one in shop.watcher.wait("hub/kpi/day", 2)]
    assert [(one.start_s, one.rev) for one in again] == [(first.start_s, 1), (first.start_s, 2)]
    assert shop.done(Replay, from_s=first.start_s, to_s=first.start_s + 1).replayed == 1
    assert len(shop.watcher.wait("hub/kpi/day", 3)) == 3


def test_probes_were_asked_what_their_fingerprints_are_made_of(shop: Shop) -> None:
    def told() -> dict[str, int]:
        counters: dict[str, int] = json.loads(shop.watcher.wait("hub/health")[-1].payload)["data"]["counters"]
        return counters

    shop.until(lambda: told()["fingerprints_known"] > 5, "probes described")
    counters = told()
    assert counters["descriptions_bad"] == 0
    assert counters["fingerprints_unknown"] < counters["fingerprints_known"]


def test_a_stricter_mode_holds_at_once(shop: Shop) -> None:
    shop.done(SetPrivacy, mode=PrivacyMode.ANONYMOUS_5MIN)
    shop.until(lambda: shop.in_force().privacy.mode is PrivacyMode.ANONYMOUS_5MIN, "in force")
    sent = {one.payload for one in shop.watcher.of("hub/visits")}
    begun = shop.player.now_us
    shop.until(lambda: shop.player.now_us > begun + 600_000_000, "ten minutes")
    assert {one.payload for one in shop.watcher.of("hub/visits")} == sent  # what was not acked came again
    assert all(not one.retained for one in shop.watcher.messages if "/rsp/" in one.topic)
    shop.done(SetPrivacy, mode=PrivacyMode.PSEUDONYM_24H)
    shop.until(lambda: shop.in_force().privacy.mode is PrivacyMode.PSEUDONYM_24H, "in force again")
    shop.until(lambda: {one.payload for one in shop.watcher.of("hub/visits")} > sent, "visits again")
