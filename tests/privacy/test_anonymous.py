"""anonymous_5min through real processes: a key for a few minutes, no visit, a memory that joins no two keys."""

from collections import defaultdict
from dataclasses import replace

import pytest

from hostkit.contract.codec import KPI, LIVE
from hostkit.core.calendar import WINDOW_S
from hostkit.core.wire import decode_batch
from hostkit.io.outbox import Outbox
from hostkit.model import Privacy, PrivacyMode
from hostkit.sim.plan import default_site
from hostkit.sim.world import SimSettings
from tests.privacy.day import Day, live_through
from tests.privacy.test_day import allowed

pytestmark = pytest.mark.needs("mosquitto")
HOURS = 1.5
SETTINGS = SimSettings(
    people=60, hours=HOURS, seed=12, site=replace(default_site(), privacy=Privacy(mode=PrivacyMode.ANONYMOUS_5MIN))
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """An hour and a half of an anonymous shop."""
    return live_through(tmp_path_factory.mktemp("anonymous"), SETTINGS)


def heard_by_key(day: Day) -> dict[int, list[tuple[float, set[int]]]]:
    """Give by key id when its batches were heard and the device keys they carry."""
    found: dict[int, list[tuple[float, set[int]]]] = defaultdict(list)
    for message in day.tap.of("obs"):
        batch = decode_batch(message.payload, origin="obs")
        pseudonyms, span_us = set(batch.records["device_key"].tolist()), batch.sent_us - batch.base_us
        found[batch.key_id] += [((batch.base_time_us + us) / 1e6, pseudonyms) for us in (0, span_us)]
    return found


def test_no_key_rules_for_longer_than_a_window_and_no_pseudonym_outlives_it(shop: Day) -> None:
    heard = heard_by_key(shop)
    assert len(heard) >= HOURS * 3600 / WINDOW_S - 1
    spans = [max(at for at, _ in batches) - min(at for at, _ in batches) for batches in heard.values()]
    assert 0 < max(spans) <= WINDOW_S + 1
    pseudonyms = [set().union(*(keys for _, keys in batches)) for batches in heard.values()]
    assert sum(map(len, pseudonyms)) == len(set().union(*pseudonyms))


def test_no_visit_leaves_the_shop_or_is_written(shop: Day) -> None:
    assert shop.tap.of("visits") == []
    outbox = Outbox(shop.folder / "hub" / "hub.db")
    kept = (outbox.waiting(0, 10), outbox.visits(), outbox.checkpoint(), list(outbox.journal_entries()))
    outbox.close()
    assert kept == ((), (), b"", [])


def test_how_many_are_there_is_told_and_what_needs_a_person_is_null_with_a_reason(shop: Day) -> None:
    live = {kpi.id: kpi for kpi in LIVE.decoder.decode(shop.tap.of("hub/live")[-1].payload).data.kpis}
    assert live["present_5min"].value
    assert live["occupancy"].value == live["people_inside"].value is not None
    assert live["footfall_today"].value is None
    assert "anonymous_5min" in (live["footfall_today"].reason or "")
    hours = [KPI.decoder.decode(message.payload).data for message in shop.tap.of("hub/kpi/hour")]
    assert any(kpi.id == "present_5min" and kpi.value for hour in hours for kpi in hour.kpis)
    assert not [kpi for hour in hours for kpi in hour.kpis if kpi.id == "footfall" and kpi.value is not None]


def test_the_memory_of_the_hub_holds_no_key_of_a_window_before_the_last(shop: Day) -> None:
    if shop.memory is None:
        return  # it lets nobody look: what was to be shown
    memory = b"".join(shop.memory)
    ruled = [shop.keys[number] for number in shop.ruled]
    assert any(key in memory for key in list(shop.keys.values())[-3:])  # the search sees what is there
    over = [key for key in ruled[:-2] if key in memory or key.hex().encode() in memory]
    assert over == []


def test_no_file_and_no_message_names_a_phone(shop: Day) -> None:
    for path in shop.files():
        assert shop.search.find(path.read_bytes()) == [], path
    parts = [one.payload for one in shop.tap.messages if not allowed(one.topic)]
    assert parts
    assert shop.search.find(b"\n".join(parts)) == []
