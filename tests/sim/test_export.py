"""The files of a simulation: what other tools read from them, and what happens when they cannot be written."""

import csv
import filecmp
import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hostkit.config import load_site
from hostkit.core.dot11 import record_of
from hostkit.core.wire import MAX_RECORDS, Batch
from hostkit.errors import ExitCode, StorageError, UsageError
from hostkit.io.batchfile import read_batches
from hostkit.io.pcap import open_capture
from hostkit.model import Provenance
from hostkit.sim.export import export
from hostkit.sim.plan import default_site
from hostkit.sim.world import SimSettings, Simulation, simulate, site_key

SETTINGS = SimSettings(people=40, hours=1.0, staff=1, site=default_site(2), seed=5)
PROBES = [probe.id for probe in SETTINGS.site.probes]


@pytest.fixture(scope="module")
def world() -> Simulation:
    return simulate(SETTINGS)


@pytest.fixture(scope="module")
def shop(world: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sim") / "shop"
    export(world, folder, transmissions=True)
    return folder


def batches(shop: Path, probe: str = "probe-1") -> list[Batch]:
    return list(read_batches(shop / f"{probe}.batches"))


def table(shop: Path, name: str) -> list[dict[str, str]]:
    with (shop / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("probe", PROBES)
def test_tshark_reads_every_frame_without_complaint(world: Simulation, shop: Path, probe: str) -> None:
    fields = ("frame.time_epoch", "wlan.fc.type_subtype", "radiotap.dbm_antsignal", "radiotap.channel.freq")
    command = ["tshark", "-r", str(shop / f"{probe}.pcapng"), "-T", "fields", *(f"-e{field}" for field in fields)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    heard = world.receptions[world.receptions["probe"] == PROBES.index(probe)]
    assert len(lines) == len(heard) > 300
    first, channel = lines[0].split("\t"), int(heard["channel"][0])
    assert round(float(first[0]) * 1e6) == world.heard_us(heard[:1])[0]
    assert int(first[1], 0) == 4
    assert (int(first[2]), int(first[3])) == (heard["rssi_dbm"][0], 2407 + 5 * channel)
    complaints = "_ws.malformed || _ws.expert.severity >= 0x600000"  # warnings and errors
    command = ["tshark", "-r", str(shop / f"{probe}.pcapng"), "-Y", complaints]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_capture_and_batches_hold_the_same_sightings(shop: Path) -> None:
    with open_capture(shop / "probe-1.pcapng", site_key(SETTINGS.seed)) as reader:
        frames = reader.read(10**6)
        assert reader.application == "footfall simulate"
        assert reader.counts.malformed == reader.counts.skipped.total == reader.counts.backwards == 0
    sent = batches(shop)
    records = np.concatenate([batch.records for batch in sent])
    times_us = np.concatenate([batch.records["offset_us"] + np.int64(batch.base_time_us) for batch in sent])
    assert np.array_equal(times_us, frames["time_us"])
    for name in ("device_key", "fingerprint", "ssid_key", "sequence", "rssi_dbm", "noise_dbm", "channel", "flags"):
        assert np.array_equal(records[name], frames[name]), name


def test_batches_are_what_the_probes_own_code_makes(world: Simulation, shop: Path) -> None:
    heard = world.receptions[world.receptions["probe"] == 0]
    records = np.concatenate([batch.records for batch in batches(shop)])
    for at in range(0, len(heard), 37):
        made = record_of(
            world.frames(heard["emission"][at : at + 1])[0],
            site_key(SETTINGS.seed),
            offset_us=int(records["offset_us"][at]),
            rssi_dbm=int(heard["rssi_dbm"][at]),
            noise_dbm=int(heard["noise_dbm"][at]),
            channel=int(heard["channel"][at]),
        )
        assert made == records[at].tobytes()


def test_batches_cover_the_time_without_gap_and_account_for_listening(shop: Path) -> None:
    sent = batches(shop)
    assert {batch.provenance for batch in sent} == {Provenance.SIMULATED}
    assert [batch.seq for batch in sent] == list(range(1, len(sent) + 1))
    assert all(later.base_us == earlier.sent_us for earlier, later in pairwise(sent))
    assert max(len(batch.records) for batch in sent) <= 36 < MAX_RECORDS
    listened_ms = dict.fromkeys((1, 6, 11), 0)
    for batch in sent:
        for part in batch.listened:
            listened_ms[part.channel] += part.listened_ms
    # A second a channel, of which 5 ms are lost to switching
    assert sum(listened_ms.values()) == pytest.approx(3_600_000 * 0.995, rel=3e-4)
    assert max(listened_ms.values()) - min(listened_ms.values()) < 5_000


def test_same_seed_same_bytes_other_seed_other_world(shop: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    export(simulate(SETTINGS), again, transmissions=True)
    export(simulate(replace(SETTINGS, seed=6)), other, transmissions=True)
    names = sorted(str(path.relative_to(shop)) for path in shop.rglob("*") if path.is_file())
    assert filecmp.cmpfiles(shop, again, names, shallow=False) == (names, [], [])
    same = filecmp.cmpfiles(shop, other, names, shallow=False)[0]
    assert same == ["site.toml"]


def test_site_written_is_the_site_simulated(shop: Path) -> None:
    assert load_site(shop / "site.toml") == SETTINGS.site


def test_truth_tables_agree_with_the_summary(world: Simulation, shop: Path) -> None:
    summary = json.loads((shop / "truth" / "summary.json").read_text())
    visits = table(shop, "truth/visits.csv")
    entrants = [visit for visit in visits if visit["class"] == "entrant"]
    assert summary["kpis"]["footfall"] == len(entrants) > 0
    assert summary["kpis"]["dwell_mean"] == pytest.approx(np.mean([float(visit["dwell_s"]) for visit in entrants]))
    assert summary["kpis"]["transactions"] == len(table(shop, "sales.csv")) > 0
    inside_s = sum(float(visit["dwell_s"]) for visit in entrants)
    assert sum(each["people"] for each in summary["occupancy"]) * 600 == pytest.approx(inside_s, abs=1.0)
    devices = table(shop, "truth/devices.csv")
    assert sum(int(device["frames"]) for device in devices) == summary["frames_in_air"] == len(world.emissions)
    assert len(table(shop, "truth/transmissions.csv")) == len(world.emissions)
    fixed = (shop / "fixed-devices.txt").read_text().split()
    assert len(fixed) == summary["fixed_devices"] == sum(device["person"] == "" for device in devices)


def test_fixed_devices_are_addresses_that_were_on_the_air(shop: Path) -> None:
    sent = {row["address"] for row in table(shop, "truth/transmissions.csv")}
    assert set((shop / "fixed-devices.txt").read_text().split()) <= sent


def test_folder_with_other_things_is_refused_even_with_force(world: Simulation, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(UsageError, match="not empty"):
        export(world, tmp_path)
    with pytest.raises(UsageError, match="something other than a simulation"):
        export(world, tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_force_replaces_an_earlier_simulation(world: Simulation, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    export(world, folder, transmissions=True)
    export(world, folder, force=True)
    assert (folder / "site.toml").exists()
    assert not (folder / "truth" / "transmissions.csv").exists()
    assert list(tmp_path.iterdir()) == [folder]


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on file size stands for the full disk: the kernel refuses the write in the same way.
    command = "from hostkit.cli.main import main; main()"
    limited = f'ulimit -f 64; exec {sys.executable} -c "{command}" simulate --people 40 --hours 1 --out {tmp_path}/shop'
    done = subprocess.run(["sh", "-c", limited], capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.STORAGE
    assert done.stderr.splitlines() == [
        f"footfall: {tmp_path}/shop: cannot be written (File too large); check the disk and the path"
    ]
    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_is_one_line(world: Simulation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"Not a directory|File exists"):
        export(world, tmp_path / "file" / "shop")
