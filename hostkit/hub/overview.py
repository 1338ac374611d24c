"""How each probe of the site does, from what the hub hears of it: the first rung of the ladder it does not stand on.

Keeps counts of the last minute, no record and no device. Times are monotonic seconds.
"""

from collections import deque
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from hostkit.contract.messages import Health, Info, State
from hostkit.contract.probes import Probes, ProbeStatus, Step, Verdict
from hostkit.core.wire import Batch, Flag
from hostkit.hub.fleet import Fleet
from hostkit.model import Radio, Site

SPAN_S = 60.0  # over which rates are taken
SILENT_S = 60.0  # six of a probe's batches, or half of its longest burst: see `_patience_s`
BURST_S = 300.0  # a `wifi-burst` probe sends every 120 s at its default
WAIT_S = 45.0  # in which a probe that came a moment ago may take the next step by itself
MIN_LEVELS = 5  # frames that a median is shown of
MAX_BOOTS = 16
MAX_DROPS = 64
_LEVELS = np.arange(-128, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Heard:
    """A batch, as counts."""

    at_s: float
    wifi: int
    ble: int
    offered: int
    wifi_only: bool  # nothing but Wi-Fi was listened to: what was offered was Wi-Fi
    levels: NDArray[np.int64]  # frames by RSSI, -128 to 0 dBm


@dataclass(slots=True)
class _Seen:
    """What is known of one probe."""

    state: State | None = None
    since_s: float | None = None
    heard_s: float | None = None
    batches: int = 0
    offered: int | None = None  # the counter of its last batch
    boots: list[str] = field(default_factory=list)  # in order of appearance
    rival_s: float | None = None  # when an earlier boot spoke again
    info: Info | None = None
    health: Health | None = None
    refused_s: float | None = None  # when a batch came under a key that does not rule
    heard: deque[_Heard] = field(default_factory=lambda: deque(maxlen=256))
    channels: tuple[int, ...] = ()


class Overview:
    """The probes of a site."""

    def __init__(self, site: Site) -> None:
        self._seen = {probe.id: _Seen() for probe in site.probes}

    def said_state(self, probe: str, state: State, now_s: float) -> None:
        """A probe came, sleeps, or is gone."""
        seen = self._seen[probe]
        if state is State.ONLINE and seen.state is not State.ONLINE:
            seen.since_s = now_s
        seen.state = state

    def said_info(self, probe: str, info: Info, boot: str, now_s: float) -> None:
        """A probe said what it is."""
        self._seen[probe].info = info
        self._boot(self._seen[probe], boot, now_s)

    def said_health(self, probe: str, health: Health) -> None:
        """A probe said how it fares."""
        self._seen[probe].health = health

    def batch(self, batch: Batch, now_s: float, *, fits: bool) -> None:
        """A batch of a probe was settled; `fits`: its key rules."""
        seen = self._seen[batch.probe]
        if not fits:
            seen.refused_s = now_s
            return
        if seen.state is not State.SLEEPING:
            self.said_state(batch.probe, State.ONLINE, now_s)
        self._boot(seen, str(batch.boot), now_s)
        before = 0 if batch.seq == 1 else batch.seen if seen.offered is None else seen.offered
        offered = max(0, batch.seen - before)
        seen.heard_s, seen.offered, seen.batches, seen.refused_s = now_s, batch.seen, seen.batches + 1, None
        seen.channels = tuple(one.channel for one in batch.listened if one.radio is Radio.WIFI)
        ble = int(np.count_nonzero(batch.records["flags"] & Flag.BLE))
        heard = _Heard(
            at_s=now_s,
            wifi=len(batch.records) - ble,
            ble=ble,
            offered=offered,
            wifi_only=bool(batch.listened) and all(one.radio is Radio.WIFI for one in batch.listened),
            levels=np.bincount(batch.records["rssi_dbm"].astype(np.int64).clip(-128, 0) + 128, minlength=129),
        )
        seen.heard.append(heard)

    def told(self, site: Site, fleet: Fleet, key_id: int | None, now_s: float, at_s: float) -> Probes:
        """Give how all of them do."""
        rows = (self._status(name, seen, fleet, key_id, now_s) for name, seen in self._seen.items())
        return Probes(at_s=int(at_s), name=site.name or site.site, rows=tuple(rows))

    def _status(self, name: str, seen: _Seen, fleet: Fleet, key_id: int | None, now_s: float) -> ProbeStatus:
        while seen.heard and seen.heard[0].at_s < now_s - max(SPAN_S, _patience_s(seen)):
            seen.heard.popleft()
        step = _step(seen, name, fleet, key_id, now_s)
        told = ProbeStatus(
            id=name,
            verdict=_verdict(step, seen, now_s),
            step=step,
            state=seen.state,
            since_s=_ago_s(seen.since_s, now_s),
            heard_s=_ago_s(seen.heard_s, now_s),
            batches=seen.batches,
            boot=seen.boots[-1] if seen.boots else None,
            config_refused=fleet.refusal(name),
            channels=seen.channels,
        )
        return _with_health(_with_info(_with_rates(told, seen, now_s), seen.info, key_id), seen.health)

    def _boot(self, seen: _Seen, boot: str, now_s: float) -> None:
        """Notice an earlier boot that speaks again: another board says it is this probe."""
        if seen.boots and seen.boots[-1] == boot:
            return
        if boot in seen.boots:
            seen.rival_s = now_s
            seen.boots.remove(boot)
        seen.boots = [*seen.boots[-MAX_BOOTS:], boot]
        seen.heard.clear()  # what a boot before heard, perhaps another board's, says nothing of this one


def _with_rates(told: ProbeStatus, seen: _Seen, now_s: float) -> ProbeStatus:
    recent = [one for one in seen.heard if one.at_s >= now_s - max(SPAN_S, _patience_s(seen))]
    since_s = min(max(now_s - recent[0].at_s, 10.0), BURST_S) if recent else SPAN_S
    levels = sum((one.levels for one in recent), np.zeros(129, np.int64))
    return msgspec.structs.replace(
        told,
        wifi_per_s=round(sum(one.wifi for one in recent) / since_s, 2),
        ble_per_s=round(sum(one.ble for one in recent) / since_s, 2),
        offered_per_s=round(sum(one.offered for one in recent) / since_s, 2),
        rssi_dbm=_median(levels) if levels.sum() >= MIN_LEVELS else None,
    )


def _with_info(told: ProbeStatus, info: Info | None, key_id: int | None) -> ProbeStatus:
    if info is None:
        return told
    return msgspec.structs.replace(
        told,
        firmware=info.firmware,
        hardware=info.hardware,
        uplink=info.uplink,
        radios=info.radios,
        key_held=key_id is not None and info.key_id == key_id,
        config_hash=info.config_hash,
    )


def _with_health(told: ProbeStatus, health: Health | None) -> ProbeStatus:
    if health is None:
        return told
    drops = {name: count for name, count in list(health.drops.items())[:MAX_DROPS] if count}
    return msgspec.structs.replace(told, uptime_s=health.uptime_s, drops=drops, memory=health.memory)


def _step(seen: _Seen, name: str, fleet: Fleet, key_id: int | None, now_s: float) -> Step | None:
    """Give the first rung a probe does not stand on."""
    fresh = seen.heard_s is not None and now_s - seen.heard_s < _patience_s(seen)
    if seen.state not in {State.ONLINE, State.SLEEPING}:
        return Step.CONNECTED
    if seen.rival_s is not None and now_s - seen.rival_s < BURST_S:
        return Step.ALONE
    if seen.info is None or seen.info.key_id is None or (seen.info.key_id != key_id and not fresh):
        return Step.KEY
    if fleet.refusal(name) is not None or (name in fleet.waiting and seen.state is State.ONLINE):
        return Step.CONFIG
    if not fresh:
        return Step.DELIVERS
    heard = any(one.wifi or (one.wifi_only and one.offered) for one in seen.heard)
    return None if heard else Step.WIFI


def _verdict(step: Step | None, seen: _Seen, now_s: float) -> Verdict:
    if step is None:
        return Verdict.PASS
    came = seen.since_s is not None and now_s - seen.since_s < WAIT_S
    return Verdict.WAIT if came and step not in {Step.CONNECTED, Step.ALONE} else Verdict.FAIL


def _patience_s(seen: _Seen) -> float:
    return BURST_S if seen.info is not None and seen.info.uplink == "wifi-burst" else SILENT_S


def _median(levels: NDArray[np.int64]) -> float:
    return float(_LEVELS[int(np.searchsorted(np.cumsum(levels), levels.sum() / 2))])


def _ago_s(then_s: float | None, now_s: float) -> float | None:
    return None if then_s is None else round(now_s - then_s, 1)
