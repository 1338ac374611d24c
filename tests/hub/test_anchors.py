"""Nights in which probes hear each other: when they begin, what is kept of them, what they say of the calibration."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from hostkit.contract.commands import Beacon
from hostkit.core.beacons import BLE_FINGERPRINTS, WIFI_FINGERPRINT, ssid_keys
from hostkit.core.calibrate_links import LinkFit, fit_links
from hostkit.core.wire import RECORD, Batch, Flag
from hostkit.errors import UsageError
from hostkit.hub.anchors import EVENT_ID, Anchors, Plan
from hostkit.io.anchorlinks import LinksRecord, read_links, reference_file
from hostkit.io.files import write_files
from hostkit.io.outbox import Outbox
from hostkit.model import OpeningHours, Probe, Provenance, Site

KEY = bytes(range(16))
LEVEL_DBM, EXPONENT, PAIR_DB, NOISE_DB = -40.0, 2.4, 2.0, 3.0
HOURS = OpeningHours(days=(((540, 1200),),) * 6 + ((),))  # 09:00 to 20:00, not on Sundays
PHONE = 0xABCDEF
MONDAY = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


def shop(probes: int = 8) -> Site:
    rng = np.random.default_rng(11)
    places = np.column_stack((rng.uniform((0, 0), (30, 20), (probes, 2)), np.full(probes, 2.5))).round(2).tolist()
    anchors = tuple(Probe(id=f"p-{n}", floor="ground", position_m=tuple(place)) for n, place in enumerate(places))
    return Site(tenant="t", site="s", time_zone="Europe/Berlin", opening_hours=HOURS, probes=anchors)


class Place:
    """Probes with known offsets that obey, the air between them, and a phone that nobody must miss."""

    def __init__(self, folder: Path, site: Site, plan: Plan | None = None) -> None:
        self.site, self.folder = site, folder
        self.rng = np.random.default_rng(12)
        count = len(site.probes)
        places = np.array([probe.position_m for probe in site.probes])
        apart = np.maximum(np.linalg.norm(places[:, None] - places, axis=2), 0.5)
        shadow = np.triu(self.rng.normal(0, PAIR_DB, (count, count)), 1)
        self.transmit, self.receive = (self.rng.normal(0, 4, count) for _ in range(2))
        self.mean = LEVEL_DBM - 10 * EXPONENT * np.log10(apart) + shadow + shadow.T
        self.away: set[str] = set()
        self.sent: list[tuple[float, Beacon]] = []
        self.said: list[str] = []
        self.at_s = MONDAY.timestamp()
        self.phones = 0
        self.outbox = Outbox(folder / "hub.db")
        self.plan = plan
        self.anchors = self.started()

    def started(self) -> Anchors:
        return Anchors(
            self.site, self.folder / "site.toml", self.outbox, send=self._told,
            online=lambda probe: probe not in self.away, say=self.said.append, plan=self.plan,
        )  # fmt: skip

    def until(self, end: datetime, step_s: float = 30.0) -> None:
        """Let the hub's time go on."""
        while self.at_s < end.timestamp():
            self.anchors.mind(self.at_s)
            self.at_s += step_s

    def nights(self) -> tuple[LinksRecord, ...]:
        return read_links(self.folder / "site.toml")

    def _told(self, name: str, command: Beacon) -> bool:
        """Beacon: every other probe hears a third of it, and a phone and an advert of somebody's beside it."""
        if name in self.away:
            return False
        self.sent.append((self.at_s, command))
        sender = [probe.id for probe in self.site.probes].index(name)
        for receiver, probe in enumerate(self.site.probes):
            if receiver != sender and probe.id not in self.away:
                self._hears(receiver, sender, 4 * command.count // 3)
        return True

    def _hears(self, receiver: int, sender: int, frames: int) -> None:
        mean = self.mean[sender, receiver] + self.transmit[sender] + self.receive[receiver]
        rows = np.zeros(frames + 3, RECORD)
        rows["device_key"] = np.arange(frames + 3)
        rows["fingerprint"][:frames] = WIFI_FINGERPRINT
        rows["ssid_key"][:frames] = ssid_keys([self.site.probes[sender].id], KEY)
        rows["rssi_dbm"][:frames] = np.clip(self.rng.normal(mean, NOISE_DB, frames).round(), -99, -1)
        rows["fingerprint"][frames:] = PHONE, BLE_FINGERPRINTS[0], BLE_FINGERPRINTS[0]
        rows["flags"][frames:] = Flag.RANDOMISED, Flag.BLE, Flag.BLE | Flag.REGISTERED
        kept = self.anchors.without_beacons(batch(self.site.probes[receiver].id, rows), memoryview(KEY))
        assert kept.records["fingerprint"].tolist() == [PHONE, BLE_FINGERPRINTS[0]]
        assert kept.records["flags"][1] & Flag.REGISTERED
        self.phones += 1


def batch(probe: str, rows: np.ndarray) -> Batch:
    return Batch(
        provenance=Provenance.LIVE, probe=probe, key_id=7, boot=1, seq=1, element_table=1, base_time_us=1, base_us=1,
        sent_us=2, seen=0, kept=0, dropped=0, records=rows,
    )  # fmt: skip


def fitted(record: LinksRecord) -> LinkFit:
    index = {probe.id: number for number, probe in enumerate(record.probes)}
    return fit_links(
        [probe.position_m for probe in record.probes],
        [index[link.sender] for link in record.links],
        [index[link.receiver] for link in record.links],
        [link.median_dbm for link in record.links],
    )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, shop())


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+01:00")


