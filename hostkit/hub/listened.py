"""When probes listened: the coverage of each bin, and the bins in which nobody was heard. Estimates nothing else."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from hostkit.core.bins import CountBin
from hostkit.core.count import devices_in_window
from hostkit.core.inside import Inside
from hostkit.core.listening import ByChannel
from hostkit.hub.survey import Span
from hostkit.model import Coverage

LEAST_OF_PLAN = 0.02  # of a capture's frames


def with_coverage(bins: Iterable[CountBin], spans_us: Sequence[Sequence[Span]], bin_s: int) -> tuple[CountBin, ...]:
    """Give every bin in which a probe listened, in order of time, with its coverage.

    `spans_us[p]` is when probe p listened, spans of one probe disjoint. Bins that nothing was heard in are added: a
    listened silence is a count of zero.
    """
    heard: dict[int, list[CountBin]] = defaultdict(list)  # two of one number where the key rotated within it
    for bin_ in bins:
        heard[round(bin_.start_s) // bin_s].append(bin_)
    deaf = Coverage(listened_share=0.0, probes_up=0, probes_expected=len(spans_us), completeness=None)
    coverage = dict.fromkeys(heard, deaf) | _coverage(spans_us, bin_s)
    return tuple(
        replace(bin_, coverage=coverage[number])
        for number in sorted(coverage)
        for bin_ in heard.get(number) or [_silent(number, bin_s, coverage[number])]
    )


def listened_plan(channels: Sequence[tuple[int, int]], span_ms: float) -> ByChannel:
    """Spread a span over the channels that a capture's frames were heard on, as often as they were.

    A capture does not say how it hopped; what few frames name is a neighbour heard across.
    """
    frames = sum(count for _, count in channels)
    kept = [(channel, count) for channel, count in channels if count >= LEAST_OF_PLAN * frames]
    whole = sum(count for _, count in kept)
    return tuple((channel, span_ms * count / whole) for channel, count in kept)


def total_coverage(bins: Sequence[CountBin]) -> Coverage:
    """Coverage over all bins in which any probe listened."""
    shares = [bin_.coverage.listened_share or 0.0 for bin_ in bins]
    return Coverage(
        listened_share=sum(shares) / len(shares) if shares else None,
        probes_up=max((bin_.coverage.probes_up for bin_ in bins), default=0),
        probes_expected=max((bin_.coverage.probes_expected for bin_ in bins), default=0),
        completeness=None,
    )


def _coverage(spans_us: Sequence[Sequence[Span]], bin_s: int) -> dict[int, Coverage]:
    bin_us = bin_s * 1_000_000
    listened_us: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for probe, spans in enumerate(spans_us):
        for start, end in spans:
            for number in range(start // bin_us, max(start, end - 1) // bin_us + 1):
                inside = min(end, (number + 1) * bin_us) - max(start, number * bin_us)
                listened_us[number][probe] += inside
    return {
        number: Coverage(
            listened_share=min(sum(by_probe.values()) / (bin_us * len(spans_us)), 1.0),
            probes_up=len(by_probe),
            probes_expected=len(spans_us),
            completeness=None,
        )
        for number, by_probe in listened_us.items()
    }


def _silent(number: int, bin_s: int, coverage: Coverage) -> CountBin:
    window_s = bin_s * (coverage.listened_share or 0.0)
    return CountBin(
        start_s=number * bin_s,
        end_s=(number + 1) * bin_s,
        devices=devices_in_window(spans_s=np.empty(0), scans=np.empty(0, np.int64), window_s=window_s),
        addresses=0,
        frames=0,
        coverage=coverage,
        inside=Inside(devices=0.0, variance=0.0, listened_s=window_s),
    )
