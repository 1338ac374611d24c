"""Every command there can be, done at a real site.toml: done, refused with a reason, never a crash and never half."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.config import dump_site, load_site
from hostkit.contract.commands import Asked, CalibrateUndo, Response, SetThresholds, SetZones, Status, ToProbe
from hostkit.contract.rights import RIGHTS, Caller
from hostkit.errors import HostkitError
from hostkit.hub.commands import Waits
from hostkit.hub.configuration import Configuration
from hostkit.hub.fleet import Fleet
from hostkit.hub.roles import Roles
from hostkit.hub.settings import versions
from hostkit.hub.verbs import Means, Verbs
from hostkit.io.calibrations import Change, FieldRecord, encoded, read_field
from hostkit.io.outbox import Outbox
from hostkit.model import Site, Zone
from hostkit.sim.plan import default_site
from tests.contract.strategies import BODIES

SHOP = default_site(4)
AT_S = 1_773_486_300.0


class Bench:
    """Verbs over a site.toml, an outbox and nothing else; probes obey."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "site.toml"
        self.path.write_text(dump_site(SHOP))
        self.taken: list[Site] = []
        outbox = Outbox(folder / "hub.db")
        self.fleet = Fleet(SHOP)
        configuration = Configuration(
            self.path, SHOP, outbox, take=self.take, say=lambda _: None, roles=Roles(SHOP, folder), wall_s=lambda: AT_S
        )
        self.configuration = configuration
        self.verbs = Verbs(
            Means(
                outbox=outbox,
                configuration=configuration,
                fleet=self.fleet,
                flush=lambda: None,
                send=lambda probe, command: True,
                online=lambda probe: False,
                now_s=lambda: AT_S,
                devices=lambda start_s, end_s: (30.0, 20.0),
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


def test_a_calibration_of_any_kind_is_taken_back_by_command(tmp_path: Path) -> None:
    """A technician's walk, as the field commands leave it: in the book and in site.toml."""
    bench = Bench(tmp_path)
    before, after = SHOP.path_loss.exponent, 3.25
    moved = Change(key="path_loss.exponent", before=before, after=after)
    walk = FieldRecord(
        id="walk-20260314-1105", kind="walk", at_s=AT_S, source="w.csv", unit="m", before=3.0, after=2.0, naive=None,
        passed=True, changes=(moved,),
    )  # fmt: skip
    place, body = encoded(bench.path, walk)
    place.parent.mkdir()
    place.write_bytes(body)
    bench.configuration.change(lambda site: replace(site, path_loss=replace(site.path_loss, exponent=after)), "walk")
    undo = CalibrateUndo(id="u1", expires=int(AT_S), count=walk.id)
    done = bench.verbs.do(undo)
    assert isinstance(done, Response)
    assert (done.count, done.version) == (walk.id, versions(bench.path)[-1].number)
    assert load_site(bench.path).path_loss.exponent == before == bench.taken[-1].path_loss.exponent
    assert read_field(bench.path)[0].undone
    assert "taken back already" in refusal(bench, undo)
    assert walk.id in refusal(bench, CalibrateUndo(id="u2", expires=int(AT_S), count="count-1"))