def test_a_night_gives_offsets_and_exponent_back(place: Place) -> None:
    place.until(MONDAY + timedelta(days=1))
    (night,) = place.nights()
    assert night.day == "2026-03-09"
    assert len(night.links) == 8 * 7
    assert min(link.n for link in night.links) == 3 * 26
    fit = fitted(night)
    truth = place.receive - place.receive.mean()
    found = np.array([one.value for one in fit.receive_db], float)
    assert np.abs(found - truth).max() < 2.5
    assert np.abs(truth).max() > 4  # had nobody calibrated
    assert fit.exponent.value == pytest.approx(EXPONENT, abs=0.5)
    assert fit.sigma_db < 3.5
    assert place.phones == 3 * 8 * 7


def test_it_begins_when_the_shop_has_been_closed_for_an_hour_and_only_once(place: Place) -> None:
    place.until(MONDAY + timedelta(days=1))
    began = place.sent[0][0]
    assert berlin("2026-03-09T21:00").timestamp() <= began < berlin("2026-03-09T21:02").timestamp()
    assert [command.channel for _, command in place.sent[::8]] == [1, 6, 11]
    slots = [command.slot_ms for _, command in place.sent[:8]]
    assert slots == [1500 * n for n in range(8)]
    assert {command.period_ms for _, command in place.sent} == {12_000}
    place.anchors = place.started()  # a restart is no new night
    place.until(MONDAY + timedelta(days=1, hours=8))
    assert len(place.sent) == 24
    place.until(MONDAY + timedelta(days=2))
    assert [night.day for night in place.nights()] == ["2026-03-09", "2026-03-10"]
    place.until(berlin("2026-03-15T12:00"))
    place.sent.clear()
    place.until(berlin("2026-03-15T19:59"))  # a Sunday afternoon is no night
    assert place.sent == []


def test_a_night_that_a_crash_ended_begins_anew_but_once(place: Place) -> None:
    begin = MONDAY.replace(hour=20, minute=0)
    for crash in range(3):
        place.until(begin + timedelta(minutes=5 + 10 * crash))
        said = [line for line in place.said if "hear each other" in line]
        assert len(said) == min(crash + 1, 2)
        place.anchors = place.started()
    place.until(MONDAY + timedelta(days=1))
    assert place.nights() == ()  # it came down in the second one too


def test_after_one_crash_the_night_is_kept(place: Place) -> None:
    place.until(MONDAY.replace(hour=20, minute=5))
    place.anchors = place.started()
    place.until(MONDAY + timedelta(days=1))
    assert len(place.nights()) == 1


def test_two_probes_or_an_open_shop_beacon_never(tmp_path: Path) -> None:
    for number, site in enumerate((shop(2), replace(shop(), opening_hours=OpeningHours(days=(((0, 1440),),) * 7)))):
        (tmp_path / str(number)).mkdir()
        place = Place(tmp_path / str(number), site)
        place.until(MONDAY + timedelta(days=2))
        assert place.sent == []
        assert place.nights() == ()


