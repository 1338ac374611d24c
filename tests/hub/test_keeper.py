"""What the keeper commits: visits once, in the outbox or not by privacy mode; a changed site ends what was open."""

from dataclasses import replace
from pathlib import Path
from struct import pack

import numpy as np
import pytest

from hostkit.contract.codec import KPI, VISITS
from hostkit.contract.messages import VisitRow
from hostkit.core.wire import SIGHTING
from hostkit.hub.anchors import Anchors
from hostkit.hub.chain import Heard
from hostkit.hub.figures import HOUR_S, Figures
from hostkit.hub.intake import Intake
from hostkit.hub.keeper import EMIT_ROWS, Keeper
from hostkit.hub.keys import HeldKey
from hostkit.hub.speaker import Speaker, flood_message
from hostkit.hub.uplink import Uplink
from hostkit.hub.voice import Voice
from hostkit.hub.windows import REASON
from hostkit.io.outbox import Outbox
from hostkit.model import EndReason, Privacy, PrivacyMode, Provenance, Site, Visit
from tests.hub.keys import held_key
from tests.hub.test_chain import SITE, START_US, crowd, heard

KEY, OTHER_KEY = held_key(7), held_key(8, byte=0x11)
AT_S = START_US / 1e6
DAY_US = 86_400_000_000


def keeper(path: Path, site: Site = SITE, key: HeldKey = KEY, life: str = "one") -> tuple[Keeper, Outbox]:
    outbox, voice = Outbox(path / "hub.db"), Voice(site)
    voice.provenance = Provenance.REPLAY
    made = Keeper(site, outbox, voice)
    made.begin(key, life, AT_S)
    outbox.commit()
    return made, outbox


def run(one: Keeper, outbox: Outbox, first: int = 0, last: int | None = None) -> None:
    """Take entries of the crowd as the service does, a commit every ten."""
    for number, entry in enumerate(crowd()[first:last]):
        if isinstance(entry, Heard):
            one.take(entry)
        else:
            one.step_to(entry.until_us, entry.until_us / 1e6)
            one.emit(entry.until_us / 1e6)
        if number % 10 == 9:
            one.store(number)
            outbox.commit()
    one.store(1e6)
    outbox.commit()


def rows(outbox: Outbox) -> list[VisitRow]:
    payloads = [row.payload for row in outbox.waiting(0, 10_000)]
    return [row for payload in payloads for row in VISITS.decoder.decode(payload).data.rows]


def finished(one: Keeper, outbox: Outbox) -> list[VisitRow]:
    one.flush(KEY, "last", AT_S + 9000)
    outbox.commit()
    found = rows(outbox)
    outbox.close()
    return found


def test_a_flood_is_told_over_the_lives_of_the_key(tmp_path: Path) -> None:
    one, outbox = keeper(tmp_path)
    assert flood_message(one.flood, SITE, AT_S) is None
    for life in range(2):
        row = np.frombuffer(heard(0, 30, 0, probe=1).rows, SIGHTING).repeat(8000)
        row["device_key"] = np.arange(8000)
        row["time_us"] += np.linspace(1, 29e6, 8000).astype(np.int64)
        one.take(Heard(1, START_US, START_US + 30_000_000, 30_000, row.tobytes()))
        one.step_to(START_US + 30_000_000, AT_S + 30)
        one.flush(KEY, f"life {life}", AT_S + 30)
    told = flood_message(one.flood, SITE, AT_S + 60)
    assert told is not None
    assert 2000 < told.set_aside < 6000
    assert (told.active, told.minutes, told.probe) == (True, 2, "b")
    later = flood_message(one.flood, SITE, AT_S + 600)
    assert later is not None
    assert not later.active
    outbox.close()


def an_hour(day: int, fingerprint: int) -> Heard:
    """Six phones, each heard three times within an hour of that day."""
    rows = np.frombuffer(heard(0, 3600, *np.linspace(1, 3000, 18)).rows, SIGHTING).copy()
    rows["device_key"], rows["fingerprint"] = np.arange(18) % 6 + 100 * day, fingerprint
    rows["time_us"] += day * DAY_US
    begin_us = START_US + day * DAY_US
    return Heard(0, begin_us, begin_us + 3_600_000_000, 3_600_000, rows.tobytes())


