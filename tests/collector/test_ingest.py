"""Messages into a store: any order and any repetition give the same; what is bad is quarantined and harms nothing."""

import random
import time
from binascii import crc32
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostkit.collector.clock import AHEAD_S, Clock, ClockKind
from hostkit.collector.ingest import Ingest
from hostkit.collector.rollups import rebuild, settle_s
from hostkit.collector.sales import import_sales, read_sales
from hostkit.collector.shown import Shown
from hostkit.contract.codec import GAP
from hostkit.contract.messages import Ack, Gap, LostReason
from hostkit.core.kpi import compute
from hostkit.core.rollup import Grain, Origin, Place, day_at, hour_at
from hostkit.errors import InputError
from hostkit.io.store_sqlite import SqliteStore
from hostkit.model import Provenance
from tests.collector.shop import COVERAGE, HubVoice, Post, Shop, day, live_kpis, simulated

NOW_S = 1_741_100_000


@pytest.fixture(scope="session")
def shop() -> Shop:
    return simulated(120, 4.0, 5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path)
    yield store
    store.close()


def put(store: SqliteStore, posts: Sequence[Post], *, every: int = 10_000) -> list[str]:
    """Ingest and compute; gives the refusals."""
    ingest = Ingest(store, lambda: NOW_S, lambda: NOW_S + AHEAD_S)
    refused = []
    for start in range(0, len(posts), every):
        with store.writing():
            taken = [ingest.take(post.topic, post.payload) for post in posts[start : start + every]]
        refused += [one.refused for one in taken if one.refused]
        while rebuild(store):
            pass
    return refused


def content(store: SqliteStore) -> dict[str, object]:
    """Everything that must not depend on the order of arrival; revisions of our buckets tell how often it changed."""
    with store.reading():
        places = store.places()
        return {
            "outboxes": [(store.progress(), replace(store.held("/"), again=0), store.gaps("/demo/corner-shop/hub"))],
            "visits": {place: store.visits(place, 0, 1 << 40) for place in places}
            | {("spans", place): sorted(store.spans(place)) for place in places},
            "snapshots": {(place, kind): store.snapshot(place, kind) for place in places for kind in ("site", "live")},
            "buckets": {
                (place, origin, grain): [
                    msgspec.structs.replace(b, rev=0) for b in store.buckets(place, origin, grain, 0, 1 << 40)
                ]
                for place in places
                for origin in Origin
                for grain in Grain
            },
        }


# too_slow: on a busy machine the drawing of two numbers may take as long as it likes.
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(seed=st.integers(0, 2**32), every=st.integers(1, 60))
def test_any_order_and_any_repetition_give_the_same(
    tmp_path_factory: pytest.TempPathFactory, seed: int, every: int
) -> None:
    shop = simulated(120, 4.0, 5)
    posts = list(day(shop, HubVoice(shop.site)))
    straight = SqliteStore(tmp_path_factory.mktemp("straight"))
    assert put(straight, posts) == []
    mixed = SqliteStore(tmp_path_factory.mktemp("mixed"))
    chance = random.Random(seed)
    again = posts + chance.choices(posts, k=len(posts))
    chance.shuffle(again)
    assert put(mixed, again, every=every) == []
    assert content(mixed) == content(straight)
    assert content(mixed)["visits"]
    straight.close()
    mixed.close()


def test_what_comes_again_is_counted_and_kept_once(store: SqliteStore, shop: Shop) -> None:
    posts = list(day(shop, HubVoice(shop.site)))
    put(store, posts)
    before = store.held("/demo/corner-shop/")
    rows = [post for post in posts if post.topic.endswith("/visits")]
    put(store, posts)  # what a broker retains comes at every connect: only rows count
    put(store, rows[:3])
    assert store.held("/demo/corner-shop/") == replace(before, again=len(rows) + 3)
    assert store.held("/demo/other-shop/").again == 0


