"""The key's day: made once, given until shown, asked back before a new one is made, rotated at 04:00 local."""

import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from hostkit.contract.messages import AskKeys, GiveKeys, Response
from hostkit.hub.keys import GRACE_S, RECOVER_S, REPEAT_S, KeyFlow
from hostkit.model import Site

ZONE = ZoneInfo("Europe/Berlin")
SITE = Site(tenant="t", site="s", time_zone="Europe/Berlin")


def at(*local: int) -> float:
    return datetime(*local, tzinfo=ZONE).timestamp()  # type: ignore[arg-type, misc]


NOW_S = at(2025, 3, 4, 10)


def flow(expected: int | None = None) -> KeyFlow:
    counter = itertools.count(1)
    made = KeyFlow(SITE, lambda size: next(counter).to_bytes(size, "little"), expected)
    made.connected(0.0)
    return made


def sent(keys: KeyFlow, now_s: float) -> dict[str, object]:
    ids = itertools.count()
    return dict(keys.commands(now_s, lambda: f"c{now_s:g}-{next(ids)}".replace(".", "-")))


def keyed() -> KeyFlow:
    keys = flow()
    keys.informed("p", None)
    assert keys.decide(GRACE_S, NOW_S)
    return keys


def test_a_key_is_made_after_the_grace_and_repeated_until_it_is_shown() -> None:
    keys = flow()
    assert not keys.decide(GRACE_S, NOW_S)  # nobody needs one
    keys.informed("p", None)
    assert not keys.decide(GRACE_S - 0.1, NOW_S)
    assert keys.decide(GRACE_S, NOW_S)
    assert not keys.decide(GRACE_S + 9, NOW_S)
    given = sent(keys, 2.0)["p"]
    assert isinstance(given, GiveKeys)
    assert given.keys == keys.keys
    assert len({key.key for key in keys.keys}) == len({key.key_id for key in keys.keys}) == 2
    assert sent(keys, 2.0 + REPEAT_S / 2) == {}
    assert "p" in sent(keys, 2.0 + REPEAT_S)
    keys.informed("p", 99)  # another key is no confirmation
    assert "p" in sent(keys, 2.0 + 2 * REPEAT_S)
    keys.informed("p", keys.keys[0].key_id)
    assert sent(keys, 60.0) == {}


def test_a_probe_that_left_is_not_told() -> None:
    keys = keyed()
    keys.seen("p", online=False)
    assert sent(keys, 60.0) == {}
    keys.informed("p", None)
    assert "p" in sent(keys, 61.0)


@pytest.mark.parametrize("expected", [None, 7])
def test_a_restarted_hub_asks_before_it_makes_one(expected: int | None) -> None:
    donor = keyed()
    number = donor.keys[0].key_id
    keys = flow(number if expected else None)
    keys.informed("p", number)
    keys.informed("q", None)
    asked = sent(keys, 0.5)
    assert list(asked) == ["p"]
    question = asked["p"]
    assert isinstance(question, AskKeys)
    assert not keys.decide(RECOVER_S - 0.1, NOW_S)
    assert not keys.answered(Response(id="unasked", keys=donor.keys), NOW_S)
    assert keys.answered(Response(id=question.id, keys=donor.keys), NOW_S)
    assert (keys.keys, keys.recovered) == (donor.keys, True)
    assert not keys.decide(99.0, NOW_S)
    assert set(sent(keys, 99.0)) == {"p", "q"}


def test_old_or_other_keys_are_no_answer_and_then_a_new_one_is_made() -> None:
    donor = keyed()
    keys = flow(donor.keys[0].key_id)
    keys.informed("p", 5)
    question = sent(keys, 3.0)["p"]
    assert isinstance(question, AskKeys)
    assert not keys.answered(Response(id=question.id, keys=donor.keys[:1]), donor.keys[0].until_s)
    assert not keys.answered(Response(id=question.id, keys=donor.keys[1:]), NOW_S)
    assert not keys.answered(Response(id=question.id), NOW_S)
    assert not keys.decide(3.0 + RECOVER_S - 0.1, NOW_S)
    assert keys.decide(3.0 + RECOVER_S, NOW_S)


@pytest.mark.parametrize(
    ("now", "hours"),
    [((2025, 3, 30, 1), 2), ((2025, 3, 29, 12), 15), ((2025, 10, 25, 12), 17), ((2025, 3, 4, 3, 59, 59), 1 / 3600)],
)
def test_the_key_ends_at_four_local_also_when_the_clock_changes(now: tuple[int, ...], hours: float) -> None:
    keys = flow()
    keys.informed("p", None)
    keys.decide(GRACE_S, at(*now))
    running, following = keys.keys
    assert running.until_s - at(*now) == hours * 3600
    assert running.from_s <= at(*now)
    for edge_s in (running.from_s, running.until_s, following.until_s):
        local = datetime.fromtimestamp(edge_s, ZONE)
        assert (local.hour, local.minute) == (4, 0)
    assert following.from_s == running.until_s


def test_rotation_moves_on_and_tells_everybody() -> None:
    keys = keyed()
    running, following = keys.keys
    keys.informed("p", running.key_id)
    assert not keys.rotate(running.until_s - 1)
    assert keys.rotate(running.until_s)
    assert keys.keys[0] == following
    assert keys.keys[1].from_s == following.until_s
    assert keys.ids == {running.key_id, following.key_id, keys.keys[1].key_id}
    assert "p" in sent(keys, 99.0)