def test_models_met_are_kept_over_keys_and_restarts_and_a_new_one_is_told(tmp_path: Path) -> None:
    one, outbox = keeper(tmp_path)
    shares = []
    for day, fingerprint in enumerate((7, 7, 8, 8)):
        taken = an_hour(day, fingerprint)
        one.take(taken)
        one.step_to(taken.to_us + 60_000_000, AT_S)
        shares.append(one.chain.unknown_class_share)
        one.flush(KEY, f"life {day}", AT_S)
        one.store(AT_S)
        outbox.commit()
        if day == 0:
            outbox.close()
            one, outbox = keeper(tmp_path, life="again")
    assert shares == [None, 0.0, 1.0, 0.0]
    outbox.close()


@pytest.mark.parametrize("cut", [5, 400, 1100, 1500])
def test_a_restart_anywhere_gives_the_same_rows(tmp_path: Path, cut: int) -> None:
    (tmp_path / "calm").mkdir()
    calm, outbox = keeper(tmp_path / "calm")
    run(calm, outbox)
    expected = finished(calm, outbox)
    assert len(expected) > 50
    first, outbox = keeper(tmp_path)
    run(first, outbox, 0, cut)
    outbox.close()
    second, outbox = keeper(tmp_path, life="two")
    assert second.resumed == cut
    assert sorted(v.visit_id for v in second.figures.visits) == sorted(v.visit_id for v in first.figures.visits)
    run(second, outbox, cut)
    assert sorted(finished(second, outbox), key=lambda row: row.visit_id) == sorted(
        expected, key=lambda row: row.visit_id
    )


@pytest.mark.parametrize("what", ["key", "site"])
def test_another_key_or_site_ends_what_was_open(tmp_path: Path, what: str) -> None:
    first, outbox = keeper(tmp_path)
    run(first, outbox, 0, 1000)
    still_open = len(first.chain.open_visits())
    before = rows(outbox)
    outbox.close()
    assert still_open > 5
    site = SITE if what == "key" else replace(SITE, time_zone="Asia/Shanghai")
    key = OTHER_KEY if what == "key" else KEY
    second, outbox = keeper(tmp_path, site, key, "two")
    ended = rows(outbox)[len(before) :]
    assert second.abandoned == len(ended) == pytest.approx(still_open, abs=3)  # the checkpoint is two minutes old
    assert {row.end_reason for row in ended} == {EndReason.RESTART}
    assert len({row.visit_id for row in before + ended}) == len(before) + len(ended)
    assert list(outbox.journal_entries()) == []


def test_a_changed_configuration_goes_on_with_what_is_open_and_a_restart_gives_the_same_rows(tmp_path: Path) -> None:
    changed = replace(SITE, thresholds=replace(SITE.thresholds, visit_timeout_s=300.0))

    def changing(path: Path, *, killed: bool) -> list[VisitRow]:
        path.mkdir()
        one, outbox = keeper(path)
        run(one, outbox, 0, 700)
        one.reconfigure(changed)
        run(one, outbox, 700, 1100)
        if killed:
            outbox.close()
            one, outbox = keeper(path, changed, life="two")
            assert one.abandoned == 0
            assert one.resumed == 1101
        run(one, outbox, 1100)
        return sorted(finished(one, outbox), key=lambda row: row.visit_id)

    calm = changing(tmp_path / "calm", killed=False)
    assert changing(tmp_path / "killed", killed=True) == calm
    one, outbox = keeper(tmp_path)
    run(one, outbox)
    assert len(calm) > len(finished(one, outbox)) > 50  # shorter silences end more visits


def test_a_file_changed_while_the_hub_was_down_is_as_if_it_had_been_changed_while_it_ran(tmp_path: Path) -> None:
    changed = replace(SITE, thresholds=replace(SITE.thresholds, visit_timeout_s=300.0))

    def changing(path: Path, *, killed: bool) -> list[VisitRow]:
        path.mkdir()
        one, outbox = keeper(path)
        run(one, outbox, 0, 1000)
        if killed:
            outbox.close()
            one, outbox = keeper(path, changed, life="two")
            assert (one.abandoned, one.resumed) == (0, 1000)
        else:
            one.reconfigure(changed)
        run(one, outbox, 1000, 1200)
        if killed:
            outbox.close()
            one, outbox = keeper(path, changed, life="three")
            assert (one.abandoned, one.resumed) == (0, 1201)
        run(one, outbox, 1200)
        return sorted(finished(one, outbox), key=lambda row: row.visit_id)

    assert changing(tmp_path / "killed", killed=True) == changing(tmp_path / "calm", killed=False)