def test_figures_are_those_of_the_core(store: SqliteStore, shop: Shop) -> None:
    """What the hub would compute from the same rounded visits is what the store holds."""
    put(store, list(day(shop, HubVoice(shop.site))))
    place = store.places()[0]
    zone = shop.site.time_zone
    today = day_at(shop.start_s, zone)
    found = store.buckets(place, Origin.COLLECTOR, Grain.DAY, today.start_s, today.end_s)
    visits = [visit for _, visit in shop.visits]
    exact = {
        k.id: k.value.value
        for k in compute(visits, shop.site, start_s=today.start_s, end_s=today.end_s, coverage=COVERAGE)
        if k.of is None
    }
    got = {v.id: v.value for v in found[0].kpis if v.split is None}
    assert got["footfall"] == pytest.approx(exact["footfall"], rel=0.03)  # dwell travels in half minutes
    assert got["passersby"] == pytest.approx(exact["passersby"], rel=0.01)
    assert got["dwell_median"] == pytest.approx(
        exact["dwell_median"], rel=0.15
    )  # some 50 visits, each a minute either side
    hours = store.buckets(place, Origin.COLLECTOR, Grain.HOUR, today.start_s, today.end_s)
    total = sum(v.value or 0 for b in hours for v in b.kpis if v.id == "footfall" and v.split is None)
    assert total == pytest.approx(got["footfall"])
    assert {v.coverage.listened_share for v in found[0].kpis} == {COVERAGE.listened_share}


def test_provenances_never_meet(store: SqliteStore, shop: Shop) -> None:
    simulated_posts = list(day(shop, HubVoice(shop.site)))
    replayed = list(
        day(replace(shop, visits=shop.visits[:20]), HubVoice(shop.site, boot="other", provenance=Provenance.REPLAY))
    )
    put(store, [post for pair in zip(simulated_posts, replayed, strict=False) for post in pair] + simulated_posts)
    places = {place.provenance: place for place in store.places()}
    assert set(places) == {Provenance.SIMULATED, Provenance.REPLAY}
    assert len(store.spans(places[Provenance.SIMULATED])) == len(shop.visits)
    assert len(store.spans(places[Provenance.REPLAY])) == 20
    for provenance, place in places.items():
        for bucket in store.buckets(place, Origin.COLLECTOR, Grain.HOUR, 0, 1 << 40):
            assert {value.provenance for value in bucket.kpis} == {provenance}


def test_a_visit_that_moves_takes_its_figure_along(store: SqliteStore, shop: Shop) -> None:
    voice = HubVoice(shop.site)
    visit = shop.visits[0][1]
    later = replace(
        visit, rev=2, start_s=replace(visit.start_s, lo=visit.start_s.lo + 7200, hi=visit.start_s.hi + 7200),
        end_s=replace(visit.end_s, lo=visit.end_s.lo + 7200, hi=visit.end_s.hi + 7200),
    )  # fmt: skip
    put(store, [voice.site(shop.start_s), voice.visits([visit], shop.start_s)])
    put(store, [voice.visits([later], shop.start_s + 7200)])
    place = store.places()[0]
    buckets = store.buckets(place, Origin.COLLECTOR, Grain.HOUR, 0, 1 << 40)
    heard = [v.value for b in buckets for v in b.kpis if v.id == "footfall_devices" and v.split is None]
    assert heard[0] is None  # nobody is known to have listened to the first hour now
    assert len([value for value in heard if value]) == 1


POISON = [
    b"", b"{}", b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"seq": 1e999}', b"online\n", b"x" * (1 << 20),
    b'{"specversion":"1.0","data":{}}', "\u202e\u0000".encode(),
]  # fmt: skip
STREAMS = ["visits", "live", "site", "kpi/hour", "kpi/day", "event", "info", "health", "state"]


@pytest.mark.parametrize("stream", STREAMS)
def test_poison_on_every_topic_is_kept_apart(store: SqliteStore, shop: Shop, stream: str) -> None:
    topic = f"footfall/v1/demo/corner-shop/hub/{stream}"
    refused = put(store, [Post(topic=topic, payload=payload) for payload in POISON])
    assert len(refused) == len(POISON)
    assert all("\n" not in line and len(line) < 1000 for line in refused)
    assert store.quarantined() == {stream: len(POISON)}
    assert store.places() == []
    assert put(store, list(day(shop, HubVoice(shop.site)))) == []


