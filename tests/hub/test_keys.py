"""The key's day: made once, given until shown, asked back before a new one is made, rotated at 04:00 local."""

import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from hostkit.contract.commands import Response
from hostkit.contract.messages import AskKeys, GiveKeys
from hostkit.hub.keys import BLANK, CLOCK_S, GRACE_S, RECOVER_S, REPEAT_S, KeyFlow, written
from hostkit.io.memory import random_fill
from hostkit.model import Privacy, Site
from tests.hub.keys import as_given, values

ZONE = ZoneInfo("Europe/Berlin")
SITE = Site(tenant="t", site="s", time_zone="Europe/Berlin")


def at(*local: int) -> float:
    return datetime(*local, tzinfo=ZONE).timestamp()  # type: ignore[arg-type, misc]


NOW_S = at(2025, 3, 4, 10)
ZONES = ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Chatham")
ZONES += ("Africa/Casablanca", "Antarctica/Troll", "America/Sao_Paulo", "Pacific/Apia", "Asia/Shanghai")


def flow(expected: int | None = None, site: Site = SITE) -> KeyFlow:
    counter = itertools.count(1)

    def fill(into: memoryview) -> None:
        into[:] = next(counter).to_bytes(len(into), "little")

    made = KeyFlow(site, fill, expected)
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
    order = sent(keys, 2.0)["p"]
    assert isinstance(order, GiveKeys)
    message = written(msgspec.json.encode(order), keys.keys)
    assert msgspec.json.decode(message, type=GiveKeys).keys == as_given(keys.keys)
    assert BLANK not in str(as_given(keys.keys))
    assert len({bytes(key.secret.raw) for key in keys.keys}) == len({key.key_id for key in keys.keys}) == 2
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
    assert not keys.answered(Response(id="unasked", keys=as_given(donor.keys)), NOW_S)
    assert keys.answered(Response(id=question.id, keys=as_given(donor.keys)), NOW_S)
    assert (values(keys.keys), keys.recovered) == (values(donor.keys), True)
    assert not keys.decide(99.0, NOW_S)
    assert set(sent(keys, 99.0)) == {"p", "q"}


def test_old_or_other_keys_are_no_answer_and_then_a_new_one_is_made() -> None:
    donor = keyed()
    keys = flow(donor.keys[0].key_id)
    keys.informed("p", 5)
    question = sent(keys, 3.0)["p"]
    assert isinstance(question, AskKeys)
    assert not keys.answered(Response(id=question.id, keys=as_given(donor.keys[:1])), donor.keys[0].until_s)
    assert not keys.answered(Response(id=question.id, keys=as_given(donor.keys[1:])), NOW_S)
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


def test_rotation_moves_on_wipes_and_tells_everybody() -> None:
    keys = keyed()
    running, following = keys.keys
    keys.informed("p", running.key_id)
    assert not keys.rotate(running.until_s - 1)
    assert any(running.secret.raw)
    assert keys.rotate(running.until_s)
    assert bytes(running.secret.raw) == bytes(16)
    assert keys.keys[0] is following
    assert keys.keys[1].from_s == following.until_s
    assert "p" in sent(keys, 99.0)
    keys.wipe()
    assert (bytes(following.secret.raw), keys.running) == (bytes(16), None)


def test_a_key_names_only_what_was_heard_in_its_day() -> None:
    keys = keyed()
    running, following = keys.keys
    turn_s = running.until_s
    assert not keys.fits(99, NOW_S)
    for _ in range(2):  # before the hub's rotation and after it
        for key, good_s, bad_s in ((running, turn_s - 1, turn_s + CLOCK_S), (following, turn_s, turn_s - CLOCK_S - 1)):
            assert keys.fits(key.key_id, good_s)
            assert not keys.fits(key.key_id, bad_s)
        keys.rotate(turn_s)
    keys.rotate(following.until_s)
    assert not keys.fits(running.key_id, turn_s - 1)  # the day before yesterday's


