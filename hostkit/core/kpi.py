"""KPIs from visits, by the formulas of the KPI dictionary. Every value has an interval; undefined is null with why.

Hub and collector both compute with this module, so that their figures can be compared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calendar import local_hour
from hostkit.core.count import TRACK_LOG_SD, Z90, log_normal, people, undefined
from hostkit.core.dwell import dwell_summary
from hostkit.core.heard import p_heard
from hostkit.model import Coverage, Estimate, Radio, Site, Visit, Zone, ZoneKind

DEFINITION_VERSION = 1
# Bias of shares in log odds that no count of visits removes, as a standard deviation, from simulated shops whose probes
# are not calibrated: of telling entrants, and of telling zones apart (tests/accuracy/test_shop.py).
CLASS_LOGIT_SD = 0.3
MAP_LOGIT_SD = 0.6
# Expected time that counts as having been in a zone.
ZONE_VISIT_S = 10.0
NOBODY = 1e-9  # expected devices, or seconds, that are none
METHOD = "sum of P(class) / P(heard)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    """One figure. `of` names the zone or local hour it is split by; `devices` is the figure before kappa."""

    id: str
    value: Estimate
    coverage: Coverage
    devices: Estimate | None = None
    of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Visits as arrays (V,). `entered` and `passed` are P(class) / P(heard): the devices each heard one stands for."""

    start_s: NDArray[np.float64]
    heard_s: NDArray[np.float64]  # first, for certain
    end_s: NDArray[np.float64]
    lo_s: NDArray[np.float64]
    mid_s: NDArray[np.float64]
    hi_s: NDArray[np.float64]
    p: NDArray[np.float64]
    entered: NDArray[np.float64]
    passed: NDArray[np.float64]
    first: NDArray[np.bool_]
    zone_s: NDArray[np.float64]  # (V, zones of the shop): expected time


# Stays that began within so long of the first, and last so many times the median of at least so many others.
UNDER_WAY_S, RESIDENT_DWELLS, LEAST_OTHERS = 300.0, 4.0, 20
_LATEST_S = 4_102_444_800.0  # 2100


def compute(
    visits: Sequence[Visit], site: Site, *, start_s: float, end_s: float, coverage: Coverage
) -> tuple[Kpi, ...]:
    """All KPIs that visits alone give, of those that began in [start_s, end_s); occupancy is at `end_s`.

    Wi-Fi counts; visits of BLE do only where there are no others, for they are of the same people.
    """
    if any(visit.radio is Radio.WIFI for visit in visits):
        visits = [visit for visit in visits if visit.radio is Radio.WIFI]
    now = _columns(visits, site)
    begun = [v for v in visits if start_s <= _middle(v.start_s.lo, v.start_s.hi) < end_s]
    columns = _columns(begun, site)
    here = (now.start_s <= end_s) & (end_s < now.end_s)
    kpis = [
        *_flows(columns, site, coverage),
        _counted("occupancy", now.p[here], now.p[here], site, coverage),
        *_dwell(_without_residents(columns, now.heard_s.min(initial=_LATEST_S)), coverage),
        *_shares(columns, site, coverage),
        *_arrivals(columns, site, coverage),
        *_zones(columns, site, coverage),
    ]
    return tuple(kpis)


def _columns(visits: Sequence[Visit], site: Site) -> _Columns:
    lo_s, mid_s, hi_s = (np.array([getattr(v.dwell_s, part) for v in visits], float) for part in ("lo", "mid", "hi"))
    zones = _zones_inside(site)
    p = np.array([v.p_entrant for v in visits], float)
    return _Columns(
        start_s=np.array([_middle(v.start_s.lo, v.start_s.hi) for v in visits], float),
        heard_s=np.array([v.start_s.hi for v in visits], float),
        end_s=np.array([_middle(v.end_s.lo, v.end_s.hi) for v in visits], float),
        lo_s=lo_s,
        mid_s=mid_s,
        hi_s=hi_s,
        p=p,
        # An entrant may have stayed as long as hi_s; a passer-by no longer than it takes to pass, unless seen to.
        entered=p / p_heard(np.maximum(hi_s, site.thresholds.passage_s)),
        passed=(1 - p) / p_heard(np.maximum(lo_s, site.thresholds.passage_s)),
        first=np.array([not v.reentry for v in visits], bool),
        zone_s=np.array([[_time_s(v, zone.id) for zone in zones] for v in visits], float).reshape(
            len(visits), len(zones)
        ),
    )


def _flows(c: _Columns, site: Site, coverage: Coverage) -> list[Kpi]:
    either = c.entered + c.passed
    return [
        _counted("passersby", c.passed, 1 - c.p, site, coverage),
        _counted("footfall", c.entered, c.p, site, coverage),
        _counted("visitors", c.entered[c.first], c.p[c.first], site, coverage),
        Kpi(
            id="capture_rate",
            value=_share(either, c.entered / either, "nobody was heard", logit_sd=CLASS_LOGIT_SD),
            coverage=coverage,
        ),
    ]