def test_messages_of_others_are_refused(store: SqliteStore, shop: Shop) -> None:
    good = HubVoice(shop.site).visits([shop.visits[0][1]], NOW_S)
    for topic in (
        "footfall/v1/demo/other-shop/hub/visits", "footfall/v1/demo/corner-shop/probe-1/visits",
        "footfall/v1/demo/corner-shop/hub/live", "footfall/v1/DEMO/corner-shop/hub/visits", "some/thing", "",
    ):  # fmt: skip
        assert put(store, [replace(good, topic=topic)])
    assert store.places() == []
    assert store.progress() == []


def test_our_own_figures_are_not_taken_for_a_hubs(store: SqliteStore, shop: Shop) -> None:
    voice = HubVoice(shop.site, node="collector")
    assert put(store, [voice.hour(shop.start_s, shop.start_s + 3600, [], COVERAGE, NOW_S)]) == []
    assert store.places() == []


def resealed(payload: bytes) -> bytes:
    """Its sender meant it so."""
    return payload[:-20] + b',"crc32":"%08x"}' % crc32(payload[:-20])


def test_a_poisoned_row_of_an_outbox_does_not_stop_the_others(store: SqliteStore, shop: Shop) -> None:
    voice = HubVoice(shop.site)
    first, bad, last = (voice.visits([visit], NOW_S) for _, visit in shop.visits[:3])
    bad = replace(bad, payload=resealed(bad.payload.replace(b'"p_entrant":', b'"p_entrant":-')))
    assert len(put(store, [first, bad, last])) == 1
    assert store.progress()[0].upto == 3
    assert store.held("/demo/corner-shop/").completeness == pytest.approx(2 / 3)


FUTURE_S = 3_800_000_000  # June 2090


def said(shop: Shop, boot: str, at_s: float) -> dict[str, Post]:
    """One message of each kind that carries a time, all of the same moment."""
    voice = HubVoice(shop.site, boot=boot)
    hour = hour_at(int(at_s), shop.site.time_zone)
    return {
        "visits": voice.visits([shop.visits[0][1]], at_s),
        "site": voice.site(at_s),
        "live": voice.live(live_kpis(shop, shop.end_s), at_s),
        "kpi/hour": voice.hour(hour.start_s, hour.end_s, [], COVERAGE, at_s),
        "health": voice.health(None, at_s),
    }


@pytest.mark.parametrize("at_s", [NOW_S + AHEAD_S + 1, FUTURE_S, 253_402_300_799])
def test_what_is_dated_ahead_is_quarantined_and_hides_nothing_that_comes_after(
    store: SqliteStore, shop: Shop, at_s: int
) -> None:
    ahead, now = said(shop, "ahead", min(at_s, FUTURE_S)), said(shop, "now", NOW_S)
    date = datetime.fromtimestamp(min(at_s, FUTURE_S), UTC).date().isoformat().encode()
    if at_s > FUTURE_S:
        ahead = {k: replace(p, payload=resealed(p.payload.replace(date, b"9999-12-31"))) for k, p in ahead.items()}
    refused = put(store, list(ahead.values()))
    assert len(refused) == len(ahead)
    assert all("days ahead of the collector's clock; set the clocks" in line for line in refused)
    assert store.quarantined() == dict.fromkeys(ahead, 1)
    assert store.latest_us() < (NOW_S + AHEAD_S) * 1_000_000  # a collector's clock begins there
    assert {p.boot: p.upto for p in store.progress()} == {"ahead": 1}  # or its outbox would send it for ever
    assert put(store, list(now.values())) == []
    place = store.places()[0]
    assert len(store.visits(place, 0, 1 << 40)) == 1
    assert msgspec.json.decode(store.snapshot(place, "live") or "")["at_s"] == NOW_S


def test_a_clock_two_days_ahead_is_borne(store: SqliteStore, shop: Shop) -> None:
    assert put(store, list(said(shop, "ahead", NOW_S + AHEAD_S).values())) == []