def test_a_probe_whose_batch_had_a_stale_key_is_told_again_whatever_it_said() -> None:
    keys = keyed()
    keys.informed("p", keys.keys[0].key_id)
    assert sent(keys, 60.0) == {}
    keys.stale("p")
    assert "p" in sent(keys, 61.0)
    keys.informed("p", keys.keys[1].key_id)
    assert sent(keys, 99.0) == {}


def test_an_answer_cannot_make_a_key_outlive_its_day_and_its_text_is_scrubbed() -> None:
    donor = keyed()
    (running, following), at_s = donor.keys, NOW_S
    for until_s, found in ((running.until_s + 1, False), (int(at_s), False), (running.until_s, True)):
        keys = flow()
        keys.informed("p", running.key_id)
        question = sent(keys, 0.5)["p"]
        assert isinstance(question, AskKeys)
        first, second = as_given(donor.keys)
        answer = (replace(first, until_s=until_s), replace(second, until_s=second.until_s + 1))
        assert keys.answered(Response(id=question.id, keys=answer), at_s) == found
        assert {span.key for span in answer} == {"\0" * 32}
        if found:
            assert values(keys.keys)[0] == values([running])[0]
            assert keys.keys[1].until_s == following.until_s  # one of ours: the probe's would have lived too long
            assert bytes(keys.keys[1].secret.raw) != bytes(following.secret.raw)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.integers(1_000_000_000, 2_000_000_000),
    st.sampled_from([0, 2, 3, 4, 23]),
)
@example("Europe/Berlin", int(at(2025, 3, 29, 12)), 4)
@example("Europe/Berlin", int(at(2025, 10, 25, 12)), 4)
@example("Europe/Berlin", int(at(2025, 3, 29, 12)), 2)  # an hour the clock skips
@example("Europe/Berlin", int(at(2025, 10, 25, 12)), 2)  # one it repeats
@example("Pacific/Apia", 1_325_200_000, 4)  # the 30th of December 2011 was left out
def test_days_of_the_key_follow_each_other_without_a_gap_in_every_zone(zone: str, at_s: int, hour: int) -> None:
    keys = flow(site=Site(tenant="t", site="s", time_zone=zone, privacy=Privacy(rotation_hour=hour)))
    keys.informed("p", None)
    assert keys.decide(GRACE_S, at_s)
    assert keys.keys[0].from_s <= at_s < keys.keys[0].until_s
    dates = []
    for _ in range(4):
        running, following = keys.keys
        assert following.from_s == running.until_s
        assert 20 * 3600 <= running.until_s - running.from_s <= 28 * 3600
        dates.append(datetime.fromtimestamp(running.until_s, ZoneInfo(zone)).date())
        assert keys.rotate(running.until_s)
    assert dates == sorted(set(dates))


def test_the_tags_of_each_key_go_with_it_and_again_when_the_list_changes() -> None:
    tags = [1, 2]

    def named(key_id: int, key: memoryview) -> NDArray[np.uint64]:
        return np.array([key_id << 8 | tag for tag in tags], np.uint64)

    keys = KeyFlow(SITE, random_fill, None, named=named)
    keys.connected(0.0)
    keys.informed("p", None)
    assert keys.decide(GRACE_S, NOW_S)
    for list_ in ([1, 2], [1], []):
        tags[:] = list_
        keys.give_again()
        order = sent(keys, 2.0)["p"]
        assert isinstance(order, GiveKeys)
        spans = msgspec.json.decode(written(msgspec.json.encode(order), keys.keys), type=GiveKeys).keys
        assert [span.registered for span in spans] == [
            tuple(f"{key.key_id << 8 | tag:016x}" for tag in list_) for key in keys.keys
        ]
        assert [span.key for span in spans] == [bytes(key.secret.raw).hex() for key in keys.keys]
        keys.informed("p", keys.keys[0].key_id)
        assert sent(keys, 60.0) == {}