def test_a_key_that_ends_before_its_hour_ends_its_life_there(tmp_path: Path) -> None:
    one, outbox = keeper(tmp_path)
    run(one, outbox, 0, 600)
    cut_us = (one.chain.stepped_us or 0) + 90_000_000
    one.cut(cut_us)
    run(one, outbox, 600, 1000)
    assert one.chain.over
    assert one.chain.end_us == one.chain.stepped_us == cut_us
    assert not one.chain.open_visits()
    outbox.close()
    one, outbox = keeper(tmp_path, life="two")
    assert one.chain.over
    one.next_life(OTHER_KEY, "three", AT_S)
    assert EndReason.ROTATION in {row.end_reason for row in rows(outbox)}
    outbox.close()


def traces(folder: Path, visits: list[Visit]) -> int:
    """How often the hub's file and what SQLite keeps beside it name a visit or hold one of its times."""
    data = b"".join(file.read_bytes() for file in sorted(folder.glob("hub.db*")))
    times_s = [time_s for visit in visits for time_s in (visit.start_s.hi, visit.end_s.lo, visit.end_s.hi)]
    patterns = {pack(f"{order}{kind}", at) for at in times_s for order, kind, at in _numbers(at)}
    patterns |= {repr(time_s).encode() for time_s in times_s}
    patterns |= {visit.visit_id.encode() for visit in visits if len(visit.visit_id) > 8}  # open ones have a number only
    return sum(pattern in data for pattern in patterns)


def _numbers(time_s: float) -> list[tuple[str, str, float]]:
    return [(">", "d", time_s), ("<", "d", time_s), ("<", "q", round(time_s * 1e6))]


ANONYMOUS = replace(SITE, privacy=Privacy(mode=PrivacyMode.ANONYMOUS_5MIN))


def run_windows(one: Keeper, outbox: Outbox, first: int = 0, last: int | None = None) -> int:
    """As `run`, with a key for each window as the service does; give how many lives ended."""
    lives = 0
    for entry in crowd()[first:last]:
        if isinstance(entry, Heard):
            one.take(entry)
            continue
        one.step_to(entry.until_us, entry.until_us / 1e6)
        while one.chain.over:
            lives += 1
            one.next_life(held_key(100 + lives, byte=lives), f"window {first} {lives}", entry.until_us / 1e6)
            one.step_to(entry.until_us, entry.until_us / 1e6)
        one.store(lives)
        outbox.commit()
    return lives


def test_in_anonymous_5min_there_are_no_visits_and_a_window_leaves_totals(tmp_path: Path) -> None:
    one, outbox = keeper(tmp_path, ANONYMOUS)
    lives = run_windows(one, outbox)
    assert lives == 29  # two hours
    assert (one.figures.visits, one.chain.open_visits()) == ([], ())
    inside = one.figures._inside_rows(AT_S + 7200)
    assert len(inside) >= lives
    assert {(len(row.seen), row.life) for _, row in inside} == {(0, 0)}
    assert any(row.devices for _, row in inside)
    kept = (outbox.waiting(0, 10), outbox.visits(), outbox.checkpoint(), list(outbox.journal_entries()))
    assert kept == ((), (), b"", [])
    outbox.close()


def test_another_modes_visits_are_cleared_from_the_disk(tmp_path: Path) -> None:
    one, outbox = keeper(tmp_path)
    run(one, outbox, 0, 1000)
    while waiting := outbox.waiting(0, 100):  # the collector has them
        outbox.acknowledge(waiting[-1].seq)
    outbox.commit()
    visits = [*one.figures.visits, *one.chain.open_visits()]
    assert traces(tmp_path, visits) > 200
    outbox.close()
    one, outbox = keeper(tmp_path, ANONYMOUS, life="two")
    assert (one.resumed, one.abandoned, one.figures.visits) == (0, 0, [])
    assert traces(tmp_path, visits) == 0
    outbox.close()


