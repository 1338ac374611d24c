"""Fingerprints are asked for, checked, and become classes without what changes between records of one device."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hostkit.contract.commands import Describe, Description, Element, Response
from hostkit.core.describe import describe_frame, read_description
from hostkit.core.wire import SIGHTING, Flag
from hostkit.hub.describe import AGAIN_S, ASK_S, KEEP_S, LEARN_S, MOST, Descriptions
from hostkit.io.outbox import Outbox
from hostkit.sim.elements import frame
from hostkit.sim.orders import described
from hostkit.sim.world import SimSettings, simulate

WORLD = simulate(SimSettings(people=20, hours=0.5, seed=4))
BODIES = [describe_frame(frame(1, 0, body)) for body in WORLD.bodies]
BY_PRINT = {one.fingerprint: one.data for one in BODIES}
PRINTS = sorted(BY_PRINT)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "hub.db")
    yield outbox
    outbox.close()


def rows(*pairs: tuple[int, int], flags: int = 0) -> np.ndarray:
    made = np.zeros(len(pairs), SIGHTING)
    made["device_key"], made["fingerprint"] = zip(*pairs, strict=True)
    made["time_us"], made["flags"] = np.arange(len(pairs)), flags
    return made


def answer(ask: Describe, known: dict[int, bytes] = BY_PRINT) -> Response:
    found = [described(one, known[one]) for one in ask.fingerprints if one in known]
    return Response(id=ask.id, descriptions=tuple(found))


def test_unknown_ones_are_asked_once_of_who_heard_them(outbox: Outbox) -> None:
    hub = Descriptions(outbox)
    assert hub.due("p", 0.0, 0.0, "d1") is None
    hub.classed("p", rows((1, PRINTS[0]), (2, PRINTS[1]), (1, PRINTS[0])), 0.0)
    ask = hub.due("p", 0.0, 1000.0, "d1")
    assert ask == Describe(id="d1", expires=1060, fingerprints=(PRINTS[0], PRINTS[1]))
    assert hub.due("q", 0.0, 0.0, "d2") is None
    assert hub.due("p", ASK_S - 1, 0.0, "d2") is None
    assert not hub.answered("q", answer(ask), 1.0)
    assert hub.answered("p", answer(ask), 1.0)
    assert (hub.known, hub.unknown, hub.bad) == (2, 0, 0)
    assert hub.due("p", 100.0, 0.0, "d3") is None
    hub.classed("p", rows((1, PRINTS[0])), 2.0)
    assert hub.due("p", 100.0, 0.0, "d3") is None


def test_what_a_probe_cannot_describe_is_not_asked_of_it_for_an_hour(outbox: Outbox) -> None:
    hub = Descriptions(outbox)
    hub.classed("p", rows((1, 77)), 0.0)
    assert hub.answered("p", Response(id="d1"), 0.0) is False
    ask = hub.due("p", 0.0, 0.0, "d1")
    assert ask
    assert hub.answered("p", answer(ask), 1.0)
    hub.classed("p", rows((1, 77)), AGAIN_S)
    assert hub.due("p", AGAIN_S, 0.0, "d2") is None
    hub.classed("q", rows((1, 77)), 2.0)
    assert hub.due("q", 2.0, 0.0, "d3")
    hub.classed("p", rows((1, 77)), AGAIN_S + 2)
    assert hub.due("p", AGAIN_S + 2, 0.0, "d4")


def test_a_lost_answer_is_asked_for_again_and_bluetooth_never(outbox: Outbox) -> None:
    hub = Descriptions(outbox)
    hub.classed("p", rows((1, 5), flags=int(Flag.BLE)), 0.0)
    assert hub.due("p", 0.0, 0.0, "d1") is None
    hub.classed("p", rows(*((1, number) for number in range(100))), 0.0)
    first = hub.due("p", 0.0, 0.0, "d1")
    assert first
    assert len(first.fingerprints) == MOST
    again = hub.due("p", ASK_S, 0.0, "d2")
    assert again
    assert again.fingerprints == first.fingerprints
    assert not hub.answered("p", answer(first), ASK_S)


@pytest.mark.parametrize(
    "bad",
    [
        Description(fingerprint=PRINTS[0], elements=(Element(id=1, length=8, stable="82"),)),
        Description(fingerprint=PRINTS[0], elements=(Element(id=0, length=2, stable="4142"),)),
        Description(fingerprint=PRINTS[0], elements=described(PRINTS[1], BY_PRINT[PRINTS[1]]).elements),
        Description(fingerprint=PRINTS[0], elements=(Element(id=45, length=255, stable="00" * 255),) * 40),
    ],
    ids=["short", "an ssid", "another's", "long"],
)
def test_a_description_of_something_else_is_counted_and_dropped(outbox: Outbox, bad: Description) -> None:
    hub = Descriptions(outbox)
    hub.classed("p", rows((1, PRINTS[0])), 0.0)
    assert hub.due("p", 0.0, 0.0, "d1")
    assert hub.answered("p", Response(id="d1", descriptions=(bad,)), 0.0)
    assert (hub.known, hub.bad) == (0, 1)


def varying() -> tuple[bytes, bytes]:
    """Give two descriptions that differ in one octet of an element body."""
    for data in BY_PRINT.values():
        at = 0
        while at < len(data):
            if data[at] == 127 and data[at + 1]:  # extended capabilities: STABLE, whole
                other = bytearray(data)
                other[at + 2] ^= 0x04
                return data, bytes(other)
            at += 2 + data[at + 1]
    raise AssertionError("no simulated model has extended capabilities")


def test_what_changes_is_left_out_from_the_next_key_on_and_after_a_restart(outbox: Outbox) -> None:
    one, other = (data for data in varying())
    known = {hub_print(data): data for data in (one, other)}
    first, second = known
    hub = Descriptions(outbox)
    hub.classed("p", rows((1, first), (1, second)), 0.0)
    ask = hub.due("p", 0.0, 0.0, "d1")
    assert ask
    hub.answered("p", answer(ask, known), 0.0)
    heard = rows(*((1, first if number % 2 else second) for number in range(200)))
    assert hub.classed("p", heard, LEARN_S) is heard  # the mask of this life stays as it was
    hub.new_life()
    classed = hub.classed("p", heard, 2 * LEARN_S)
    assert len(set(classed["fingerprint"].tolist())) == 1
    assert (classed["device_key"] == heard["device_key"]).all()
    hub.keep(KEEP_S)
    outbox.commit()
    again = Descriptions(outbox)
    again.classed("p", heard, 0.0)
    ask = again.due("p", 0.0, 0.0, "d2")
    assert ask
    again.answered("p", answer(ask, known), 0.0)
    assert (again.classed("p", heard, 1.0)["fingerprint"] == classed["fingerprint"]).all()
    assert str(first) not in (outbox.word("volatile") or "")


def hub_print(data: bytes) -> int:
    return read_description(data).fingerprint