def _counted(
    id_: str,
    weights: NDArray[np.float64],
    p: NDArray[np.float64],
    site: Site,
    coverage: Coverage,
    *,
    of: str | None = None,
) -> Kpi:
    """Sum of weights P(class) / P(heard) (V,) as devices and as people; null where nothing listened.

    Its variance: of classifying, where `p` (V,) is P(class), and of devices nobody heard (Horvitz and Thompson 1952,
    Poisson sampling); relative to the sum, beside the error of association.
    """
    devices = float(weights.sum())
    if coverage.probes_up == 0 or coverage.listened_share == 0:
        counted = undefined("no probe listened", method=METHOD)
    elif devices < NOBODY:
        counted = Estimate(value=0.0, low=0.0, high=3.0, method=METHOD)
    else:
        per_heard = np.divide(weights, p, out=np.zeros_like(weights), where=p > 0)
        variance = float((p * (1 - p) * per_heard**2 + np.maximum(weights * (per_heard - 1), 0)).sum())
        counted = log_normal(
            devices, math.hypot(TRACK_LOG_SD, math.sqrt(math.log1p(variance / devices**2))), method=METHOD
        )
    return Kpi(id=id_, value=people(counted, site.people_per_device), devices=counted, coverage=coverage, of=of)


def _without_residents(c: _Columns, opened_s: float) -> _Columns:
    """Leave out stays that were under way when the first was heard and are far longer than others: staff, furniture.

    Theirs is not a visitor's dwell, whoever they are; fixed devices are only told as such after hours.
    """
    since = (
        np.ceil(c.heard_s / UNDER_WAY_S) <= math.ceil(opened_s / UNDER_WAY_S) + 1
    )  # alike when rounded to that grain
    others = c.mid_s[~since & (c.p > 0.5)]
    if len(others) < LEAST_OTHERS:
        return c
    kept = ~(since & (c.mid_s > RESIDENT_DWELLS * np.median(others)))
    return _Columns(**{field.name: getattr(c, field.name)[kept] for field in fields(c)})


def _dwell(c: _Columns, coverage: Coverage) -> list[Kpi]:
    summary = dwell_summary(c.lo_s, c.hi_s, weight=c.entered)
    return [
        Kpi(id=f"dwell_{name}", value=value, coverage=coverage)
        for name, value in (("mean", summary.mean), ("median", summary.median), ("p90", summary.p90))
    ]


def _shares(c: _Columns, site: Site, coverage: Coverage) -> list[Kpi]:
    """Shares of entrants, by the probability that the true dwell, uniform in [lo, hi], passes the threshold."""
    bounced = np.clip((site.thresholds.bounce_s - c.lo_s) / np.maximum(c.hi_s - c.lo_s, 1e-9), 0, 1)
    long = 1 - np.clip((site.thresholds.deep_s - c.lo_s) / np.maximum(c.hi_s - c.lo_s, 1e-9), 0, 1)
    deep = np.where((c.zone_s >= ZONE_VISIT_S).sum(axis=1) >= site.thresholds.deep_zones, 1.0, long)
    return [
        Kpi(id=id_, value=_share(c.entered, hit, "nobody entered", logit_sd=CLASS_LOGIT_SD), coverage=coverage)
        for id_, hit in (("bounce_rate", bounced), ("deep_visit_rate", deep))
    ]


def _arrivals(c: _Columns, site: Site, coverage: Coverage) -> list[Kpi]:
    hours = np.array([local_hour(start_s, site.time_zone)[1] for start_s in c.start_s.tolist()], int)
    return [
        _counted("arrivals_by_hour", c.entered[hours == hour], c.p[hours == hour], site, coverage, of=f"{hour:02d}")
        for hour in np.unique(hours).tolist()
    ]


def _zones(c: _Columns, site: Site, coverage: Coverage) -> list[Kpi]:
    """Per zone of the shop, its share of the entrants' time in all those zones.

    Visits and stays per zone are not given: a phone heard once a minute does not tell stays of minutes apart.
    """
    all_s = c.zone_s.sum(axis=1)
    part = np.divide(c.zone_s, all_s[:, None], out=np.zeros_like(c.zone_s), where=all_s[:, None] > 0)
    zones = [zone.id for zone in _zones_inside(site)]
    return [
        Kpi(
            id="zone_share",
            value=_share(c.p * all_s, part[:, i], "no zone was visited", logit_sd=MAP_LOGIT_SD),
            coverage=coverage,
            of=zone,
        )
        for i, zone in enumerate(zones)
    ]


def _zones_inside(site: Site) -> list[Zone]:
    return [zone for zone in site.zones if zone.kind not in (ZoneKind.STREET, ZoneKind.STAFF)]


def _time_s(visit: Visit, zone: str) -> float:
    """Expected time of a visit in a zone."""
    return sum(stay.p * (stay.leave_s - stay.enter_s) for stay in visit.zones if stay.zone == zone)


def _share(weight: NDArray[np.float64], hit: NDArray[np.float64], reason: str, *, logit_sd: float = 0.0) -> Estimate:
    """Weighted mean of hits (V,) in [0, 1]: Wilson's interval at the effective sample size, and `logit_sd` of bias."""
    method = "weighted share, Wilson"
    total = float(weight.sum())
    if total < NOBODY:
        return undefined(reason, method=method)
    share = min(1.0, float((weight * hit).sum()) / total)
    n = total**2 / float((weight**2).sum())
    centre = (share + Z90**2 / (2 * n)) / (1 + Z90**2 / n)
    half = Z90 / (1 + Z90**2 / n) * math.sqrt(share * (1 - share) / n + Z90**2 / (4 * n * n))
    low, high = (_shifted(centre + side * half, side * Z90 * logit_sd) for side in (-1, 1))
    return Estimate(value=share, low=min(low, share), high=max(high, share), method=method)


def _shifted(share: float, logit: float) -> float:
    """A share whose log odds are moved by `logit`."""
    if not 0 < share < 1:
        return min(max(share, 0.0), 1.0)
    return 1 / (1 + math.exp(-math.log(share / (1 - share)) - logit))


def _middle(lo: float, hi: float) -> float:
    return (lo + hi) / 2
