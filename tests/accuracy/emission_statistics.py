"""How phones look to a sniffer, as numbers: measured the same way on recorded and on simulated frames."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.dot11 import Status
from hostkit.core.wire import Flag
from hostkit.io.pcap import open_capture

KEY = bytes(range(16))
SCAN_GAP_US = 1_000_000  # frames of one phone, or of one address, closer than this are one scan
RISING = 0.8  # correlation of channel with time
WELL_HEARD_DBM = -88.0  # below, the sniffer's floor cuts the spread
SAME_FRAME_US = 50_000  # one transmission heard by several sniffers

# One session of one phone heard alone: for each sniffer the channel it was parked on, 0 if unknown, and FRAME rows.
Session = Sequence[tuple[int, NDArray[np.void]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """Labelled phones standing still, each heard alone by sniffers parked on channels 1, 6 and 11."""

    scans_per_min_median: float  # over phones
    scans_per_min_cv: float
    frames_per_scan_median: float  # over sessions, of each session's median
    scan_s_median: float
    sweep_ms_per_channel: float  # median over sessions, of scans that visit five channels or more in rising order
    sweep_share: float  # of sessions whose typical scan is in rising order
    addresses_15min_median: float  # over sessions
    addresses_15min_p90: float
    many_share: float  # of sessions, whose typical scan has three addresses or more
    rssi_within_sd_db: float  # mean over scans of frames sent on the sniffer's own channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Everything one sniffer hears in a public room, by address; fixed devices in the last figure only."""

    randomised_addresses: float  # share
    randomised_frames: float
    wildcard_frames: float
    frames_per_scan: float  # mean over scans of one address
    single_scan_addresses: float  # share of addresses heard in one scan only
    rssi_within_sd_db: float  # median over scans with three frames or more
    rssi_p10_dbm: float
    rssi_p90_dbm: float
    fixed_between_sd_db: float  # of the means of scans, median over well heard fixed devices


def read(path: Path) -> NDArray[np.void]:
    """Give all FRAME rows of a capture."""
    with open_capture(path, KEY) as reader:
        return reader.read(10**6)


def alone(phones: Iterable[Sequence[Session]]) -> Alone:
    """Measure phones, each given as its sessions."""
    rates, sessions, within = [], [], []
    for phone in phones:
        merged = [_merged(session) for session in phone]
        minutes = sum(np.ptp(frames["time_us"]) for frames in merged) / 60e6
        rates.append(sum(len(_scans(frames)) for frames in merged) / minutes)
        sessions += [_session(frames) for frames in merged]
        for session in phone:
            for channel, frames in session:
                sent_here = (frames["channel"] == channel) & (frames["status"] & Status.TUNED_CHANNEL == 0)
                within += _deviations(_scans(frames[sent_here]))
    table = np.array(sessions)
    return Alone(
        scans_per_min_median=float(np.median(rates)),
        scans_per_min_cv=float(np.std(rates, ddof=1) / np.mean(rates)),
        frames_per_scan_median=float(np.median(table[:, 0])),
        scan_s_median=float(np.median(table[:, 1])),
        sweep_ms_per_channel=float(np.nanmedian(table[:, 5])),
        sweep_share=float(np.mean(table[~np.isnan(table[:, 4]), 4] > RISING)),
        addresses_15min_median=float(np.median(table[:, 2])),
        addresses_15min_p90=float(np.percentile(table[:, 2], 90)),
        many_share=float(np.mean(table[:, 3] >= 3)),
        rssi_within_sd_db=float(np.mean(within)),
    )


def randomised_share(phones: Iterable[Sequence[Session]]) -> float:
    """Give the share of phones most of whose frames have a locally administered address."""
    flags = [np.concatenate([frames["flags"] for session in phone for _, frames in session]) for phone in phones]
    return float(np.mean([np.mean(flag & Flag.RANDOMISED) > 0.5 for flag in flags]))


