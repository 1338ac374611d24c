"""Calibration by command: people counted at the door, probes that hear each other, and any taken back or again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hostkit.config import load_site
from hostkit.contract.commands import CalibrateApply, CalibrateStart, CalibrateUndo, Response
from hostkit.errors import InputError, UsageError
from hostkit.hub import adjust, calibrate
from hostkit.hub.adjust import Saved
from hostkit.hub.calibrate import DoorCount, Heard, take_door
from hostkit.hub.configuration import Configuration
from hostkit.hub.settings import versions
from hostkit.io.calibrations import FieldRecord, Record, find, read_counts, read_field
from hostkit.io.outbox import Outbox
from hostkit.model import Site

FitNight: TypeAlias = Callable[[Path, Site, str | None, float], Saved]
_COUNT = "count-began"  # the outbox's word for when somebody began to count at the door
_LIST = "see: footfall calibrate list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What calibrating needs of the hub.

    `devices` gives those that entered and passed within a span (Unix seconds); `listen` lets probes hear each other
    now and gives how many seconds that takes; `fit_night` applies what they heard last: it lies above the hub.
    """

    outbox: Outbox
    configuration: Configuration
    now_s: Callable[[], float]
    devices: Callable[[float, float], tuple[float, float]]
    listen: Callable[[], float]
    fit_night: FitNight | None


class Calibrating:
    """Does calibrate-start, -apply and -undo. Raises HostkitError where it cannot be done; then nothing changed."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def start(self, command: CalibrateStart) -> Response:
        """Begin to count, or let the probes hear each other."""
        bench = self._bench
        if command.kind == "anchors":
            return Response(id=command.id, seconds=bench.listen())
        bench.devices(bench.now_s(), bench.now_s())  # says why, where nobody can be counted
        bench.outbox.set_word(_COUNT, str(bench.now_s()))
        return Response(id=command.id)

    def apply(self, command: CalibrateApply) -> Response:
        """Take in what was counted or heard, or what was taken back before."""
        if isinstance(command.entered, int):
            return self._counted(command.id, command.entered, command.passed)
        if command.calibration == "anchors":
            return self._night(command)
        path, at_s = self._bench.configuration.path, self._bench.now_s()
        record = self._find(str(command.calibration))
        if not record.undone:
            unapplied = isinstance(record, FieldRecord) and not record.changes
            what = "was never in force: its held-out error did not fall" if unapplied else "is in force already"
            raise UsageError(what, where=record.id, next_step=_LIST)
        if isinstance(record, FieldRecord):
            return self._took(command.id, adjust.redo(path, record, at_s).record.id)
        return self._took(command.id, calibrate.redo(path, record, at_s).record.id)

    def undo(self, command: CalibrateUndo) -> Response:
        """Take back a calibration of any kind."""
        path, at_s = self._bench.configuration.path, self._bench.now_s()
        record = self._find(command.count)
        if record.undone:
            raise UsageError("is taken back already", where=record.id, next_step=_LIST)
        if isinstance(record, FieldRecord):
            return self._took(command.id, adjust.undo(path, record, at_s).record.id)
        return self._took(command.id, calibrate.undo(path, record, at_s).record.id)

    def _counted(self, id_: str, entered: int, passed: int | None) -> Response:
        bench = self._bench
        try:
            began_s = float(bench.outbox.word(_COUNT) or "")
        except ValueError as error:
            step = "send calibrate-start first"
            raise InputError("no count has begun", where="calibrate-apply", next_step=step) from error
        counted = DoorCount(start_s=began_s, end_s=bench.now_s(), entered=entered, passed=passed)
        came, went_by = bench.devices(counted.start_s, counted.end_s)
        heard = Heard(devices=came + (went_by if passed is not None else 0.0), source="hub")
        outcome = take_door(bench.configuration.path, bench.configuration.site, counted, heard, bench.now_s())
        bench.outbox.set_word(_COUNT, "")
        return self._took(id_, outcome.record.id)

    def _night(self, command: CalibrateApply) -> Response:
        bench = self._bench
        if bench.fit_night is None:
            raise UsageError("this hub cannot fit", where="calibrate-apply", next_step="footfall calibrate anchors")
        path = bench.configuration.path
        saved = bench.fit_night(path, load_site(path), command.floor, bench.now_s())
        return self._took(command.id, saved.record.id)

    def _find(self, id_: str) -> Record:
        path = self._bench.configuration.path
        records: tuple[Record, ...] = (*read_counts(path), *read_field(path))
        return find(id_, records)

    def _took(self, id_: str, record_id: str) -> Response:
        """Run on what the file says now."""
        configuration = self._bench.configuration
        restart = configuration.took(load_site(configuration.path))
        kept = versions(configuration.path)
        version = kept[-1].number if kept else None
        return Response(id=id_, version=version, restart=restart, count=record_id)
