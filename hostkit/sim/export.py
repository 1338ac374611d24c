"""A simulation as a folder: site.toml, captures, batches, sales, fixed devices, truth. All of it or nothing."""

import csv
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.config import dump_site
from hostkit.core.address import format_address
from hostkit.core.dot11 import FINGERPRINT_VERSION
from hostkit.core.wire import Batch, Listened, records_of
from hostkit.errors import StorageError, UsageError
from hostkit.io.batchfile import write_batches
from hostkit.io.files import storage_error
from hostkit.model import Provenance, Radio
from hostkit.sim.capture import Packet, pcapng
from hostkit.sim.survey import surveys
from hostkit.sim.till import SALE_COLUMNS, Sale, row, sales
from hostkit.sim.truth import Summary, TrueVisit, summarise, true_visits
from hostkit.sim.world import Simulation, site_key

SUMMARY = Path("truth", "summary.json")
_BATCH_RECORDS = 36  # fills about 1 KiB, what a probe sends at once
_BATCH_S = 10.0
_BOOT_LEAD_US = 30_000_000  # probes were switched on this long before the start
_KEY_ID = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What `export` left: the summary of the truth, and the files with their sizes, relative to the folder."""

    summary: Summary
    files: tuple[tuple[Path, int], ...]


def check_target(folder: Path, *, force: bool) -> None:
    """Raise UsageError unless `folder` may be written: absent, empty, or with `force` an earlier simulation."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise UsageError("is a file", where=str(folder), next_step="give a folder with --out")
    if not force:
        raise UsageError("is not empty", where=str(folder), next_step="choose another --out or add --force")
    if not (folder / SUMMARY).is_file():
        raise UsageError(
            "holds something other than a simulation", where=str(folder), next_step="choose another folder with --out"
        )


def export(
    simulation: Simulation, folder: Path, *, force: bool = False, transmissions: bool = False, survey: bool = False
) -> Written:
    """Write `simulation` to `folder`, which appears whole or not at all; replaces an earlier one with `force`.

    Raises UsageError as `check_target`, StorageError where the disk refuses. Equal settings give equal bytes.
    """
    check_target(folder, force=force)
    partial: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        summary = _write_all(simulation, partial, transmissions=transmissions)
        if survey:
            _write_surveys(simulation, partial / "survey")
        files = tuple((path.relative_to(partial), path.stat().st_size) for path in _files(partial))
        partial.chmod(0o755)  # mkdtemp makes it private
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        raise storage_error(str(folder), error) from error
    except StorageError as error:  # of a file in the partial folder, which nobody knows
        raise StorageError(error.what, where=str(folder), next_step=error.next_step) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return Written(summary=summary, files=files)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _write_all(simulation: Simulation, folder: Path, *, transmissions: bool) -> Summary:
    (folder / "truth").mkdir()
    (folder / "site.toml").write_text(dump_site(simulation.settings.site), encoding="utf-8")
    for index, ear in enumerate(simulation.ears):
        heard = simulation.receptions[simulation.receptions["probe"] == index]
        with (folder / f"{ear.probe.id}.pcapng").open("wb") as file:
            file.writelines(pcapng(packets(simulation, heard), interface=ear.probe.id))
        write_batches(folder / f"{ear.probe.id}.batches", batches(simulation, index, heard))
    receipts = sales(simulation)
    _write_csv(folder / "sales.csv", SALE_COLUMNS, map(row, receipts))
    (folder / "fixed-devices.txt").write_text(_fixed_devices(simulation), encoding="ascii")
    return _write_truth(simulation, folder / "truth", receipts, transmissions=transmissions)


def _write_surveys(simulation: Simulation, folder: Path) -> None:
    folder.mkdir()
    settings = simulation.settings
    tables = surveys(simulation.plan, simulation.ears, settings.seed, settings.start_us / 1e6)
    for name, (header, rows) in tables.items():
        _write_csv(folder / name, header, rows)


