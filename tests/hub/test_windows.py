"""Anonymous for five minutes: keys of a window, nothing of it left a minute after, totals that need no person."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.calendar import WINDOW_S, key_end_us
from hostkit.core.wire import SIGHTING
from hostkit.hub.chain import Chain, Heard, Step
from hostkit.hub.parts import HubSettings, put_together
from hostkit.hub.windows import REASON, WindowFigures
from hostkit.hub.works import Works
from hostkit.io.mqtt import parse_url
from hostkit.io.outbox import Outbox
from hostkit.model import Privacy, PrivacyMode, Site
from tests.hub.keys import held_key
from tests.hub.test_chain import SITE, START_US, heard
from tests.hub.test_keys import NOW_S, flow, sent
from tests.hub.test_keys import SITE as KEY_SITE

ANONYMOUS = replace(SITE, privacy=Privacy(mode=PrivacyMode.ANONYMOUS_5MIN))
WINDOW_US = WINDOW_S * 1_000_000


def test_windows_make_whole_hours_and_leave_a_minute_for_the_slowest_probe() -> None:
    assert 3600 % WINDOW_S == 0
    assert WINDOW_S + 60 <= 300
    assert key_end_us(START_US, ANONYMOUS) == START_US + WINDOW_US
    assert key_end_us(START_US + WINDOW_US - 1, ANONYMOUS) == START_US + WINDOW_US


def test_a_key_rules_for_one_window_and_the_next_is_another() -> None:
    keys = flow(site=replace(KEY_SITE, privacy=ANONYMOUS.privacy))
    keys.informed("p", None)
    assert keys.decide(60.0, NOW_S)
    seen = []
    for number in range(4):
        running, following = keys.keys
        assert running.until_s - running.from_s == WINDOW_S
        assert (following.from_s, following.until_s) == (running.until_s, running.until_s + WINDOW_S)
        assert running.from_s <= NOW_S + number * WINDOW_S < running.until_s
        seen.append((running.key_id, bytes(running.secret.raw)))
        assert keys.rotate(running.until_s)
        assert bytes(running.secret.raw) != seen[-1][1]  # wiped
        assert "p" in sent(keys, 100.0 * (number + 1))
        assert keys.fits(running.key_id, running.until_s - 1.0)
        assert not keys.fits(running.key_id, running.until_s + 61.0)
    assert len(set(seen)) == 4


def crowded(window: int, phones: int) -> Heard:
    """Phones of one model that are each heard twice within a window."""
    times = np.tile(np.linspace(5, WINDOW_S - 5, phones), 2)
    rows = np.frombuffer(heard(0, WINDOW_S, *times).rows, SIGHTING).copy()
    rows["device_key"] = np.tile(np.arange(phones), 2) + 1000 * window
    rows["time_us"] += window * WINDOW_US
    begin_us = START_US + window * WINDOW_US
    return Heard(0, begin_us, begin_us + WINDOW_US, WINDOW_S * 1000, rows.tobytes())


def test_a_life_ends_with_its_window_and_gives_one_bin_and_no_visit() -> None:
    figures = WindowFigures(ANONYMOUS)
    for window, phones in enumerate((10, 30, 10)):
        chain = Chain(ANONYMOUS)
        taken = crowded(window, phones)
        figures.heard(taken)
        chain.take(taken)
        assert chain.end_us == START_US + (window + 1) * WINDOW_US
        for until_us in range(taken.from_us + 30_000_000, taken.to_us + 1, 30_000_000):
            assert chain.step(Step(until_us)) == ()
            assert chain.open_visits() == ()
        assert chain.over
        (bin_,) = chain.take_counted()
        assert len(bin_.inside.seen)
        figures.count([bin_])
    told = {kpi.id: kpi for kpi in figures.between(START_US / 1e6, START_US / 1e6 + 3 * WINDOW_S, ())}
    one, two, three = (bin_.devices.value or 0.0 for bin_ in figures._bins)
    assert two > 1.5 * one
    devices = told["present_5min"].devices
    assert devices is not None
    assert devices.value == pytest.approx((one + two + three) / 3)
    for id_ in ("footfall", "passersby", "dwell_mean", "bounce_rate"):
        assert (told[id_].value.value, told[id_].value.reason) == (None, REASON)
    assert not {"zone_share", "arrivals_by_hour"} & told.keys()


def test_figures_of_an_anonymous_site_refuse_visits() -> None:
    chain = Chain(SITE)
    taken = crowded(0, 10)
    chain.take(taken)
    visits = chain.finish()
    assert visits
    with pytest.raises(AssertionError):
        WindowFigures(ANONYMOUS).add(visits)


@pytest.mark.parametrize(("site", "awaited"), [(ANONYMOUS, False), (SITE, True)])
def test_no_probe_is_awaited_for_longer_than_a_minute(site: Site, awaited: bool, tmp_path: Path) -> None:
    """One that sends what it heard an hour ago keeps no window open."""
    url = parse_url("mqtt://127.0.0.1:1")
    settings = HubSettings(
        site=site, path=tmp_path / "site.toml", broker=url, uplink=None, data=tmp_path, batch_clock=False
    )
    outbox = Outbox(tmp_path / "hub.db")
    parts = put_together(settings, outbox, print)
    late = heard(0, 30)
    parts.keeper.begin(held_key(7), "one", START_US / 1e6)
    parts.keeper.take(late)
    parts.roster.heard_of(site.probes[0].id, 100.0, online=True)
    now_us = START_US + 3_600_000_000
    until_us = Works(parts).final_us(100.0, now_us)
    assert until_us == (late.to_us if awaited else now_us - 60_000_000)
    outbox.close()