def test_rows_of_years_to_come_are_refused_in_a_message_of_today(store: SqliteStore, shop: Shop) -> None:
    visit = shop.visits[0][1]
    later = [replace(span, lo=FUTURE_S, hi=FUTURE_S) for span in (visit.start_s, visit.end_s)]
    voice = HubVoice(shop.site)
    bad = voice.visits([visit, replace(visit, visit_id="later", start_s=later[0], end_s=later[1])], NOW_S)
    hour = voice.hour(FUTURE_S, FUTURE_S + 3600, [], COVERAGE, NOW_S)
    assert len(put(store, [voice.site(NOW_S), bad, hour, voice.visits([visit], NOW_S)])) == 2
    assert store.quarantined() == {"visits": 1, "kpi/hour": 1}
    assert store.progress()[0].upto == 2
    assert len(store.spans(store.places()[0])) == 1


def test_the_bound_is_the_walls_whatever_clock_counts() -> None:
    now_s = time.time()
    for kind in ClockKind:
        assert Clock(kind).latest_s() == pytest.approx(now_s + AHEAD_S, abs=5)
    assert Clock(ClockKind.BATCH, FUTURE_S * 1_000_000).latest_s() == FUTURE_S + AHEAD_S  # by a store of old


def test_a_site_that_cannot_be_is_refused(store: SqliteStore, shop: Shop) -> None:
    for site in (
        replace(shop.site, time_zone="../../etc/passwd"),
        replace(shop.site, people_per_device=replace(shop.site.people_per_device, median=1e300, log_sd=1e6)),
        replace(shop.site, thresholds=replace(shop.site.thresholds, visit_timeout_s=-5.0)),
    ):
        assert put(store, [HubVoice(site).site(NOW_S)])
    assert store.places() == []


def test_what_the_outbox_gave_up_is_a_gap(store: SqliteStore, shop: Shop) -> None:
    voice = HubVoice(shop.site)
    posts = [voice.visits([visit], NOW_S) for _, visit in shop.visits[:5]]
    put(store, [posts[0], *posts[3:]])
    assert store.progress()[0].upto == 1
    put(store, [voice.health(Ack(boot="0b5e55ed", upto=3), NOW_S)])
    assert store.progress()[0].upto == 5
    assert [(gap.first, gap.last) for gap in store.gaps("/demo/corner-shop/hub")] == [(2, 3)]


def gap_post(voice: HubVoice, gap: Gap) -> Post:
    for _ in range(gap.last - gap.first + 1):
        post = voice.kept(GAP, gap, "gap", NOW_S)
    return post


def test_a_gap_of_the_outbox_is_acked_and_lowers_completeness_when_it_was(store: SqliteStore, shop: Shop) -> None:
    voice = HubVoice(shop.site)
    hour = hour_at(shop.start_s, shop.site.time_zone)
    put(store, [voice.site(hour.start_s), voice.visits([shop.visits[0][1]], hour.start_s + 60)])
    gap = Gap(first=2, last=9, reason=LostReason.AGE, rows=70, since_s=hour.end_s, until_s=hour.end_s + 5 * 3600)
    put(store, [gap_post(voice, gap), voice.visits([shop.visits[1][1]], hour.end_s + 8 * 3600)])
    assert store.progress()[0].upto == 10
    place = store.places()[0]
    shown = Shown(store, place, shop.site)
    settled = settle_s(shop.site)
    first, second = ((at_s, at_s + 3600 - settled) for at_s in (hour.start_s, hour.end_s + 3600))
    assert shown.arrived(*first) == 1.0
    assert shown.arrived(*second) == 0.0
    assert shown.arrived(hour.start_s, hour.end_s + 9 * 3600) == pytest.approx(2 / 10)


def test_what_was_damaged_on_its_way_comes_again(store: SqliteStore, shop: Shop) -> None:
    post = HubVoice(shop.site).visits([shop.visits[0][1]], NOW_S)
    at = post.payload.index(b'"rev":') + len(b'"rev":')
    digit = b"1" if post.payload[at : at + 1] != b"1" else b"2"
    damaged = replace(post, payload=post.payload[:at] + digit + post.payload[at + 1 :])  # valid in every other way
    assert "CRC-32" in put(store, [damaged])[0]
    assert store.progress() == []
    assert store.quarantined() == {"visits": 1}
    assert put(store, [post]) == []
    assert store.progress()[0].upto == 1
    assert len(store.spans(store.places()[0])) == 1