def test_who_is_away_is_waited_for_an_hour(place: Place) -> None:
    place.away = {"p-7"}
    place.until(MONDAY + timedelta(days=1))
    assert place.sent[0][0] >= berlin("2026-03-09T22:00").timestamp()
    (night,) = place.nights()
    assert [probe.id for probe in night.probes] == [f"p-{n}" for n in range(7)]
    assert place.anchors.check is not None
    assert place.anchors.check.calibration_drift == ()


def test_what_changed_overnight_is_drift_and_ends_with_a_new_calibration(place: Place) -> None:
    place.until(MONDAY + timedelta(days=1))
    assert place.anchors.check is not None
    assert place.anchors.check.calibration_drift == ()
    assert place.anchors.events == []
    place.receive[3] -= 12  # somebody put it behind a pillar
    place.until(MONDAY + timedelta(days=2))
    (drift,) = place.anchors.check.calibration_drift
    assert (drift.probe, drift.is_heard_db) == ("p-3", 0)
    assert drift.hears_db == pytest.approx(-12, abs=1.5)
    assert place.said[-1].startswith("calibration_drift: p-3 hears others 12 dB weaker; see whether it was moved")
    assert [(event.event_id, event.phase) for event in place.anchors.events] == [(EVENT_ID, "new")]
    place.until(MONDAY + timedelta(days=3))
    assert len(place.anchors.events) == 1  # told once
    path, body = reference_file(place.folder / "site.toml", place.nights()[-1])
    write_files({path: body})
    place.anchors.reconfigure(place.site)  # as the site.toml that was made of it is taken over
    assert place.anchors.check.calibration_drift == ()
    assert [event.phase for event in place.anchors.events] == ["new", "end"]


def test_a_restart_knows_the_drift_and_a_moved_probe_has_none(place: Place) -> None:
    place.until(MONDAY + timedelta(days=1))
    place.transmit[2] += 9
    place.until(MONDAY + timedelta(days=2))
    again = place.started()
    assert again.check is not None
    assert [drift.probe for drift in again.check.calibration_drift] == ["p-2"]
    moved = replace(place.site.probes[2], position_m=(1.0, 1.0, 2.5))
    place.site = replace(place.site, probes=(*place.site.probes[:2], moved, *place.site.probes[3:]))
    place.anchors = place.started()
    place.until(MONDAY + timedelta(days=3))
    assert place.anchors.check is not None
    assert place.anchors.check.calibration_drift == ()


def test_a_change_of_the_probes_ends_the_night(place: Place) -> None:
    place.until(berlin("2026-03-09T21:03"))
    assert len(place.sent) == 8
    place.anchors.reconfigure(replace(place.site, probes=place.site.probes[:4]))
    assert "given up" in place.said[-1]
    place.until(MONDAY + timedelta(days=1))
    assert len(place.sent) == 8
    assert place.nights() == ()


def test_records_that_cannot_be_read_or_written_end_nothing(place: Place) -> None:
    (place.folder / "calibration").mkdir()
    (place.folder / "calibration" / "links-2026-01-01.json").write_text("{")
    place.until(MONDAY + timedelta(days=1))
    assert any("links-2026-01-01.json: is no night of links" in line for line in place.said)


def test_they_hear_each_other_at_once_when_asked_whatever_the_hour(place: Place) -> None:
    place.at_s = (MONDAY + timedelta(hours=15)).timestamp()
    took_s = place.anchors.begin(place.at_s)
    with pytest.raises(UsageError, match="they do so now"):
        place.anchors.begin(place.at_s)
    begun = place.at_s
    while not place.nights():
        place.anchors.mind(place.at_s)
        place.at_s += 30.0
    assert place.at_s - begun == pytest.approx(took_s, abs=120.0)
    assert len(place.nights()[0].links) == 8 * 7
    place.until(MONDAY + timedelta(days=1))
    assert place.anchors.nights == 2  # the night comes all the same


def test_fewer_than_three_do_not_hear_each_other(place: Place) -> None:
    place.away = {probe.id for probe in place.site.probes[2:]}
    with pytest.raises(UsageError, match="2 with a position_m and a floor are connected, 3 are needed"):
        place.anchors.begin(place.at_s)
    assert not place.sent