def room(frames: NDArray[np.void], fixed_keys: NDArray[np.uint64]) -> Room:
    """Measure one sniffer's frames."""
    fixed = np.isin(frames["device_key"], fixed_keys)
    fixed_between_sd_db = _between_scans(frames[fixed])
    frames = frames[~fixed]
    randomised = frames["flags"] & Flag.RANDOMISED > 0
    _, first = np.unique(frames["device_key"], return_index=True)
    sizes, scans_per_address, deviations = [], [], []
    for scans in _by_address(frames):
        sizes += [len(scan) for scan in scans]
        scans_per_address.append(len(scans))
        deviations += _deviations(scans)
    p10, p90 = np.percentile(frames["rssi_dbm"], (10, 90))
    return Room(
        randomised_addresses=float(np.mean(randomised[first])),
        randomised_frames=float(np.mean(randomised)),
        wildcard_frames=float(np.mean(frames["ssid_key"] == 0)),
        frames_per_scan=float(np.mean(sizes)),
        single_scan_addresses=float(np.mean(np.array(scans_per_address) == 1)),
        rssi_within_sd_db=float(np.median(deviations)),
        rssi_p10_dbm=float(p10),
        rssi_p90_dbm=float(p90),
        fixed_between_sd_db=fixed_between_sd_db,
    )


def _merged(session: Session) -> NDArray[np.void]:
    """Join the sniffers of a session in time order; of one address and sequence within 50 ms the first is kept."""
    frames = np.concatenate([frames for _, frames in session])
    frames = frames[np.lexsort((frames["time_us"], frames["sequence"], frames["device_key"]))]
    again = np.zeros(len(frames), dtype=bool)
    again[1:] = (
        (np.diff(frames["device_key"]) == 0)
        & (np.diff(frames["sequence"].astype(np.int64)) == 0)
        & (np.diff(frames["time_us"]) < SAME_FRAME_US)
    )
    frames = frames[~again]
    return frames[np.argsort(frames["time_us"], kind="stable")]


def _scans(frames: NDArray[np.void]) -> list[NDArray[np.void]]:
    """Split sorted frames where they pause."""
    return np.split(frames, np.flatnonzero(np.diff(frames["time_us"]) > SCAN_GAP_US) + 1)


def _session(frames: NDArray[np.void]) -> tuple[float, ...]:
    """Give a session's median frames and seconds a scan, addresses per 15 min, median addresses a scan, and sweep."""
    scans = _scans(frames)
    minutes = max(float(np.ptp(frames["time_us"])) / 60e6, 1.0)
    return (
        float(np.median([len(scan) for scan in scans])),
        float(np.median([np.ptp(scan["time_us"]) / 1e6 for scan in scans])),
        len(np.unique(frames["device_key"])) / minutes * 15.0,
        float(np.median([len(np.unique(scan["device_key"])) for scan in scans])),
        *_sweep(scans),
    )


def _sweep(scans: list[NDArray[np.void]]) -> tuple[float, float]:
    """Give the median correlation of channel with time, and ms a channel where it rises; NaN without such scans."""
    orders: list[float] = []
    steps_ms: list[float] = []
    for scan in scans:
        sent_here = scan[scan["status"] & Status.TUNED_CHANNEL == 0]
        if len(np.unique(sent_here["channel"])) >= 5:
            channel = sent_here["channel"].astype(float)
            time_ms = (sent_here["time_us"] - sent_here["time_us"][0]) / 1000.0
            orders.append(float(np.corrcoef(channel, time_ms)[0, 1]))
            steps_ms += [float(np.polyfit(channel, time_ms, 1)[0])] if orders[-1] > RISING else []
    order, step_ms = (float(np.median(values)) if values else float("nan") for values in (orders, steps_ms))
    return order, step_ms


def _deviations(scans: list[NDArray[np.void]]) -> list[float]:
    """Give the standard deviation of RSSI within each scan of three frames or more."""
    return [float(np.std(scan["rssi_dbm"], ddof=1)) for scan in scans if len(scan) >= 3]


def _between_scans(frames: NDArray[np.void]) -> float:
    """Give the median over well heard addresses of the standard deviation between their scans' means."""
    spreads = []
    for scans in _by_address(frames):
        means = [float(np.mean(scan["rssi_dbm"])) for scan in scans]
        if len(scans) >= 10 and np.median(means) > WELL_HEARD_DBM:
            spreads.append(float(np.std(means, ddof=1)))
    return float(np.median(spreads))


def _by_address(frames: NDArray[np.void]) -> Iterator[list[NDArray[np.void]]]:
    """Give the scans of each address."""
    frames = frames[np.lexsort((frames["time_us"], frames["device_key"]))]
    for one in np.split(frames, np.flatnonzero(np.diff(frames["device_key"])) + 1):
        yield _scans(one)
