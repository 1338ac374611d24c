"""Random messages of every kind, valid by construction, for property tests."""

from base64 import b64encode
from datetime import UTC, datetime

import msgspec
from hypothesis import strategies as st
from msgspec import UNSET

from hostkit.contract import commands as c
from hostkit.contract import messages as m
from hostkit.contract import probes as p
from hostkit.contract.codec import KINDS, TYPE_PREFIX
from hostkit.model import EndReason, PrivacyMode, Probe, Provenance, Radio, Site, VisitClass, Zone

ids = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
names = st.from_regex(r"[a-z0-9_]{1,48}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
hexes = st.binary(max_size=8).map(bytes.hex)
hashes = st.binary(min_size=1, max_size=8).map(bytes.hex)
u32 = st.integers(0, 2**32 - 1)
key_ids = st.integers(1, 2**32 - 1)
seqs = st.integers(0, 2**31 - 1)
counts = st.integers(0, 2**53 - 1)
epochs = st.integers(0, 4_102_444_800)
shares = st.floats(0, 1)
seconds = st.floats(0, 31_622_400)
metres = st.floats(-10_000, 10_000)
finite = st.floats(allow_nan=False, allow_infinity=False)


def tuples_of(items: st.SearchStrategy, *, least: int = 0) -> st.SearchStrategy:
    return st.lists(items, min_size=least, max_size=2).map(tuple)


def built(of: type, **fields: st.SearchStrategy) -> st.SearchStrategy:
    """Build `of` from strategies for every one of its fields: a new field without one fails here."""
    assert set(fields) == set(of.__struct_fields__), of
    return st.builds(of, **fields)


acks = built(m.Ack, boot=ids, upto=seqs)
coverages = built(
    m.CoverageRow, listened_share=st.none() | shares, probes_up=counts, probes_expected=counts, completeness=shares
)
splits = built(
    m.Split,
    floor=st.none() | ids,
    zone=st.none() | ids,
    to_zone=st.none() | ids,
    hour=st.none() | st.integers(0, 23),
    category=st.none() | texts,
    segment=st.none() | names,
    tier=st.none() | names,
    campaign=st.none() | ids,
)


@st.composite
def kpis(draw: st.DrawFn) -> m.KpiValue:
    value = draw(st.none() | finite)
    given = {"value": value, "low": None, "high": None, "reason": None, "below": None}
    if value is None:
        given["reason"] = draw(st.sampled_from(["suppressed", "no probe listened"]))
        given["below"] = draw(st.integers(2, 1000)) if given["reason"] == "suppressed" else None
    elif draw(st.booleans()):
        given["low"], given["high"] = sorted([draw(finite), draw(finite)])
    return m.KpiValue(
        **given,
        id=draw(names),
        version=draw(st.integers(1, 99)),
        method=draw(names | st.just("weighted share, Wilson")),
        coverage=draw(coverages),
        privacy_mode=draw(st.sampled_from(PrivacyMode)),
        provenance=draw(st.sampled_from(Provenance)),
        split=draw(st.none() | splits),
    )


zone_rows = built(m.ZoneRow, id=ids, enter_s=seconds, leave_s=seconds, p=shares)
GRAIN_S = 300
grains = st.integers(0, 4_102_444_800 // GRAIN_S).map(lambda index: index * GRAIN_S)
visit_rows = built(
    m.VisitRow,
    visit_id=ids,
    rev=seqs,
    start_s=st.tuples(grains, grains),
    end_s=st.tuples(grains, grains),
    dwell_s=st.tuples(seconds, seconds, seconds),
    visit_class=st.sampled_from(VisitClass),
    p_entrant=shares,
    radio=st.sampled_from(Radio),
    reentry=st.booleans(),
    zones=tuples_of(zone_rows),
    end_reason=st.sampled_from(EndReason),
    member=st.none() | ids,
)
heatmaps = built(
    m.HeatMap,
    floor=ids,
    cell_m=st.floats(0.1, 100),
    origin_m=st.tuples(metres, metres),
    columns=st.integers(1, 1000),
    below=st.integers(2, 1000),
    people_s=tuples_of(st.none() | st.floats(0, 1e9)),
)
controls = built(
    m.ControlState,
    kpi=names,
    state=st.sampled_from(["in_control", "out_of_control", "learning"]),
    cl=st.none() | finite,
    ucl=st.none() | finite,
    lcl=st.none() | finite,
    rule=st.none() | names,
    cause=st.sampled_from([None, "shop", "sensor", "unknown"]),
)
spans = built(
    m.KeySpan,
    key_id=key_ids,
    key=st.binary(min_size=16, max_size=16).map(bytes.hex),
    from_s=epochs,
    until_s=epochs,
    registered=tuples_of(st.binary(min_size=8, max_size=8).map(bytes.hex)),
)
elements = built(c.Element, id=st.integers(0, 255), length=st.integers(0, 255), stable=hexes)
descriptions = built(c.Description, fingerprint=u32, elements=tuples_of(elements))
clocks = built(
    m.Clock,
    synced=st.none() | st.booleans(),
    offset_us=st.none() | st.floats(-1e15, 1e15),
    error_us=st.none() | st.floats(0, 1e15),
    drift_ppm=st.none() | st.floats(-1e4, 1e4),
)
channels, people = st.integers(1, 177), st.integers(0, 1_000_000)
decibels = st.floats(-256, 256)
levels = st.none() | st.floats(-128, 0)


def ordered(of: type, **fields: st.SearchStrategy) -> st.SearchStrategy:
    return built(of, id=ids, expires=epochs, **fields)


rollouts = built(
    c.RolloutState,
    state=st.sampled_from(["none", "running", "done", "failed", "stopped"]),
    version=texts,
    stage=counts,
    stages=counts,
    probes=tuples_of(
        built(c.ProbeUpdate, probe=ids, state=st.sampled_from(c.Updating), percent=st.integers(0, 100), what=texts)
    ),
)


def responses(status: st.SearchStrategy, error: st.SearchStrategy) -> st.SearchStrategy:
    return built(
        c.Response,
        id=ids,
        status=status,
        error=error,
        descriptions=tuples_of(descriptions),
        keys=tuples_of(spans),
        replayed=st.none() | counts,
        recomputed=st.none() | counts,
        version=st.none() | counts,
        restart=tuples_of(texts),
        seconds=st.none() | st.floats(0, 31_622_400),
        waiting=tuples_of(ids),
        count=st.none() | ids,
        lines=tuples_of(texts),
        measured=st.none() | built(c.Measured, frames=counts, rssi_dbm=levels, low_dbm=levels, high_dbm=levels),
        update=st.none() | built(c.UpdateProgress, offset=counts),
        rollout=st.none() | rollouts,
    )


sites = st.builds(Site, tenant=ids, site=ids, time_zone=st.just("UTC"), probes=tuples_of(st.builds(Probe, id=ids)))
desired = st.builds(m.Desired, config_hash=hashes, site=sites) | st.builds(
    m.Desired, config_hash=hashes, probe=st.builds(Probe, id=ids)
)

statuses = built(
    p.ProbeStatus,
    id=ids,
    verdict=st.sampled_from(p.Verdict),
    step=st.none() | st.sampled_from(p.Step),
    state=st.none() | st.sampled_from(m.State),
    since_s=st.none() | seconds,
    heard_s=st.none() | seconds,
    batches=counts,
    boot=st.none() | ids,
    firmware=st.none() | texts,
    hardware=st.none() | texts,
    uplink=st.none() | ids,
    radios=tuples_of(st.sampled_from(Radio)),
    key_held=st.booleans(),
    config_hash=st.none() | hexes,
    config_refused=st.none() | texts,
    wifi_per_s=st.floats(0, 1e6),
    ble_per_s=st.floats(0, 1e6),
    offered_per_s=st.floats(0, 1e6),
    rssi_dbm=st.none() | st.floats(-128, 0),
    channels=tuples_of(st.integers(0, 177)),
    uptime_s=st.none() | seconds,
    drops=st.dictionaries(names, counts, max_size=3),
    memory=st.none() | built(m.Memory, free_bytes=counts, largest_block_bytes=counts),
)

BODIES = {
    "info": built(
        m.Info,
        role=st.sampled_from(["hub", "probe"]),
        firmware=st.from_regex(r"[A-Za-z0-9.+_-]{1,32}", fullmatch=True),
        hardware=texts,
        key_id=st.none() | key_ids,
        wire_versions=tuples_of(u32),
        radios=tuples_of(st.sampled_from(Radio)),
        element_table=st.none() | u32,
        config_hash=st.none() | hexes,
        config_refused=st.none() | built(m.ConfigRefused, config_hash=hashes, what=texts),
        uplink=st.none() | ids,
        build=st.none() | u32,
        last=st.none() | acks,
    ),
    "health": built(
        m.Health,
        uptime_s=seconds,
        counters=st.dictionaries(names, counts, max_size=3),
        drops=st.dictionaries(names, counts, max_size=3),
        clock=clocks,
        probe_clocks=tuples_of(
            built(
                m.ProbeClock,
                probe=ids,
                synced=st.none() | st.booleans(),
                drift_ppm=st.none() | st.floats(-1e4, 1e4),
                offset_us=st.none() | st.floats(-1e15, 1e15),
                error_us=st.none() | st.floats(0, 1e15),
                frames=counts,
            )
        ),
        outbox_depth=st.none() | counts,
        outbox_oldest_s=st.none() | seconds,
        outbox_gone=st.none() | acks,
        memory=st.none() | built(m.Memory, free_bytes=counts, largest_block_bytes=counts),
        disk_free_bytes=st.none() | counts,
        certificate_days=st.none() | st.floats(0, 36_600),
        unknown_class_share=st.none() | shares,
        calibration=st.none()
        | built(
            m.CalibrationCheck,
            checked_s=epochs,
            links=counts,
            calibration_drift=tuples_of(
                built(m.Drift, probe=ids, hears_db=st.none() | decibels, is_heard_db=st.none() | decibels)
            ),
        ),
        radios_disagree=st.none() | st.booleans(),
        flood=st.none() | built(m.Flood, active=st.booleans(), set_aside=counts, minutes=counts, probe=st.none() | ids),
    ),
    "site": built(m.SiteInForce, config_hash=hexes, site=sites, calibration_id=st.none() | ids),
    "visits": built(
        m.Visits,
        time_grain_s=st.sampled_from([60, 100, GRAIN_S]),
        privacy_mode=st.sampled_from([PrivacyMode.PSEUDONYM_24H, PrivacyMode.CONSENT]),
        rows=tuples_of(visit_rows),
    ),
    "gap": st.builds(
        lambda seqs_, times_s, **rest: m.Gap(
            first=min(seqs_), last=max(seqs_), since_s=min(times_s), until_s=max(times_s), **rest
        ),
        seqs_=st.tuples(seqs.filter(bool), seqs.filter(bool)),
        times_s=st.tuples(epochs, epochs),
        reason=st.sampled_from(m.LostReason),
        rows=counts,
    ),
    "live": built(m.Live, at_s=epochs, kpis=tuples_of(kpis())),
    "kpi": built(
        m.KpiBucket,
        grain=st.sampled_from(["hour", "day"]),
        start_s=epochs,
        end_s=epochs,
        rev=seqs,
        kpis=tuples_of(kpis()),
        heatmaps=tuples_of(heatmaps),
        control=tuples_of(controls),
        sig=st.none() | texts,
    ),
    "event": built(
        m.Event,
        event_id=ids,
        kind=st.sampled_from(["trigger", "alert"]),
        phase=st.sampled_from(["new", "update", "end"]),
        rule=names,
        severity=st.sampled_from(["info", "warning", "critical"]),
        since_s=epochs,
        text=texts,
        kpi=st.none() | kpis(),
        zone=st.none() | ids,
    ),
    "ack": acks,
    "cmd": st.one_of(
        built(m.GiveKeys, id=ids, keys=tuples_of(spans, least=1)),
        built(m.AskKeys, id=ids),
        ordered(c.Describe, fingerprints=tuples_of(u32, least=1)),
        ordered(c.Replay, from_s=epochs, to_s=epochs),
        ordered(c.Recompute, day=st.dates(datetime(2000, 1, 1).date()).map(str)),
        ordered(c.Flush),
        ordered(c.SetThresholds, values=st.dictionaries(names, finite, min_size=1, max_size=3)),
        ordered(
            c.SetZones,
            zones=tuples_of(st.builds(Zone, id=ids, floor=ids, polygon_m=tuples_of(st.tuples(metres, metres)))),
        ),
        ordered(c.SetHop, probe=ids, channels=tuples_of(channels), dwell_ms=st.integers(20, 60_000)),
        ordered(c.SetProbe, probe=st.builds(Probe, id=ids), settings=st.just(UNSET)),
        ordered(
            c.SetProbe,
            probe=ids,
            settings=st.dictionaries(names, st.booleans() | u32 | texts | tuples_of(channels), min_size=1, max_size=3),
        ),
        ordered(c.SetPrivacy, mode=st.sampled_from(PrivacyMode)),
        ordered(c.Rollback, version=st.integers(1, 99)),
        ordered(c.CalibrateStart, kind=st.sampled_from(["door", "anchors"])),
        ordered(
            c.CalibrateApply, entered=people, passed=st.none() | people, calibration=st.just(UNSET), floor=st.none()
        ),
        ordered(
            c.CalibrateApply,
            entered=st.just(UNSET),
            passed=st.none(),
            calibration=ids | st.just("anchors"),
            floor=st.none(),
        ),
        ordered(c.CalibrateUndo, count=ids),
        ordered(c.RotateKey),
        ordered(c.Restart, probe=ids),
        ordered(c.Identify, probe=ids, show=st.sampled_from(c.Show), seconds=st.integers(1, 600)),
        ordered(c.ReadLog, probe=ids, lines=st.integers(1, 200)),
        ordered(
            c.Measure,
            probe=ids,
            beacon=ids,
            channel=channels,
            radio=st.sampled_from(Radio),
            seconds=st.integers(1, 300),
        ),
        ordered(
            c.Beacon,
            probe=ids,
            slot_ms=st.integers(0, 3_600_000),
            period_ms=st.integers(200, 3_600_000),
            count=st.integers(1, 1000),
            channel=st.integers(1, 14),
        ),
        ordered(c.Rollout, step=st.sampled_from(["begin", "status", "stop"]), probes=tuples_of(ids)),
        ordered(
            c.Update,
            probe=ids,
            step=st.sampled_from(["begin", "data", "end"]),
            manifest=texts,
            signature=hexes,
            offset=counts,
            data=st.binary(max_size=40).map(lambda data: b64encode(data).decode()),
        ),
    ),
    "rsp": st.one_of(
        responses(st.sampled_from([UNSET, c.Status.ACCEPTED, c.Status.DONE]), st.none()),
        responses(st.sampled_from([UNSET, c.Status.REFUSED]), built(c.Fault, what=texts, next_step=texts)),
    ),
    "config": desired,
    "probes": built(p.Probes, at_s=epochs, name=texts, rows=tuples_of(statuses)),
}
assert set(BODIES) == set(KINDS)


@st.composite
def messages(draw: st.DrawFn, name: str) -> m.Message:
    boot, seq = draw(ids), draw(seqs)
    when = draw(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
    message = m.Message(
        id=f"{boot}-{seq}",
        source="/" + "/".join(draw(st.tuples(ids, ids, ids))),
        type=TYPE_PREFIX + name,
        time=when,
        boot=boot,
        seq=seq,
        provenance=draw(st.sampled_from(Provenance)),
        specversion="1.0",
        datacontenttype="application/json",
        data=draw(BODIES[name]),
    )
    assert msgspec.json.encode(message)
    return message
