"""A change that breaks who reads or writes our messages is told from one that does not."""

import copy
import json
from collections.abc import Callable

import pytest

from hostkit import contract
from hostkit.contract.diff import Change, differences

NEW = json.loads(contract.text("asyncapi"))


def changed(change: Callable[[dict, dict], object]) -> tuple[Change, ...]:
    """Differences of today's document from an older one, which `change` makes from (document, its schemas)."""
    old = copy.deepcopy(NEW)
    change(old, old["components"]["schemas"])
    return differences(old, NEW)


def put(schema: str, name: str, value: object) -> Callable[[dict, dict], object]:
    return lambda _, schemas: schemas[schema].__setitem__(name, value)


def field(schema: str, name: str, **values: object) -> Callable[[dict, dict], object]:
    return lambda _, schemas: schemas[schema]["properties"].setdefault(name, {"type": "string"}).update(values)


def needed(schema: str, name: str) -> Callable[[dict, dict], object]:
    return lambda _, schemas: schemas[schema]["required"].append(name)


def not_needed(schema: str, name: str) -> Callable[[dict, dict], object]:
    return lambda _, schemas: schemas[schema]["required"].remove(name)


CASES = {
    "a stream gone": (
        lambda doc, _: doc["channels"].update({"kpi.week": doc["channels"]["kpi.day"]}),
        Change(where="kpi.week", what="the stream is gone", breaks=True),
    ),
    "a new stream": (
        lambda doc, _: doc["channels"].pop("event"),
        Change(where="event", what="new stream", breaks=False),
    ),
    "another address": (
        lambda doc, _: doc["channels"]["live"].update(address="footfall/v0/{tenant}/{site}/{node}/live"),
        Change(where="live", what="another address", breaks=True),
    ),
    "no longer retained": (
        lambda doc, _: doc["operations"]["hub.sends.visits"]["bindings"]["mqtt"].update(retain=True),
        Change(where="visits", what="retain True becomes False", breaks=True),
    ),
    "a field readers had": (
        field("visits.VisitRow", "gone"),
        Change(where="visits.data.rows[].gone", what="the field is gone", breaks=True),
    ),
    "a field readers get": (
        lambda _, schemas: schemas["visits.VisitRow"]["properties"].pop("radio"),
        Change(where="visits.data.rows[].radio", what="new field, needed", breaks=False),
    ),
    "a field readers may miss": (
        needed("visits.VisitRow", "member"),
        Change(where="visits.data.rows[].member", what="may be missing now", breaks=True),
    ),
    "a field writers must add": (
        not_needed("cmd.Replay", "to"),
        Change(where="cmd.data.to", what="becomes needed", breaks=True),
    ),
    "a new needed field for writers": (
        lambda _, schemas: schemas["config.Desired"]["properties"].pop("config_hash"),
        Change(where="config.data.config_hash", what="new field, needed", breaks=True),
    ),
    "a value readers never met": (
        lambda _, schemas: schemas["visits.EndReason"]["enum"].remove("flush"),
        Change(where="visits.data.rows[].end_reason", what="may be 'flush' now", breaks=True),
    ),
    "a value readers no longer meet": (
        lambda _, schemas: schemas["visits.EndReason"]["enum"].append("boredom"),
        Change(where="visits.data.rows[].end_reason", what="is never 'boredom' now", breaks=False),
    ),
    "a wider bound for readers": (
        field("visits.Visits", "rows", maxItems=100),
        Change(where="visits.data.rows", what="maxItems becomes 200", breaks=True),
    ),
    "a narrower bound for readers": (
        field("visits.Visits", "rows", maxItems=300),
        Change(where="visits.data.rows", what="maxItems becomes 200", breaks=False),
    ),
    "a bound where writers had none": (
        lambda _, schemas: schemas["cmd.Describe"]["properties"]["fingerprints"].pop("maxItems"),
        Change(where="cmd.data.fingerprints", what="maxItems becomes 64", breaks=True),
    ),
    "another pattern": (
        field("visits.VisitRow", "visit_id", pattern="^.*$"),
        Change(where="visits.data.rows[].visit_id", what="pattern becomes ^[a-z0-9-]{1,32}$(?!\\n)", breaks=True),
    ),
    "a command no longer taken": (
        lambda _, schemas: schemas["cmd.Message"]["properties"]["data"]["anyOf"].append({"type": "array"}),
        Change(where="cmd.data", what="array is no longer an alternative", breaks=True),
    ),
}


def test_a_document_does_not_differ_from_itself() -> None:
    assert differences(NEW, NEW) == ()


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_named_and_judged(case: str) -> None:
    change, expected = CASES[case]
    found = changed(change)
    assert expected in found
    assert {change.breaks for change in found} == {expected.breaks}


def test_other_words_are_no_change() -> None:
    assert changed(put("visits.VisitRow", "description", "Otherwise.")) == ()


@pytest.mark.parametrize("broken", [{"channels": 3}, {"channels": {"live": []}}, {"components": {"messages": [1]}}])
def test_what_is_no_document_is_refused(broken: dict) -> None:
    with pytest.raises(ValueError, match="where an object should be"):
        differences({**NEW, **broken}, NEW)
