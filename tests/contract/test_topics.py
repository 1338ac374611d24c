"""Topics are built and taken apart by ids only; nothing reaches another tenant's place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.contract import parse_topic, topic, topics
from hostkit.contract.topics import Address
from hostkit.errors import PeerError, UsageError

ids = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)


def test_the_streams_with_their_delivery() -> None:
    got = {row.stream: (row.qos, row.retained, row.node) for row in topics().values()}
    assert got == {
        "state": (1, True, "publisher"),
        "info": (1, True, "publisher"),
        "health": (0, False, "publisher"),
        "probes": (0, True, "publisher"),
        "site": (1, True, "publisher"),
        "obs": (1, False, "publisher"),
        "visits": (1, False, "publisher"),
        "gap": (1, False, "publisher"),
        "live": (1, True, "publisher"),
        "kpi/hour": (1, True, "publisher"),
        "kpi/day": (1, True, "publisher"),
        "event": (1, False, "publisher"),
        "ack": (0, False, "addressee"),
        "cmd/<verb>": (1, False, "addressee"),
        "rsp/<id>": (1, False, "publisher"),
        "config": (1, True, "addressee"),
    }


@given(ids, ids, ids, st.sampled_from(sorted(topics())), ids)
def test_what_is_built_is_taken_apart_the_same(tenant: str, site: str, node: str, row: str, last: str) -> None:
    open_ended = row.endswith(">")
    stream = f"{row.partition('/')[0]}/{last}" if open_ended else row
    text = topic(tenant, site, node, stream)
    assert text == f"footfall/v1/{tenant}/{site}/{node}/{stream}"
    expected = Address(tenant=tenant, site=site, node=node, stream=row, last=last if open_ended else None)
    assert parse_topic(text) == expected


@pytest.mark.parametrize("bad", ["", "+", "#", "a/b", "A", "a" * 33, "a\n", "a b", "ä", "a\0"])
@pytest.mark.parametrize("place", ["tenant", "site", "node"])
def test_a_bad_id_never_becomes_a_topic(bad: str, place: str) -> None:
    places = {"tenant": "acme", "site": "s", "node": "hub", place: bad}
    with pytest.raises(UsageError) as caught:
        topic(**places, stream="live")
    assert str(caught.value) == f"topic: {place} {bad!r} is not an id; use 1 to 32 of a-z, 0-9 and -"


@pytest.mark.parametrize(
    "stream", ["", "lives", "kpi", "kpi/week", "cmd", "cmd/", "cmd/+", "cmd/a/b", "cmd/<verb>", "#"]
)
def test_an_unknown_stream_never_becomes_a_topic(stream: str) -> None:
    with pytest.raises(UsageError, match="is unknown; use one of state, info"):
        topic("acme", "s", "hub", stream)
    with pytest.raises(PeerError):
        parse_topic(f"footfall/v1/acme/s/hub/{stream}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "live",
        "footfall/v1/acme/s/hub",
        "footfall/v2/acme/s/hub/live",
        "/footfall/v1/acme/s/hub/live",
        "footfall/v1/acme//hub/live",
        "footfall/v1/acme/s/hub/live/",
        "footfall/v1/acme/s/hub/live\n",
        "footfall/v1/+/s/hub/live",
        "footfall/v1/acme/s/hub/live" + "x" * 300,
    ],
)
def test_a_strange_topic_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_topic(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 320


def test_a_source_belongs_to_its_place() -> None:
    address = Address(tenant="acme", site="s", node="hub")
    assert address.may_come_from("/acme/s/hub", to_node=False)
    assert not address.may_come_from("/acme/s/probe", to_node=False)
    assert address.may_come_from("/acme/s/collector", to_node=True)
    assert not address.may_come_from("/acme/s2/collector", to_node=True)
    assert not address.may_come_from("/acm/s/collector", to_node=True)
