"""What a reader of the result must know about its captures, each one line `where: what; next step`."""

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

from hostkit.core.clock import ClockFit
from hostkit.core.flood import Flood, nearest_probe
from hostkit.hub.probes import overlapping
from hostkit.hub.survey import Survey
from hostkit.model import Site


def remarks(
    surveys: Sequence[Survey], names: Mapping[Path, str], fits: Mapping[Path, ClockFit], told: Set[Path]
) -> Iterator[str]:
    """Give a line for every capture that was not used as it stands, in the order of the captures.

    `told` are the captures whose probe the caller or the site named; the names of the others were guessed.
    """
    for survey in surveys:
        yield from _of_capture(survey)
    yield from _of_naming(surveys, names, told)
    for path, fit in fits.items():
        if fit.reason is not None:
            yield f"{path}: clock not corrected: {fit.reason}; figures that join probes are less sure"


def flood_remark(flood: Flood, site: Site) -> Iterator[str]:
    """Give a line if more addresses came than phones make."""
    if flood.frames:
        yield (
            f"{nearest_probe(flood, site)}: flood of {flood.addresses:,} addresses in {flood.minutes} "
            f"minute{'s' * (flood.minutes > 1)}, set aside; intervals then are wide, look for a sender near it"
        )


def _of_capture(survey: Survey) -> Iterator[str]:
    if survey.counts.truncated:
        yield f"{survey.path}: ends inside a packet; the {survey.counts.frames} frames before it were used"
    if survey.counts.damaged:
        yield (
            f"{survey.path}: damaged in {survey.counts.damaged} place{'s' * (survey.counts.damaged > 1)}, "
            f"{survey.counts.damaged_bytes} bytes lost; the {survey.counts.frames} frames around them were used"
        )
    if survey.steps_back:
        yield (
            f"{survey.path}: its clock jumps back {survey.steps_back} time{'s' * (survey.steps_back > 1)}, "
            f"by up to {survey.largest_step_s:.1f} s; "
            "frames were put in order of their times, check the sniffer's clock"
        )
    if not survey.segments:
        yield f"{survey.path}: no probe request among {survey.counts.packets} packets; it was left out"


def _of_naming(surveys: Sequence[Survey], names: Mapping[Path, str], told: Set[Path]) -> Iterator[str]:
    guessed = sorted({names[survey.path] for survey in surveys if survey.path in names and survey.path not in told})
    if len(guessed) > 1:
        yield (
            f"{len(guessed)} probes: captures overlap in time, so they were taken as {', '.join(guessed)}; "
            "name them with --probe ID=FILE"
        )
    for name in dict.fromkeys(names.values()):
        clash = overlapping([survey for survey in surveys if names.get(survey.path) == name])
        if clash:
            yield (
                f"{clash[1].path}: overlaps {clash[0].path} in time though both are of probe {name}; "
                "frames both heard count twice, name two probes"
            )
