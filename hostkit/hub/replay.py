"""Replay of captures: files in, one result out, by the same pipeline that runs live. Mixes no provenances."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.bins import CountBin
from hostkit.core.clock import ClockFit, align
from hostkit.core.dot11 import CaptureCounts, Skipped, device_keys
from hostkit.core.inside import people_inside
from hostkit.core.kpi import Kpi, compute
from hostkit.core.methods import SLOT_US, Method
from hostkit.core.pipeline import Pipeline, Totals
from hostkit.core.pseudonym import KEY_BYTES
from hostkit.errors import InputError, UsageError
from hostkit.hub.listened import listened_plan, total_coverage, with_coverage
from hostkit.hub.merge import Stretch, merge
from hostkit.hub.probes import name_probes
from hostkit.hub.remarks import flood_remark, remarks
from hostkit.hub.survey import Span, Survey, joined, survey
from hostkit.io.capture import capture_size
from hostkit.model import Coverage, Estimate, Probe, Provenance, Site, Visit

SIMULATOR = "footfall simulate"
SAMPLE_FRAMES = 1_000_000  # over all captures: 20 MB, and four times that while clocks are fitted
SLICE_US = 600_000_000  # the pipeline moves on in such steps of event time, so that chunks of a file do not show
MAX_SLICE_ROWS = 250_000

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """What to replay. `captures` are (path, probe id or None); `key` is made at random unless given."""

    captures: tuple[tuple[Path, str | None], ...]
    site: Site | None = None
    fixed_addresses: tuple[bytes, ...] = ()
    bin_s: int = 600
    method: Method = Method.TRACKS
    key: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedCapture:
    """One capture, the probe it was taken as, when it listened, and its clock against the first capture's probe."""

    path: Path
    probe: str
    frames: int
    start_s: float
    end_s: float
    clock: ClockFit


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """Everything replay found out. `inside`: people, for each bin. `warnings`: lines `where: what; next step`."""

    provenance: Provenance
    site: Site
    bin_s: int
    captures: tuple[ReplayedCapture, ...]
    counts: CaptureCounts
    totals: Totals
    coverage: Coverage
    visits: tuple[Visit, ...]
    bins: tuple[CountBin, ...]
    inside: tuple[Estimate, ...]
    kpis: tuple[Kpi, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The captures that hold frames, and what the first pass found out about them."""

    surveys: tuple[Survey, ...]
    names: tuple[str, ...]
    fits: tuple[ClockFit, ...]
    site: Site
    provenance: Provenance

    @property
    def probes(self) -> tuple[int, ...]:
        """Index in the site's probes of the probe of each capture."""
        ids = [probe.id for probe in self.site.probes]
        return tuple(ids.index(name) for name in self.names)


def replay(settings: ReplaySettings, on_progress: OnProgress = lambda done, total: None) -> ReplayResult:
    """Read the captures twice: to learn their order and clocks, then through the pipeline.

    Memory holds a chunk of each capture that overlaps in time, the open state of the pipeline, and the visits.
    `on_progress` is told bytes done and in all. Raises InputError, ConfigError, StorageError or UsageError.
    """
    if settings.method is Method.CDRC and settings.bin_s * 1_000_000 % SLOT_US:
        raise UsageError("counts by five minutes", where="--method cdrc", next_step="give a --bin of 5m, 10m, 15m ...")
    key = settings.key or secrets.token_bytes(KEY_BYTES)
    meter = _Meter(_sizes(settings.captures), on_progress)
    surveys = _survey_all(settings, key, meter)
    plan = _plan(surveys, settings)
    visits, bins, totals = _run(plan, settings, key, meter)
    bins = with_coverage(bins, _spans_us(plan), settings.bin_s)
    coverage = total_coverage(bins)
    return ReplayResult(
        provenance=plan.provenance,
        site=plan.site,
        bin_s=settings.bin_s,
        captures=tuple(_replayed(*one) for one in zip(plan.surveys, plan.names, plan.fits, strict=True)),
        counts=sum_counts([survey_.counts for survey_ in surveys]),
        totals=totals,
        coverage=coverage,
        visits=visits,
        bins=bins,
        inside=people_inside([(one.start_s, one.inside) for one in bins], plan.site.occupancy, bin_s=settings.bin_s),
        kpis=compute(visits, plan.site, start_s=bins[0].start_s, end_s=bins[-1].end_s, coverage=coverage),
        warnings=(*_remarks(surveys, plan, settings), *flood_remark(totals.flood, plan.site)),
    )


def sum_counts(counts: Sequence[CaptureCounts]) -> CaptureCounts:
    """Add up what several readers met."""
    skipped = {f.name: sum(getattr(one.skipped, f.name) for one in counts) for f in fields(Skipped)}
    totals = {f.name: sum(getattr(one, f.name) for one in counts) for f in fields(CaptureCounts) if f.name != "skipped"}
    return CaptureCounts(skipped=Skipped(**skipped), **totals)


class _Meter:
    """Adds up the bytes of both passes."""

    __slots__ = ("_done", "_on_progress", "_total")

    def __init__(self, size: int, on_progress: OnProgress) -> None:
        self._done = 0
        self._total = 2 * size
        self._on_progress = on_progress

    def __call__(self, read: int) -> None:
        """Take note of `read` more bytes; a capture whose clock was set back is read again for each part."""
        self._done += read
        self._on_progress(min(self._done, self._total), self._total)


def _sizes(captures: Sequence[tuple[Path, str | None]]) -> int:
    seen: set[Path] = set()
    for path, _ in captures:
        if path.resolve() in seen:
            raise UsageError("is named twice", where=str(path), next_step="name every capture once")
        seen.add(path.resolve())
    return sum(capture_size(path) for path, _ in captures)


def _survey_all(settings: ReplaySettings, key: bytes, meter: _Meter) -> tuple[Survey, ...]:
    sample_frames = SAMPLE_FRAMES // len(settings.captures) if len(settings.captures) > 1 else 0
    surveys = tuple(survey(path, key, sample_frames, meter) for path, _ in settings.captures)
    if not any(survey_.segments for survey_ in surveys):
        raise _nothing_heard(surveys)
    return surveys


def _nothing_heard(surveys: Sequence[Survey]) -> InputError:
    counts = sum_counts([survey_.counts for survey_ in surveys])
    reasons = [f"{getattr(counts.skipped, f.name)} {f.name}" for f in fields(Skipped)]
    skipped = ", ".join(reason for reason in reasons if not reason.startswith("0 "))
    return InputError(
        f"no probe request with signal strength in {counts.packets} packets{f' ({skipped})' if skipped else ''}",
        where=str(surveys[0].path) if len(surveys) == 1 else f"{len(surveys)} captures",
        next_step="capture in monitor mode with radiotap headers, longer or nearer to people",
    )


def _plan(surveys: Sequence[Survey], settings: ReplaySettings) -> _Plan:
    heard = tuple(survey_ for survey_ in surveys if survey_.segments)
    given = {path: probe for path, probe in settings.captures if probe}
    names = name_probes(heard, given, settings.site)
    return _Plan(
        surveys=heard,
        names=names,
        fits=align([survey_.sample for survey_ in heard], [names.index(name) for name in names]),
        site=settings.site or _default_site(names),
        provenance=provenance_of(heard),
    )


def _default_site(names: Iterable[str]) -> Site:
    """A place of which nothing is known: UTC, RSSI rings, no plan."""
    probes = tuple(Probe(id=name) for name in dict.fromkeys(names))
    return Site(tenant="local", site="replay", time_zone="UTC", probes=probes)


def provenance_of(surveys: Sequence[Survey]) -> Provenance:
    """Say whether the captures are simulated or recorded; raises InputError where some are and others are not."""
    simulated = [survey_.application.startswith(SIMULATOR) for survey_ in surveys]
    if all(simulated):
        return Provenance.SIMULATED
    if any(simulated):
        raise InputError(
            "is simulated, others were recorded",
            where=str(surveys[simulated.index(True)].path),
            next_step="replay simulated and recorded captures apart",
        )
    return Provenance.REPLAY


def _run(
    plan: _Plan, settings: ReplaySettings, key: bytes, meter: _Meter
) -> tuple[tuple[Visit, ...], tuple[CountBin, ...], Totals]:
    fixed_keys = device_keys(settings.fixed_addresses, key)
    pipeline = Pipeline(plan.site, bin_s=settings.bin_s, fixed_keys=fixed_keys, method=settings.method)
    for survey_, probe, spans in zip(plan.surveys, plan.probes, _capture_spans_us(plan), strict=True):
        for from_us, to_us in spans:
            pipeline.listened(probe, from_us, to_us, listened_plan(survey_.channels, (to_us - from_us) / 1000))
    visits: list[Visit] = []
    bins: list[CountBin] = []
    for now_us, rows in _slices(merge(_stretches(plan), key, meter)):
        pipeline.feed(rows)
        events = pipeline.advance(now_us)
        visits += events.visits
        bins += events.bins
    events = pipeline.finish()
    visits += events.visits
    bins += events.bins
    return tuple(visits), tuple(bins), pipeline.totals()


def _slices(chunks: Iterable[NDArray[np.void]]) -> Iterator[tuple[int, NDArray[np.void]]]:
    """Cut ordered sightings at multiples of `SLICE_US`; give the end of each slice with its rows."""
    parts: list[NDArray[np.void]] = []
    number = rows = 0
    for chunk in chunks:
        cuts = np.flatnonzero(np.diff(chunk["time_us"] // SLICE_US)) + 1
        for part in np.split(chunk, cuts):
            if not len(part):
                continue
            first = int(part["time_us"][0])
            if parts and (first // SLICE_US != number or rows > MAX_SLICE_ROWS):
                yield min((number + 1) * SLICE_US, first), np.concatenate(parts)
                parts, rows = [], 0
            number = first // SLICE_US
            parts.append(part)
            rows += len(part)
    if parts:
        yield (number + 1) * SLICE_US, np.concatenate(parts)


def _stretches(plan: _Plan) -> list[Stretch]:
    return [
        Stretch(survey=survey_, segment=segment, probe=probe, fit=fit)
        for survey_, probe, fit in zip(plan.surveys, plan.probes, plan.fits, strict=True)
        for segment in survey_.segments
    ]


def _spans_us(plan: _Plan) -> list[tuple[Span, ...]]:
    """When each probe of the site listened, on the corrected clock."""
    spans: list[list[Span]] = [[] for _ in plan.site.probes]
    for probe, of_capture in zip(plan.probes, _capture_spans_us(plan), strict=True):
        spans[probe] += of_capture
    return [joined(of_probe, 0) for of_probe in spans]


def _capture_spans_us(plan: _Plan) -> list[list[Span]]:
    """When each capture listened, on the corrected clock."""
    found = []
    for survey_, fit in zip(plan.surveys, plan.fits, strict=True):
        times = np.array(survey_.spans_us, dtype=np.int64)
        found.append([(start, end) for start, end in (times + fit.shift_us(times)).tolist()])
    return found


def _replayed(survey_: Survey, name: str, fit: ClockFit) -> ReplayedCapture:
    return ReplayedCapture(
        path=survey_.path,
        probe=name,
        frames=survey_.counts.frames,
        start_s=survey_.start_us / 1e6,
        end_s=survey_.end_us / 1e6,
        clock=fit,
    )


def _remarks(surveys: Sequence[Survey], plan: _Plan, settings: ReplaySettings) -> Iterator[str]:
    paths = [survey_.path for survey_ in plan.surveys]
    names = dict(zip(paths, plan.names, strict=True))
    fits = dict(zip(paths, plan.fits, strict=True))
    told = {path for path, probe in settings.captures if probe or settings.site}
    return remarks(surveys, names, fits, told)