def packets(simulation: Simulation, heard: NDArray[np.void]) -> Iterator[Packet]:
    """Give the packets of receptions in their order, stamped by the probe's own clock."""
    emission, back = np.unique(heard["emission"], return_inverse=True)
    frames = simulation.frames(emission)
    columns = (simulation.heard_us(heard), heard["channel"], heard["rssi_dbm"], heard["noise_dbm"], back)
    for time_us, channel, rssi_dbm, noise_dbm, which in zip(*(column.tolist() for column in columns), strict=True):
        yield Packet(time_us, channel, rssi_dbm, noise_dbm, frames[which])


def batches(simulation: Simulation, probe: int, heard: NDArray[np.void]) -> Iterator[Batch]:
    """Give what the probe would send: contiguous batches of at most 10 s and 36 records, parsed by the probe's code."""
    ear, settings = simulation.ears[probe], simulation.settings
    frames = simulation.parsed(heard, site_key(settings.seed))
    times_s, start_us = heard["time_s"], _local_us(simulation, probe, 0.0)
    sent = 0
    for seq, (from_s, to_s) in enumerate(_slices(times_s, settings.duration_s), start=1):
        low, high = np.searchsorted(times_s, (from_s, to_s))
        base_us, end_us = _local_us(simulation, probe, from_s), _local_us(simulation, probe, to_s)
        sent += int(high - low)
        yield Batch(
            provenance=Provenance.SIMULATED,
            probe=ear.probe.id,
            key_id=_KEY_ID,
            boot=1,
            seq=seq,
            element_table=FINGERPRINT_VERSION,
            base_time_us=base_us,
            base_us=base_us - start_us + _BOOT_LEAD_US,
            sent_us=end_us - start_us + _BOOT_LEAD_US,
            seen=sent,
            kept=sent,
            dropped=0,
            records=records_of(frames[low:high], base_us),
            listened=tuple(
                Listened(radio=Radio.WIFI, channel=channel, listened_ms=listened_ms)
                for channel, listened_ms in ear.listened_ms(from_s, to_s).items()
            ),
        )


def _slices(times_s: NDArray[np.float64], duration_s: float) -> Iterator[tuple[float, float]]:
    """Cut [0, duration_s) every _BATCH_S, and before every record that would not fit."""
    from_s = 0.0
    while from_s < duration_s:
        to_s = min(from_s + _BATCH_S, duration_s)
        low, high = np.searchsorted(times_s, (from_s, to_s))
        if high - low > _BATCH_RECORDS:
            to_s = max(float(times_s[low + _BATCH_RECORDS]), float(np.nextafter(from_s, np.inf)))
        yield from_s, to_s
        from_s = to_s


def _local_us(simulation: Simulation, probe: int, at_s: float) -> int:
    shown_s = float(simulation.ears[probe].clock_s(np.array([at_s]))[0])
    return round(shown_s * 1e6) + simulation.settings.start_us


def _fixed_devices(simulation: Simulation) -> str:
    fixed = [phone.address for phone in simulation.phones if phone.owner is None]
    return "".join(format_address(address.to_bytes(6, "big")) + "\n" for address in fixed)


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_truth(simulation: Simulation, folder: Path, receipts: tuple[Sale, ...], *, transmissions: bool) -> Summary:
    visits = true_visits(simulation)
    summary = summarise(simulation, visits, receipts)
    origin_s = simulation.settings.start_us / 1e6
    _write_csv(folder / "people.csv", *_people_table(simulation, origin_s))
    _write_csv(folder / "visits.csv", *_visits_table(visits, origin_s))
    _write_csv(folder / "zone_stays.csv", *_stays_table(visits, origin_s))
    _write_csv(folder / "devices.csv", *_devices_table(simulation))
    _write_csv(folder / "clocks.csv", *_clocks_table(simulation))
    if transmissions:
        _write_csv(folder / "transmissions.csv", *_transmissions_table(simulation))
    (folder / "summary.json").write_text(json.dumps(asdict(summary), indent=1) + "\n", encoding="ascii")
    return summary


