"""The channel plan: what may be heard where the shop is, what the boards can hear, what probes hear together."""

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from hostkit.config.keys import CHANNELS_2G4
from hostkit.install.findings import Finding, advice, problem
from hostkit.model import Site

# As firmware/sensor/hop.py has them (tested): what a probe of that region takes.
REGIONS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "world": tuple(range(1, 12)),
        "us": tuple(range(1, 12)),
        "eu": tuple(range(1, 14)),
        "cn": tuple(range(1, 14)),
        "jp": tuple(range(1, 15)),
    }
)
# By time zone: exact names first, then the part before the slash. Regions the firmware does not know are `world`.
_PLACES = {
    "Asia/Tokyo": "jp", "Asia/Shanghai": "cn", "Asia/Urumqi": "cn", "Asia/Chongqing": "cn", "Asia/Harbin": "cn",
    "Asia/Istanbul": "eu", "Europe": "eu", "Atlantic/Canary": "eu", "Atlantic/Madeira": "eu", "America": "us",
}  # fmt: skip
TOGETHER = 3  # probes that must hear one channel for a position
STEP_MS = 67.0  # a phone's stay on a channel while it sweeps (derand)
IN_STEP_MS = 300  # shorter stays keep step with that sweep: all channels of a scan are heard, or none
LONG_ROUND_MS = 5000  # a phone sends for less than a second


def region_of(time_zone: str) -> str:
    """Give the firmware's region of a shop, by its time zone."""
    return _PLACES.get(time_zone) or _PLACES.get(time_zone.partition("/")[0]) or "world"


def check_radio(site: Site) -> Iterator[Finding]:
    """Check channels and dwell of every probe, then of all together."""
    region = region_of(site.time_zone)
    allowed = REGIONS[region]
    for index, probe in enumerate(site.probes):
        where = f"probes[{index}].channels ({probe.id})"
        high = [channel for channel in probe.channels if channel not in CHANNELS_2G4]
        if high:
            what = f"{_listed(high)} in the 5 GHz band, which only an ESP32-C5 hears"
            yield problem(where, what, "use 1, 6, 11")
        not_here = [channel for channel in probe.channels if channel in CHANNELS_2G4 and channel not in allowed]
        if not_here:
            what = f"{_listed(not_here)} not used in {site.time_zone} (region {region})"
            yield problem(where, what, f"use channels {allowed[0]} to {allowed[-1]}; 1, 6, 11 are where phones ask")
        round_ms = len(probe.channels) * probe.dwell_ms
        if round_ms > LONG_ROUND_MS:
            what = f"comes back to a channel after {round_ms / 1000:.1f} s"
            yield advice(f"probes[{index}].dwell_ms ({probe.id})", what, "shorten dwell_ms or hop over 1, 6, 11 only")
        elif len(probe.channels) > 1 and probe.dwell_ms < IN_STEP_MS:
            what = (
                f"{probe.dwell_ms} ms keep step with a phone's sweep ({STEP_MS:g} ms a channel): all of a scan or none"
            )
            yield advice(f"probes[{index}].dwell_ms ({probe.id})", what, "use 1000 ms")
    yield from _together(site)


def _together(site: Site) -> Iterator[Finding]:
    if not site.probes:
        return
    if not any(probe.channels for probe in site.probes):
        what = "no probe listens to Wi-Fi: counts rest on Bluetooth alone"
        yield advice("probes", what, "give those on a cable channels = [1, 6, 11]")
        return
    for floor in site.floors:
        placed = [probe for probe in site.probes if probe.floor == floor.id and probe.position_m and probe.channels]
        hearing = Counter(channel for probe in placed for channel in probe.channels)
        if len(placed) >= TOGETHER and max(hearing.values()) < TOGETHER:
            what = f"no channel is heard by {TOGETHER} probes: a frame is on one channel, so there are no positions"
            yield problem(f"floor {floor.id}", what, "give all the same channels: 1, 6, 11")
        elif len(placed) >= TOGETHER and (rare := sorted(c for c, n in hearing.items() if n < TOGETHER)):
            what = f"{_listed(rare)} heard by fewer than {TOGETHER} probes: frames there give no position"
            yield advice(f"floor {floor.id}", what, "give all probes the same channels")


def _listed(channels: list[int]) -> str:
    one = len(channels) == 1
    return f"channel{'' if one else 's'} {', '.join(map(str, channels))} {'is' if one else 'are'}"
