"""What every engine's store must do. An engine's test module subclasses `StoreConformance` and gives `make`."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest

from hostkit.collector.store import Store
from hostkit.contract.messages import KpiBucket, Live, VisitRow
from hostkit.core.rollup import Grain, Origin, Place
from hostkit.core.sales import Sale, SaleKind
from hostkit.core.stored import DirtyHour, Envelope, Gap, Held, LostRows, NodeRecord, Progress, VisitRecord
from hostkit.model import EndReason, Provenance, Radio, VisitClass

LIVE = Place(tenant="acme", site="s1", provenance=Provenance.LIVE)
SIMULATED = Place(tenant="acme", site="s1", provenance=Provenance.SIMULATED)
HUB = "/acme/s1/hub"
Make = Callable[[], Store]


def envelope(seq: int, *, boot: str = "b1", time_s: int = 1000, source: str = HUB) -> Envelope:
    return Envelope(source=source, boot=boot, seq=seq, time_us=time_s * 1_000_000, provenance=Provenance.LIVE)


def visit(visit_id: str, *, rev: int = 1, start_s: int = 3600, end_s: int = 4500, p: float = 0.3) -> VisitRecord:
    row = VisitRow(
        visit_id=visit_id, rev=rev, start_s=(start_s, start_s), end_s=(end_s, end_s), dwell_s=(1, 2, 3),
        visit_class=VisitClass.ENTRANT, p_entrant=p, radio=Radio.WIFI, zones=(),
        end_reason=EndReason.SILENCE,
    )  # fmt: skip
    return VisitRecord(visit_id=visit_id, rev=rev, start_s=start_s, end_s=end_s, body=msgspec.json.encode(row))


def bucket(start_s: int, *, rev: int = 0, grain: str = "hour", sig: str | None = None) -> KpiBucket:
    return KpiBucket(grain=grain, start_s=start_s, end_s=start_s + 3600, rev=rev, kpis=(), sig=sig)  # type: ignore[arg-type]


def sale(number: int, *, gross: int = 100, sold_s: int = 3700, kind: SaleKind = SaleKind.SALE) -> Sale:
    return Sale(
        source="till", location_id="s1", transaction_id=f"R{number}", sold_s=sold_s, kind=kind, gross_minor=gross,
        net_minor=gross, tax_minor=0, currency="EUR", items=1, tender="card",
    )  # fmt: skip


class StoreConformance:
    """Subclass it and give a fixture `make` that opens the same database again and again."""

    @pytest.fixture
    def store(self, make: Make) -> Iterator[Store]:
        store = make()
        yield store
        store.close()

    # ---- messages and outboxes ----

    def test_a_message_is_new_once(self, store: Store) -> None:
        with store.writing():
            assert store.add_message(envelope(1), "visits", counted=True)
            assert not store.add_message(envelope(1), "visits", counted=True)
            assert store.held("/acme/s1/").again == 1
            assert store.add_message(envelope(1, boot="b2"), "visits", counted=True)
            assert store.add_message(envelope(1, source="/acme/s2/hub"), "visits", counted=True)

    def test_what_an_outbox_dropped_is_named_and_waited_for_no_longer(self, store: Store) -> None:
        first = LostRows(first=2, last=4, reason="size", rows=90, since_s=200, until_s=400)
        with store.writing():
            store.add_message(envelope(1, time_s=100), "visits", counted=True)
            store.add_message(envelope(9, time_s=900), "visits", counted=True)  # live went ahead
            store.put_lost(envelope(4, time_s=400), first)
            assert store.progress()[0].upto == 4
            store.put_lost(envelope(6, time_s=600), replace(first, last=6, rows=150, until_s=600))
            store.put_lost(envelope(4, time_s=400), first)  # an earlier one comes late
            assert store.progress()[0].upto == 6
            store.add_message(envelope(3, time_s=300), "visits", counted=True)  # dropped while it was on its way
            for seq in (7, 8):
                store.add_message(envelope(seq, time_s=seq * 100), "visits", counted=True)
            assert store.progress()[0].upto == 9
            assert [(gap.first, gap.last, gap.reason, gap.rows, gap.since_s) for gap in store.gaps(HUB)] == [
                (4, 6, "size", 150, 200),
                (2, 2, "size", 150, 200),
            ]
            assert store.held(HUB) == Held(stored=5, known=9)

    def test_an_outbox_of_which_only_a_gap_came_waits_for_what_was_before(self, store: Store) -> None:
        lost = LostRows(first=5, last=9, reason="age", rows=3, since_s=5, until_s=9)
        with store.writing():
            store.put_lost(envelope(9), lost)
            assert store.progress()[0].upto == 0
            for seq in range(1, 5):
                store.add_message(envelope(seq), "visits", counted=True)
            assert store.progress()[0].upto == 9

    def test_progress_says_whose_data_it_is(self, store: Store) -> None:
        with store.writing():
            store.add_message(replace(envelope(1), provenance=Provenance.REPLAY), "visits", counted=True)
            store.put_lost(
                replace(envelope(1, boot="b2"), provenance=Provenance.SIMULATED),
                LostRows(first=1, last=1, reason="age", rows=3, since_s=5, until_s=9),
            )
            assert [one.provenance for one in store.progress()] == [Provenance.REPLAY, Provenance.SIMULATED]

    def test_progress_stops_at_a_hole_and_goes_on_when_it_is_filled(self, store: Store) -> None:
        with store.writing():
            for seq in (2, 1, 3, 5, 7):
                store.add_message(envelope(seq, time_s=seq), "visits", counted=True)
            assert store.progress() == [Progress(source=HUB, boot="b1", upto=3, provenance=Provenance.LIVE)]
            assert store.gaps(HUB) == [
                Gap(source=HUB, boot="b1", first=6, last=6, time_s=7),
                Gap(source=HUB, boot="b1", first=4, last=4, time_s=5),
            ]
            assert store.held("/acme/s1/") == Held(stored=5, known=7)
            store.add_message(envelope(4), "visits", counted=True)
            assert store.progress(HUB)[0].upto == 5
            store.add_message(envelope(6), "visits", counted=True)
            assert store.progress(HUB)[0].upto == 7
            assert store.gaps(HUB) == []
            assert store.held("/acme/s1/").completeness == 1
        assert store.progress("/acme/s2/hub") == []

    def test_what_is_not_an_outbox_has_no_holes(self, store: Store) -> None:
        with store.writing():
            store.add_message(envelope(40, boot="volatile"), "site")
            assert store.progress() == []
            assert store.held("/acme/s1/") == Held(stored=0, known=0)
            store.add_message(envelope(39, boot="volatile"), "visits", counted=True)
            assert store.held("/acme/s1/") == Held(stored=2, known=40)

    def test_giving_up_moves_on_and_keeps_the_gap(self, store: Store) -> None:
        with store.writing():
            for seq in (1, 5, 6):
                store.add_message(envelope(seq), "visits", counted=True)
            store.give_up(envelope(0), "b1", 4)
            assert store.progress()[0].upto == 6
            assert [(gap.first, gap.last) for gap in store.gaps(HUB)] == [(2, 4)]
            assert store.held("/acme/s1/") == Held(stored=3, known=6)
            store.give_up(envelope(0), "b1", 2)
            assert store.progress()[0].upto == 6

    def test_what_another_collector_got_is_not_missing_here(self, store: Store) -> None:
        with store.writing():
            store.add_message(envelope(500), "visits", counted=True)
            store.give_up(envelope(0), "b1", 499)
            assert store.progress()[0].upto == 500
            assert store.gaps(HUB) == []
            assert store.held("/acme/s1/") == Held(stored=1, known=1)
            store.give_up(envelope(0), "b9", 70)
            store.add_message(envelope(71, boot="b9"), "visits", counted=True)
            assert store.progress()[1] == Progress(source=HUB, boot="b9", upto=71, provenance=Provenance.LIVE)
            assert store.held("/acme/s1/") == Held(stored=2, known=2)

    def test_messages_of_a_time_and_of_a_site(self, store: Store) -> None:
        with store.writing():
            for seq in (1, 2, 4, 5, 6):
                store.add_message(envelope(seq, time_s=seq * 100), "visits", counted=True)
            assert store.arrived("/acme/s1/", 0, 400) == 2
            assert store.arrived("/acme/s1/", 400, 401) == 1
            assert store.arrived("/acme/s1/", 0, 900) == 5
            assert store.arrived("/acme/s/", 0, 900) == 0
            assert store.held("/acme/s1/") == Held(stored=5, known=6)
            assert store.held("/acme/s/") == Held(stored=0, known=0)

    def test_poison_counts_as_come_but_not_as_stored(self, store: Store) -> None:
        with store.writing():
            store.add_message(envelope(1), "visits", counted=True)
            store.add_message(envelope(2), "visits", counted=True, good=False)
            assert store.progress()[0].upto == 2
            assert store.held("/acme/s1/") == Held(stored=1, known=2)

    def test_quarantine_keeps_each_once_and_counts_by_stream(self, store: Store) -> None:
        with store.writing():
            for payload in (b"\xff\0", b"\xff\0", b"other"):
                store.quarantine("a/b", "visits", "bad", payload, 1)
            store.quarantine("a/c", "foreign", "bad", b"\xff\0" * 100_000, 1)
        assert store.quarantined() == {"foreign": 1, "visits": 2}

    # ---- visits ----

    def test_the_highest_revision_wins_in_any_order(self, store: Store) -> None:
        with store.writing():
            assert store.put_visits(LIVE, [visit("v", rev=2, start_s=7200, end_s=7300)]) == [(7200, 7300)]
            assert store.put_visits(LIVE, [visit("v", rev=1)]) == []
            assert store.put_visits(LIVE, [visit("v", rev=2, start_s=7200, end_s=7300)]) == []
            assert store.put_visits(LIVE, [visit("v", rev=3)]) == [(7200, 7300), (3600, 4500)]
            assert [row.rev for row in store.visits(LIVE, 3600, 7200)] == [3]
            for first, second in ((0.4, 0.9), (0.9, 0.4)):
                store.put_visits(LIVE, [visit(f"w{first * 10:.0f}", p=first), visit(f"w{first * 10:.0f}", p=second)])
            assert {row.p_entrant for row in store.visits(LIVE, 3600, 7200)} == {0.3, 0.9}

    def test_provenances_and_sites_are_apart(self, store: Store) -> None:
        with store.writing():
            store.put_visits(LIVE, [visit("v")])
            store.put_visits(SIMULATED, [visit("v", rev=5), visit("w")])
            assert [row.rev for row in store.visits(LIVE, 0, 7200)] == [1]
            assert store.places() == [LIVE, SIMULATED]
            assert store.spans(SIMULATED) == [(3600, 4500)] * 2
        assert store.visits(Place(tenant="acme", site="s", provenance=Provenance.LIVE), 0, 7200) == []

    @pytest.mark.parametrize(
        ("start_s", "end_s", "found"),
        [
            (100_000, 104_399, False),  # over before
            (100_000, 104_400, True),
            (100_000, 108_000, True),  # there at the end
            (104_400, 104_500, True),  # within
            (108_000, 108_100, True),  # begins as the bucket ends: present then
            (108_001, 109_000, False),
            (10_000, 200_000, False),  # no visit lasts so long: the key does not
        ],
    )
    def test_visits_of_a_bucket(self, store: Store, start_s: int, end_s: int, *, found: bool) -> None:
        with store.writing():
            store.put_visits(LIVE, [visit("v", start_s=start_s, end_s=end_s)])
            assert bool(store.visits(LIVE, 104_400, 108_000)) == found

    # ---- snapshots, nodes, events ----

    def test_the_newest_snapshot_stays(self, store: Store) -> None:
        old, new = (msgspec.json.encode(Live(at_s=at_s, kpis=())) for at_s in (10, 20))
        with store.writing():
            assert store.put_snapshot(LIVE, "live", envelope(2, time_s=20), new)
            assert not store.put_snapshot(LIVE, "live", envelope(3, time_s=10), old)
            assert not store.put_snapshot(LIVE, "live", envelope(2, time_s=20), old)
            assert store.put_snapshot(LIVE, "site", envelope(1), b"{}")
            assert store.snapshot(LIVE, "live") == new.decode()
            assert store.snapshot(SIMULATED, "live") is None
            assert store.latest_us() == 1_000_000_000

    def test_nodes_are_replaced(self, store: Store) -> None:
        with store.writing():
            for state in ("online", "offline"):
                store.put_node("acme", "s1", NodeRecord(node="p1", kind="state", time_s=1, body=state))
        assert [node.body for node in store.nodes("acme", "s1")] == ["offline"]
        assert store.nodes("acme", "s2") == []

    # ---- buckets ----

    def test_our_bucket_gets_a_revision_when_it_changes(self, store: Store) -> None:
        with store.writing():
            assert store.put_bucket(LIVE, Origin.COLLECTOR, bucket(3600))
            assert not store.put_bucket(LIVE, Origin.COLLECTOR, bucket(3600))
            assert store.put_bucket(LIVE, Origin.COLLECTOR, bucket(3600, sig="x"))
            assert store.put_bucket(LIVE, Origin.COLLECTOR, bucket(3600))
            assert [b.rev for b in store.buckets(LIVE, Origin.COLLECTOR, Grain.HOUR, 3600, 3601)] == [3]
            assert store.buckets(LIVE, Origin.COLLECTOR, Grain.DAY, 0, 9999) == []
            assert store.buckets(LIVE, Origin.HUB, Grain.HOUR, 0, 9999) == []
            assert store.buckets(SIMULATED, Origin.COLLECTOR, Grain.HOUR, 0, 9999) == []

    def test_the_hubs_bucket_keeps_its_highest_revision(self, store: Store) -> None:
        with store.writing():
            for rev, kept in ((4, True), (3, False), (4, False), (5, True)):
                assert store.put_bucket(LIVE, Origin.HUB, bucket(3600, rev=rev)) == kept
            assert [b.rev for b in store.buckets(LIVE, Origin.HUB, Grain.HOUR, 0, 9999)] == [5]

    def test_what_nobody_was_told(self, store: Store) -> None:
        with store.writing():
            for start_s in (7200, 3600):
                store.put_bucket(LIVE, Origin.COLLECTOR, bucket(start_s))
            store.put_bucket(LIVE, Origin.HUB, bucket(0, rev=1))
            assert [b.start_s for b in store.unpublished(LIVE, 10_800)] == [3600, 7200]
            assert [b.start_s for b in store.unpublished(LIVE, 10_799)] == [3600]
            store.mark_published(LIVE, store.unpublished(LIVE, 10_799)[0])
            assert [b.start_s for b in store.unpublished(LIVE, 10_800)] == [7200]
            store.put_bucket(LIVE, Origin.COLLECTOR, bucket(3600, sig="changed"))
            assert [b.rev for b in store.unpublished(LIVE, 7200)] == [2]

    def test_dirty_hours(self, store: Store) -> None:
        with store.writing():
            store.mark_dirty(LIVE, [7200, 3600, 3600])
            store.mark_dirty(SIMULATED, [0])
            assert store.dirty(9) == [
                DirtyHour(place=LIVE, hour_s=3600), DirtyHour(place=LIVE, hour_s=7200),
                DirtyHour(place=SIMULATED, hour_s=0),
            ]  # fmt: skip
            store.clean(store.dirty(2))
            assert store.dirty(9) == [DirtyHour(place=SIMULATED, hour_s=0)]

    # ---- sales ----

    def test_a_receipt_replaces_itself(self, store: Store) -> None:
        with store.writing():
            assert store.put_sales("acme", Provenance.LIVE, [sale(1), sale(2), sale(1, kind=SaleKind.VOID)]) == 3
            assert store.put_sales("acme", Provenance.LIVE, [sale(1, gross=7), sale(3, sold_s=9000)]) == 1
            assert [s.gross_minor for s in store.sales(LIVE, 3600, 7200)] == [7, 100, 100]
            assert store.sales(LIVE, 3600, 7200)[0] == sale(1, gross=7)
            assert store.sales(SIMULATED, 0, 9999) == []

    # ---- durability ----

    def test_all_or_nothing(self, store: Store, make: Make) -> None:
        with suppress(KeyError), store.writing():
            store.put_visits(LIVE, [visit("v")])
            store.add_message(envelope(1), "visits", counted=True)
            raise KeyError
        with store.writing():
            assert store.spans(LIVE) == []
            store.put_visits(LIVE, [visit("w")])
        again = make()
        assert again.identity == store.identity
        with again.reading():
            assert again.spans(LIVE) == [(3600, 4500)]
            assert again.progress() == []
        again.close()

    def test_a_reader_sees_one_moment(self, store: Store, make: Make) -> None:
        reader = make()
        with store.writing():
            store.put_visits(LIVE, [visit("v")])
        with reader.reading():
            assert len(reader.spans(LIVE)) == 1
            with store.writing():
                store.put_visits(LIVE, [visit("w")])
            assert len(reader.spans(LIVE)) == 1
        with reader.reading():
            assert len(reader.spans(LIVE)) == 2
        reader.close()

    def test_what_is_too_old_goes(self, store: Store) -> None:
        with store.writing():
            store.put_visits(LIVE, [visit("old"), visit("new", start_s=8000, end_s=9000)])
            store.put_bucket(LIVE, Origin.COLLECTOR, bucket(0))
            store.put_bucket(LIVE, Origin.COLLECTOR, bucket(0, grain="day"))
            store.put_bucket(LIVE, Origin.COLLECTOR, bucket(7200))
            store.forget(visits_before_s=4501, hours_before_s=3601, days_before_s=3600)
            assert store.spans(LIVE) == [(8000, 9000)]
            assert [b.start_s for b in store.buckets(LIVE, Origin.COLLECTOR, Grain.HOUR, 0, 9999)] == [7200]
            assert len(store.buckets(LIVE, Origin.COLLECTOR, Grain.DAY, 0, 9999)) == 1

    def test_forgetting_messages_opens_no_gap(self, store: Store) -> None:
        with store.writing():
            for seq in (1, 2, 4, 5, 7):
                store.add_message(envelope(seq, time_s=seq * 100), "visits", counted=True)
            store.add_message(envelope(9, boot="volatile", time_s=1), "site")
            store.forget(visits_before_s=450, hours_before_s=0, days_before_s=0)
            assert store.arrived("/acme/s1/", 0, 9999) == 2
            assert [(gap.first, gap.last) for gap in store.gaps(HUB)] == [(6, 6)]
            assert store.held("/acme/s1/") == Held(stored=2, known=3)
            store.give_up(envelope(0), "b1", 6)
            assert store.progress() == [Progress(source=HUB, boot="b1", upto=7, provenance=Provenance.LIVE)]
