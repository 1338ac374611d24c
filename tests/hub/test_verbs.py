"""Every command there can be, done at a real site.toml: done, refused with a reason, never a crash and never half."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.config import dump_site, load_site
from hostkit.contract.commands import (
    Asked,
    CalibrateApply,
    CalibrateStart,
    CalibrateUndo,
    Response,
    SetThresholds,
    SetZones,
    Status,
    ToProbe,
)
from hostkit.contract.rights import RIGHTS, Caller
from hostkit.errors import HostkitError
from hostkit.field.nights import apply_newest
from hostkit.hub.calibrating import Bench as CalibrationBench
from hostkit.hub.commands import Waits
from hostkit.hub.configuration import Configuration
from hostkit.hub.fleet import Fleet
from hostkit.hub.roles import Roles
from hostkit.hub.settings import versions
from hostkit.hub.verbs import Means, Verbs
from hostkit.io.anchorlinks import Anchor, Link, LinksRecord, night_file, read_reference
from hostkit.io.calibrations import Change, FieldRecord, encoded, read_field
from hostkit.io.outbox import Outbox
from hostkit.model import Site, Zone
from hostkit.sim.plan import default_site
from tests.contract.strategies import BODIES

SHOP = default_site(4)
AT_S = 1_773_486_300.0


class Bench:
    """Verbs over a site.toml, an outbox and nothing else; probes obey."""

    def __init__(self, folder: Path, site: Site = SHOP) -> None:
        self.path = folder / "site.toml"
        self.path.write_text(dump_site(site))
        self.taken: list[Site] = []
        self.outbox = outbox = Outbox(folder / "hub.db")
        self.fleet = Fleet(site)
        configuration = Configuration(
            self.path, site, outbox, take=self.take, say=lambda _: None, roles=Roles(site, folder), wall_s=lambda: AT_S
        )
        self.configuration = configuration
        self.verbs = Verbs(
            Means(
                bench=CalibrationBench(
                    outbox=outbox,
                    configuration=configuration,
                    now_s=lambda: AT_S,
                    devices=lambda start_s, end_s: (30.0, 20.0),
                    listen=lambda: 438.0,
                    fit_night=apply_newest,
                ),
                configuration=configuration,
                fleet=self.fleet,
                flush=lambda: None,
                send=lambda probe, command: True,
                online=lambda probe: False,
                replay=lambda from_s, to_s: 0,
                recompute=lambda day: 0,
                rotate=lambda: None,
                rollout=lambda command: Response(id=command.id),
            )
        )

    def take(self, site: Site) -> None:
        self.taken.append(site)
        self.fleet.reconfigure(site)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def refusal(bench: Bench, command: Asked) -> str:
    """Do it; give why not, nothing where it was done."""
    try:
        response = bench.verbs.do(command)
    except HostkitError as error:
        return str(error)
    assert isinstance(response, Waits) or response.outcome is Status.DONE
    return ""


commands = BODIES["cmd"].filter(lambda command: type(command) in RIGHTS[Caller.OPERATOR])


@settings(max_examples=80, deadline=None)
@given(commands)
def test_any_command_is_done_or_refused_and_the_file_stays_a_site(bench: Bench, command: Asked) -> None:
    before, number = bench.path.read_text(), len(versions(bench.path))
    if refusal(bench, command):
        assert bench.path.read_text() == before
        assert len(versions(bench.path)) == number
    assert load_site(bench.path) == bench.configuration.site


TEXTS = st.text(max_size=12)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.builds(
            Zone,
            id=TEXTS,
            floor=st.sampled_from([SHOP.floors[0].id, "x", ""]),
            polygon_m=st.lists(st.tuples(st.floats(), st.floats()), max_size=4).map(tuple),
            category=st.none() | TEXTS,
        ),
        max_size=3,
    ).map(tuple),
    st.dictionaries(TEXTS, st.floats(), max_size=3),
)
def test_whatever_text_and_numbers_it_holds(bench: Bench, zones: tuple[Zone, ...], values: dict[str, float]) -> None:
    for command in (SetZones(id="z", expires=0, zones=zones), SetThresholds(id="t", expires=0, values=values)):
        assert "\n" not in refusal(bench, command)
        assert load_site(bench.path) == bench.configuration.site


def test_a_probes_answer_counts_only_for_who_was_asked(bench: Bench) -> None:
    command = ToProbe.__args__[1](id="i-1", expires=0, probe="probe-1")  # type: ignore[attr-defined]
    assert bench.verbs.do(command) == Waits("probe-1")
    answer = Response(id="i-1", lines=("x",))
    assert bench.verbs.answered("probe-2", answer) is None
    assert bench.verbs.answered("probe-1", Response(id="i-1", status=Status.ACCEPTED)) is None
    assert bench.verbs.answered("probe-1", answer) == answer
    assert bench.verbs.answered("probe-1", answer) is None


def walked(bench: Bench, id_: str, value: float, at_s: float = AT_S, *, changed: bool = True) -> FieldRecord:
    """A technician's walk, as the field commands leave it: in the book and in site.toml."""
    before = load_site(bench.path).path_loss.exponent
    walk = FieldRecord(
        id=id_, kind="walk", at_s=at_s, source="w.csv", unit="m", before=3.0, after=2.0, naive=None, passed=True,
        changes=(Change(key="path_loss.exponent", before=before, after=value),) if changed else (),
    )  # fmt: skip
    place, body = encoded(bench.path, walk)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(body)
    if changed:
        bench.configuration.change(lambda site: replace(site, path_loss=replace(site.path_loss, exponent=value)), "w")
    return walk