def test_in_anonymous_5min_a_restart_changes_no_hour_it_knows_less_of(tmp_path: Path) -> None:
    hour_s = int(AT_S // HOUR_S) * HOUR_S
    buckets = []
    for first, last, at_s in ((0, 1200, AT_S), (800, 1200, AT_S + 3000), (0, 1200, AT_S)):
        one, outbox = keeper(tmp_path, ANONYMOUS, life=str(at_s))
        one.figures.whole_from_s = at_s
        run_windows(one, outbox, first, last)
        speaker(one, outbox, tmp_path).close_hours(AT_S + 2 * HOUR_S, AT_S)
        outbox.commit()
        buckets.append(outbox.bucket(hour_s))
        outbox.close()
    assert buckets[0] is not None
    assert buckets[0].rev == 1
    told = {kpi.id: kpi for kpi in KPI.decoder.decode(buckets[0].payload).data.kpis}
    assert told["present_5min"].value
    assert told["occupancy"].value is not None
    assert (told["footfall"].value, told["footfall"].reason) == (None, REASON)
    assert buckets[1:] == buckets[:1] * 2


def speaker(one: Keeper, outbox: Outbox, folder: Path) -> Speaker:
    voice = Voice(SITE)
    voice.provenance = Provenance.REPLAY
    intake = Intake(SITE, outbox.taken(), batch_clock=False)
    return Speaker(
        voice=voice,
        outbox=outbox,
        intake=intake,
        keeper=one,
        uplink=Uplink(outbox, None, voice),  # type: ignore[arg-type]
        anchors=Anchors(
            SITE, folder / "site.toml", outbox, send=lambda *_: False, online=lambda _: False, say=lambda _: None
        ),
        links=(),
        data=folder,
        began_s=0.0,
        calibration_id=lambda: None,
    )


def test_messages_hold_at_most_200_rows_and_rows_keep_no_order(tmp_path: Path) -> None:
    one, outbox = keeper(tmp_path)
    run(one, outbox, 0, 400)
    one.flush(KEY, "two", AT_S)
    messages = [VISITS.decoder.decode(row.payload).data.rows for row in outbox.waiting(0, 100)]
    assert all(0 < len(message) <= EMIT_ROWS for message in messages)
    for message in messages:
        assert [(r.end_s, r.visit_id) for r in message] == sorted((r.end_s, r.visit_id) for r in message)
        assert all(time_s % 300 == 0 for row in message for time_s in (*row.start_s, *row.end_s))


def test_the_journal_goes_when_the_key_rotates(tmp_path: Path) -> None:
    one, outbox = keeper(tmp_path)
    run(one, outbox, 0, 300)
    assert list(outbox.journal_entries())
    end_us = one.chain.end_us
    assert end_us is not None
    one.step_to(end_us, end_us / 1e6)
    assert one.chain.over
    one.next_life(OTHER_KEY, "two", end_us / 1e6)
    outbox.commit()
    assert list(outbox.journal_entries()) == []
    assert {row.end_reason for row in rows(outbox)} <= {EndReason.SILENCE, EndReason.ROTATION}
    assert not one.chain.open_visits()


def test_hours_are_due_once_their_visits_have_ended_and_again_when_they_change() -> None:
    figures = Figures(SITE)
    hour_s = int(AT_S // HOUR_S) * HOUR_S
    figures.heard(Heard(0, hour_s * 1_000_000, (hour_s + 1800) * 1_000_000, 900_000, b""))
    assert list(figures.due_hours(hour_s + HOUR_S + 1199)) == []
    assert list(figures.due_hours(hour_s + HOUR_S + 1200)) == [hour_s]
    assert list(figures.due_hours(float("inf"))) == []
    coverage = figures.closed(hour_s, hour_s + 3600)[0].coverage
    assert coverage.listened_share == pytest.approx(900 / (2 * 3600))
    assert (coverage.probes_up, coverage.probes_expected) == (1, 2)


def test_live_figures_are_undefined_with_a_reason_where_nobody_listened() -> None:
    live = {kpi.id: kpi.value for kpi in Figures(SITE).live(AT_S, ())}
    assert {value.value for value in live.values()} == {None}
    assert live["occupancy"].reason == "no probe listens now"
    assert live["footfall_today"].reason == "no probe listened today"


def test_counts_are_since_the_start_however_many_lives(tmp_path: Path) -> None:
    one, outbox = keeper(tmp_path)
    run(one, outbox, 0, 300)
    frames, open_visits = one.counts["frames"], len(one.chain.open_visits())
    made = one.counts["visits"]
    assert frames > 0
    assert open_visits > 0
    one.flush(KEY, "two", AT_S + 9000)
    assert one.counts["frames"] == frames
    assert one.counts["visits"] == made + open_visits
    assert one.chain.frames == 0
    outbox.close()


def test_the_time_of_a_message_is_no_finer_than_the_grain_of_its_rows(tmp_path: Path) -> None:
    one, outbox = keeper(tmp_path)
    run(one, outbox, 0, 300)
    one.flush(KEY, "two", AT_S + 9001.5)
    outbox.commit()
    messages = [VISITS.decoder.decode(row.payload) for row in outbox.waiting(0, 10_000)]
    assert messages
    assert all(message.time.timestamp() % message.data.time_grain_s == 0 for message in messages)
    outbox.close()
