"""A site file looked at as an installer would before drilling: what will go wrong, before it does. Changes nothing."""

from dataclasses import dataclass
from pathlib import Path

from hostkit.core.predict import Forecast
from hostkit.install.check_floor import POSITIONS, SURE_P, check_floor, forecast_of
from hostkit.install.check_radio import check_radio
from hostkit.install.check_zones import check_zones
from hostkit.install.findings import Finding, Level, advice, problem
from hostkit.model import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorFacts:
    """Figures of one floor; None where fewer than three probes give no position."""

    floor: str
    probes: int
    walls: int
    zones: int
    covered_share: float | None  # of the shop, where three probes hear 9 frames of 10
    error_m: float | None  # predicted root mean square error of a position, mean over the shop


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReport:
    """Every finding, in the order of the file, and the figures they rest on."""

    findings: tuple[Finding, ...]
    floors: tuple[FloorFacts, ...]

    @property
    def problems(self) -> int:
        """How many must be put right."""
        return sum(one.level is Level.PROBLEM for one in self.findings)


def check_site(site: Site, folder: Path) -> SiteReport:
    """Check a site that the strict reader took; `folder` is where its plan images are."""
    findings: list[Finding] = []
    facts: list[FloorFacts] = []
    if not any(site.opening_hours.days):
        findings.append(advice("opening_hours", "closed all week: closing time ends no visit", "write when it is open"))
    if not site.probes:
        findings.append(problem("probes", "there are none", "place some: footfall site show --suggest 4"))
    if not site.floors:
        findings.append(advice("floors", "there are none: presence only", "draw one, or begin with footfall site init"))
    for index, probe in enumerate(site.probes):
        if site.floors and probe.position_m is None:
            what = "has no place, so that it helps no position"
            findings.append(advice(f"probes[{index}] ({probe.id})", what, "write floor and position_m"))
    for index, floor in enumerate(site.floors):
        probes = [(i, p) for i, p in enumerate(site.probes) if p.floor == floor.id and p.position_m is not None]
        zones = [(i, zone) for i, zone in enumerate(site.zones) if zone.floor == floor.id]
        seen = forecast_of(floor, [probe for _, probe in probes], site.path_loss)
        findings += check_floor(floor, f"floors[{index}]", probes, seen, folder)
        findings += check_zones(floor, zones, seen if len(probes) >= POSITIONS else None)
        positions = seen if len(probes) >= POSITIONS else None
        facts.append(_facts(floor.id, len(probes), len(floor.walls), len(zones), positions))
    findings += check_radio(site)
    return SiteReport(findings=tuple(findings), floors=tuple(facts))


def _facts(floor: str, probes: int, walls: int, zones: int, seen: Forecast | None) -> FloorFacts:
    sure = None if seen is None else seen.over(seen.inside, (seen.three_p >= SURE_P).astype(float))
    error = None if seen is None else seen.over(seen.inside, seen.error_m)
    return FloorFacts(floor=floor, probes=probes, walls=walls, zones=zones, covered_share=sure, error_m=error)