Table = tuple[tuple[str, ...], Iterable[tuple[object, ...]]]


def _people_table(simulation: Simulation, origin_s: float) -> Table:
    header = ("person", "kind", "arrive_s", "leave_s", "purchase_s")
    return header, (
        (
            index,
            person.kind,
            _unix(person.times_s[0], origin_s),
            _unix(person.times_s[-1], origin_s),
            _unix(person.purchase_s, origin_s),
        )
        for index, person in enumerate(simulation.people)
    )


def _visits_table(visits: tuple[TrueVisit, ...], origin_s: float) -> Table:
    header = (
        "visit",
        "person",
        "class",
        "near_start_s",
        "near_end_s",
        "inside_start_s",
        "inside_end_s",
        "dwell_s",
        "zones",
    )
    return header, (
        (
            number,
            visit.person,
            visit.visit_class,
            *(_unix(at, origin_s) for at in (*visit.near_s, *(visit.inside_s or (None, None)))),
            round(visit.dwell_s, 1),
            ";".join(dict.fromkeys(stay.zone for stay in visit.stays)),
        )
        for number, visit in enumerate(visits)
    )


def _stays_table(visits: tuple[TrueVisit, ...], origin_s: float) -> Table:
    return ("visit", "person", "zone", "enter_s", "leave_s"), (
        (number, visit.person, stay.zone, _unix(stay.enter_s, origin_s), _unix(stay.leave_s, origin_s))
        for number, visit in enumerate(visits)
        for stay in visit.stays
    )


def _devices_table(simulation: Simulation) -> Table:
    frames, phone = simulation.emissions, simulation.emissions["phone"]
    sent = np.bincount(phone, minlength=len(simulation.phones)).tolist()
    addresses = np.unique(np.stack([phone.astype(np.uint64), frames["address"]]), axis=1)[0].astype(np.int64)
    used = np.bincount(addresses, minlength=len(simulation.phones)).tolist()
    header = (
        "device",
        "person",
        "model",
        "addressing",
        "switched_on",
        "associated",
        "frames",
        "addresses",
        "x_m",
        "y_m",
    )
    return header, (
        (
            index,
            "" if phone.owner is None else phone.owner,
            phone.model.name,
            phone.addressing,
            int(phone.switched_on),
            int(phone.associated),
            sent[index],
            used[index],
            *(phone.place_m or ("", "")),
        )
        for index, phone in enumerate(simulation.phones)
    )


def _clocks_table(simulation: Simulation) -> Table:
    return ("probe", "offset_s", "drift_ppm", "hidden_offset_db"), (
        (ear.probe.id, round(ear.clock_offset_s, 6), round(ear.clock_drift * 1e6, 4), round(ear.hidden_offset_db, 3))
        for ear in simulation.ears
    )


def _transmissions_table(simulation: Simulation) -> Table:
    """Every frame in the air, heard or not; the addresses are made up like the rest of the world."""
    frames = simulation.emissions
    time_us = (np.rint(frames["time_s"] * 1e6).astype(np.int64) + simulation.settings.start_us).tolist()
    addresses = [format_address(address.to_bytes(6, "big")) for address in frames["address"].tolist()]
    columns = (frames[name].tolist() for name in ("phone", "burst", "sequence", "channel"))
    places = (np.round(frames[name].astype(np.float64), 2).tolist() for name in ("x_m", "y_m"))
    header = ("time_us", "address", "device", "burst", "sequence", "channel", "x_m", "y_m")
    return header, zip(time_us, addresses, *columns, *places, strict=True)


def _unix(at_s: float | None, origin_s: float) -> str:
    return "" if at_s is None else f"{origin_s + at_s:.1f}"