def test_history_is_computed_anew_when_the_site_changes(store: SqliteStore, shop: Shop) -> None:
    put(store, list(day(shop, HubVoice(shop.site))))
    place = store.places()[0]
    before = store.buckets(place, Origin.COLLECTOR, Grain.HOUR, 0, 1 << 40)
    doubled = replace(shop.site, people_per_device=replace(shop.site.people_per_device, median=2.0))
    put(store, [HubVoice(doubled, boot="second").site(shop.end_s + 3600, config_hash="bb")])
    after = store.buckets(place, Origin.COLLECTOR, Grain.HOUR, 0, 1 << 40)

    def footfall(buckets: Sequence[object]) -> float:
        return sum(v.value or 0 for b in buckets for v in b.kpis if v.id == "footfall")  # type: ignore[attr-defined]

    assert footfall(after) == pytest.approx(2 * footfall(before))
    assert max(b.rev for b in after) > 1


# ---- sales ----


def test_sales_give_conversion_and_only_within_their_provenance(store: SqliteStore, shop: Shop, tmp_path: Path) -> None:
    put(store, list(day(shop, HubVoice(shop.site))))
    (tmp_path / "sales.csv").write_text(shop.sales_csv, encoding="utf-8-sig")
    sales = read_sales(tmp_path / "sales.csv")
    assert import_sales(store, "demo", sales, dry_run=True).new == 0
    assert import_sales(store, "demo", sales).new == len(sales)
    assert import_sales(store, "demo", sales).new == 0
    while rebuild(store):
        pass
    simulated_place = Place(tenant="demo", site="corner-shop", provenance=Provenance.SIMULATED)
    bucket = store.buckets(simulated_place, Origin.COLLECTOR, Grain.DAY, 0, 1 << 40)[0]
    by_id = {v.id: v for v in bucket.kpis if v.split is None}
    assert by_id["transactions"].value == len(sales)
    assert by_id["revenue"].value == sum(sale.gross_minor for sale in sales)
    assert by_id["conversion_rate"].value == pytest.approx(len(sales) / by_id["visitors"].value)
    assert by_id["conversion_rate"].high == pytest.approx(len(sales) / by_id["visitors"].low)
    live_place = replace(simulated_place, provenance=Provenance.LIVE)
    assert store.sales(live_place, 0, 1 << 40) == []


HEADER = "source,location_id,transaction_id,sold_at,kind,gross_minor,net_minor,tax_minor,currency,items,tender\n"


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("a,b\n1,2\n", "line 1: has no column source"),
        (HEADER + "t,s,R1,2025-03-04T10:00:00,sale,1,1,0,EUR,1,card\n", "line 2: sold_at .* has no offset"),
        (HEADER + "t,s,R1,2025-03-04T10:00:00+01:00,gift,1,1,0,EUR,1,card\n", "line 2: 'gift'"),
        (HEADER + "t,s,R1,2025-03-04T10:00:00+01:00,sale,1.5,1,0,EUR,1,card\n", "gross_minor .* whole number"),
        (HEADER + "t,S!,R1,2025-03-04T10:00:00+01:00,sale,1,1,0,EUR,1,card\n", "location_id"),
        (HEADER + "t,s,R1\n", "line 2: 'sold_at'"),
    ],
)
def test_a_wrong_row_refuses_the_file(tmp_path: Path, text: str, pattern: str) -> None:
    (tmp_path / "sales.csv").write_text(text)
    with pytest.raises(InputError, match=pattern):
        read_sales(tmp_path / "sales.csv")


def test_sales_in_gb18030(tmp_path: Path) -> None:
    row = "收银,s,R1,2025-03-04T10:00:00+08:00,sale,1,1,0,CNY,1,微信\n"
    (tmp_path / "sales.csv").write_bytes((HEADER + row).encode("gb18030"))
    assert read_sales(tmp_path / "sales.csv")[0].tender == "微信"
