"""How a probe climbs the ladder as the hub sees it: each rung missing in turn, two boards with one id."""

import time
from dataclasses import replace

import numpy as np
import pytest

from hostkit.contract.messages import Clock as HealthClock
from hostkit.contract.messages import ConfigRefused, Health, Info, Memory, State
from hostkit.contract.probes import ProbeStatus, Step, Verdict
from hostkit.core.wire import RECORD, Batch, Flag, Listened
from hostkit.hub.fleet import Fleet, probe_hash
from hostkit.hub.overview import SPAN_S, WAIT_S, Overview
from hostkit.model import Provenance, Radio
from hostkit.sim.plan import default_site

SITE = default_site(2)
ONE, TWO = (probe.id for probe in SITE.probes[:2])
KEY = 7
HASH = probe_hash(SITE.probes[0])


class Hub:
    """An overview and a fleet that time is told to."""

    def __init__(self) -> None:
        self.view, self.fleet, self.now_s = Overview(SITE), Fleet(SITE), 1000.0
        self.seq = self.seen = 0

    def online(self, state: State = State.ONLINE) -> None:
        self.view.said_state(ONE, state, self.now_s)

    def info(self, *, boot: str = "1", **fields: object) -> None:
        known = {"role": "probe", "firmware": "1", "hardware": "x", "key_id": KEY, "config_hash": HASH, "uplink": "lan"}
        info = Info(**{**known, "radios": (Radio.WIFI,), **fields})  # type: ignore[arg-type]
        self.fleet.informed(ONE, info)
        self.view.said_info(ONE, info, boot, self.now_s)

    def batch(
        self,
        wifi: int = 0,
        ble: int = 0,
        *,
        offered: int = 0,
        boot: int = 1,
        radio: Radio = Radio.WIFI,
        fits: bool = True,
    ) -> None:
        records = np.zeros(wifi + ble, RECORD)
        records["rssi_dbm"] = -60 - np.arange(wifi + ble) % 3
        records["flags"][wifi:] = Flag.BLE
        self.seq, self.seen = self.seq + 1, self.seen + offered
        listened = (Listened(radio=radio, channel=6, listened_ms=1000),)
        batch = Batch(
            provenance=Provenance.LIVE, probe=ONE, key_id=KEY, boot=boot, seq=self.seq, element_table=1, base_time_us=0,
            base_us=0, sent_us=1, seen=self.seen, kept=0, dropped=0, listened=listened, records=records,
        )  # fmt: skip
        self.view.batch(batch, self.now_s, fits=fits)

    def row(self, key_id: int | None = KEY) -> ProbeStatus:
        return self.view.told(SITE, self.fleet, key_id, self.now_s, time.time()).rows[0]

    def stands(self, step: Step | None, verdict: Verdict) -> None:
        row = self.row()
        assert (row.step, row.verdict) == (step, verdict)


def test_a_probe_climbs_rung_by_rung() -> None:
    hub = Hub()
    hub.stands(Step.CONNECTED, Verdict.FAIL)
    hub.online()
    hub.stands(Step.KEY, Verdict.WAIT)
    hub.info(key_id=None)
    hub.stands(Step.KEY, Verdict.WAIT)
    hub.info(config_hash="00")
    hub.stands(Step.CONFIG, Verdict.WAIT)
    hub.info()
    hub.stands(Step.DELIVERS, Verdict.WAIT)
    hub.now_s += WAIT_S + 1
    hub.stands(Step.DELIVERS, Verdict.FAIL)
    hub.batch()
    hub.stands(Step.WIFI, Verdict.FAIL)
    hub.batch(offered=3)  # beacons of access points: nothing to keep, but it hears
    hub.stands(None, Verdict.PASS)
    hub.now_s += SPAN_S + 1
    hub.stands(Step.DELIVERS, Verdict.FAIL)
    hub.online(State.OFFLINE)
    hub.stands(Step.CONNECTED, Verdict.FAIL)


def test_ble_alone_is_not_wifi() -> None:
    hub = Hub()
    hub.online()
    hub.info(radios=(Radio.BLE,))
    hub.now_s += WAIT_S + 1
    hub.batch(ble=20, offered=30, radio=Radio.BLE)
    hub.stands(Step.WIFI, Verdict.FAIL)
    assert hub.row().ble_per_s > 0
    assert hub.row().wifi_per_s == 0


def test_figures_are_of_the_last_minute_and_of_no_single_frame() -> None:
    hub = Hub()
    hub.online()
    hub.info()
    hub.batch(wifi=4, offered=4)
    assert hub.row().rssi_dbm is None  # four frames may be one phone
    hub.now_s += 20
    hub.batch(wifi=40, offered=100)
    row = hub.row()
    assert (row.wifi_per_s, row.offered_per_s, row.rssi_dbm, row.channels) == (2.2, 5.2, -61.0, (6,))
    hub.now_s += SPAN_S
    hub.batch(wifi=10, offered=10)
    assert hub.row().wifi_per_s == pytest.approx(50 / 60, abs=0.01)
    health = Health(
        uptime_s=5, counters={}, drops={"ring_records": 3, "none": 0}, clock=HealthClock(synced=True),
        memory=Memory(free_bytes=9, largest_block_bytes=8),
    )  # fmt: skip
    hub.view.said_health(ONE, health)
    assert (hub.row().drops, hub.row().memory) == ({"ring_records": 3}, health.memory)


def test_two_boards_with_one_id_are_seen() -> None:
    hub = Hub()
    hub.online()
    hub.info(boot="5")
    for boot in (5, 6):  # a restart is no rival
        hub.seq = 0
        hub.batch(wifi=5, boot=boot)
        hub.stands(None, Verdict.PASS)
    hub.batch(wifi=5, boot=5)
    hub.stands(Step.ALONE, Verdict.FAIL)


def test_a_batch_under_a_key_that_does_not_rule_delivers_nothing() -> None:
    hub = Hub()
    hub.online()
    hub.info()
    hub.batch(wifi=5, fits=False)
    hub.stands(Step.DELIVERS, Verdict.WAIT)
    assert hub.row().batches == 0


def test_a_configuration_it_refuses_is_said() -> None:
    hub = Hub()
    hub.online()
    hub.info(config_hash=None, config_refused=ConfigRefused(config_hash=HASH, what="channels: 14"))
    hub.batch(wifi=5)
    hub.stands(Step.CONFIG, Verdict.WAIT)
    assert hub.row().config_refused == "channels: 14"


def test_a_probe_in_bursts_is_waited_for() -> None:
    hub = Hub()
    hub.info(uplink="wifi-burst")
    hub.batch(wifi=5)
    hub.online(State.SLEEPING)
    hub.now_s += 200
    hub.stands(None, Verdict.PASS)


def test_a_named_site_says_its_name() -> None:
    named = replace(SITE, name="Corner Shop")
    assert Overview(named).told(named, Fleet(named), None, 0.0, 0.0).name == "Corner Shop"


def test_what_the_board_before_heard_is_not_the_new_ones() -> None:
    hub = Hub()
    hub.online()
    hub.info()
    hub.batch(wifi=20, offered=20)
    assert hub.row().wifi_per_s > 0
    hub.info(boot="9")
    hub.seq = hub.seen = 0
    hub.batch(boot=9)
    told = hub.row()
    assert (told.wifi_per_s, told.step) == (0.0, Step.WIFI)