def undo(id_: str) -> CalibrateUndo:
    return CalibrateUndo(id="u", expires=int(AT_S), count=id_)


def again(id_: str, **more: str) -> CalibrateApply:
    return CalibrateApply(id="a", expires=int(AT_S), calibration=id_, **more)


def test_a_calibration_of_any_kind_is_taken_back_and_again_by_command(tmp_path: Path) -> None:
    bench, before = Bench(tmp_path), SHOP.path_loss.exponent
    walk = walked(bench, "walk-20260314-1105", 3.25)
    done = bench.verbs.do(undo(walk.id))
    assert isinstance(done, Response)
    assert (done.count, done.version) == (walk.id, versions(bench.path)[-1].number)
    assert load_site(bench.path).path_loss.exponent == before == bench.taken[-1].path_loss.exponent
    assert read_field(bench.path)[0].undone
    assert "taken back already" in refusal(bench, undo(walk.id))
    assert walk.id in refusal(bench, undo("count-1"))
    done = bench.verbs.do(again(walk.id))
    assert isinstance(done, Response)
    assert (done.count, done.version) == (walk.id, versions(bench.path)[-1].number)
    assert load_site(bench.path).path_loss.exponent == 3.25 == bench.taken[-1].path_loss.exponent
    assert not read_field(bench.path)[0].undone
    assert "is in force already" in refusal(bench, again(walk.id))
    assert walk.id in refusal(bench, again("walk-1"))


def test_what_is_put_in_force_again_stays_behind_a_newer_one_and_a_hand(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, second = walked(bench, "walk-1", 3.25), walked(bench, "link-2", 3.5, AT_S + 60)
    for one in (first, second):
        bench.verbs.do(undo(one.id))
    bench.verbs.do(again(second.id))
    bench.verbs.do(again(first.id))
    assert load_site(bench.path).path_loss.exponent == 3.5  # the newer
    bench.verbs.do(undo(first.id))
    bench.configuration.change(lambda site: replace(site, path_loss=replace(site.path_loss, exponent=2.2)), "hand")
    bench.verbs.do(again(first.id))
    assert load_site(bench.path).path_loss.exponent == 2.2
    never = walked(bench, "walk-3", 9.0, changed=False)
    assert "was never in force: its held-out error did not fall" in refusal(bench, again(never.id))


def test_a_count_at_the_door_is_taken_in_back_and_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.outbox.set_word("count-began", str(AT_S - 1800))
    counted = bench.verbs.do(CalibrateApply(id="c", expires=int(AT_S), entered=40))
    assert isinstance(counted, Response)
    in_force = load_site(bench.path).people_per_device
    assert in_force.reference_counts == 1
    assert counted.count
    bench.verbs.do(undo(counted.count))
    assert load_site(bench.path).people_per_device.reference_counts == 0
    bench.verbs.do(again(counted.count))
    assert load_site(bench.path).people_per_device == in_force
    bench.verbs.do(undo(counted.count))
    bench.outbox.set_word("count-began", str(AT_S - 900))
    bench.verbs.do(CalibrateApply(id="c", expires=int(AT_S), entered=35))
    assert "is of the same minutes" in refusal(bench, again(counted.count))


def night(bench: Bench, offset_db: float) -> None:
    """Leave a night in which the first probe hears everybody so much louder than the calibration says."""
    site = load_site(bench.path)
    places = np.array([probe.position_m for probe in site.probes])
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    links = tuple(
        Link(
            sender=site.probes[i].id, receiver=site.probes[j].id, n=60, mad_db=1.0,
            median_dbm=-35 - 10 * site.path_loss.exponent * float(np.log10(apart[i, j])) + offset_db * (j == 0),
        )
        for i in range(len(places)) for j in range(len(places)) if i != j
    )  # fmt: skip
    anchors = tuple(Anchor(id=probe.id, floor=probe.floor, position_m=probe.position_m) for probe in site.probes)
    place, body = night_file(
        bench.path, LinksRecord(day="2026-03-13", at_s=AT_S, probes=anchors, links=links)
    )  # fmt: skip
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(body)


def test_what_probes_heard_of_each_other_is_applied_if_it_is_better_and_can_be_taken_back(tmp_path: Path) -> None:
    hall = default_site(8)
    hall = replace(hall, floors=tuple(replace(floor, walls=()) for floor in hall.floors))
    bench = Bench(tmp_path, hall)
    assert "no night in which probes heard each other" in refusal(bench, again("anchors"))
    night(bench, 8.0)
    assert "say which floor" in refusal(bench, again("anchors", floor="attic"))
    assert versions(bench.path) == ()
    done = bench.verbs.do(again("anchors"))
    assert isinstance(done, Response)
    assert done.count
    offsets = [probe.offset_db for probe in load_site(bench.path).probes]
    assert offsets[0] - np.mean(offsets[1:]) == pytest.approx(8.0, abs=0.5)
    assert read_reference(bench.path)  # what drift is held against
    assert "held-out links are" in refusal(bench, again("anchors"))
    bench.verbs.do(undo(done.count))
    assert load_site(bench.path).probes == hall.probes


def test_probes_hear_each_other_by_command(tmp_path: Path) -> None:
    begun = Bench(tmp_path).verbs.do(CalibrateStart(id="s", expires=int(AT_S), kind="anchors"))
    assert begun == Response(id="s", seconds=438.0)
