"""Which probe heard which capture. Captures that overlap in time cannot be one probe's; refuses to guess a site's."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from hostkit.errors import ConfigError
from hostkit.hub.survey import REORDER_US, Survey
from hostkit.model import Site

ONLY_PROBE = "probe"
MAX_ID_LENGTH = 32  # ids are [a-z0-9-]{1,32} everywhere


def name_probes(surveys: Sequence[Survey], given: Mapping[Path, str], site: Site | None) -> tuple[str, ...]:
    """Give the probe id of each capture: the one given, the site's that fits its name, else by time and folder.

    Raises ConfigError for an id the site does not know, or if none of its probes fits a capture.
    """
    unnamed = [survey for survey in surveys if survey.path not in given]
    names = dict(given) | (_of_site(unnamed, site) if site else _by_time(unnamed))
    if site:
        _check_known(names, site)
    return tuple(names[survey.path] for survey in surveys)


def overlapping(surveys: Sequence[Survey]) -> tuple[Survey, Survey] | None:
    """Find two captures that were recorded at the same time; a few seconds at the seams do not count."""
    ordered = sorted(surveys, key=lambda survey: survey.start_us)
    latest: Survey | None = None
    for survey in ordered:
        if latest is not None and survey.start_us < latest.end_us - REORDER_US:
            return latest, survey
        if latest is None or survey.end_us > latest.end_us:
            latest = survey
    return None


def slug(text: str) -> str:
    """Turn a file or folder name into an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_ID_LENGTH].strip("-") or ONLY_PROBE


def _by_time(surveys: Sequence[Survey]) -> dict[Path, str]:
    if overlapping(surveys) is None:
        return {survey.path: ONLY_PROBE for survey in surveys}
    folders: dict[str, list[Survey]] = defaultdict(list)
    for survey in surveys:
        folders[slug(survey.path.resolve().parent.name)].append(survey)
    if all(overlapping(group) is None for group in folders.values()):
        return {survey.path: folder for folder, group in folders.items() for survey in group}
    return _distinct({survey.path: slug(survey.path.stem) for survey in surveys})


def _distinct(names: Mapping[Path, str]) -> dict[Path, str]:
    """Number the captures whose ids would be the same."""
    seen: dict[str, int] = defaultdict(int)
    distinct: dict[Path, str] = {}
    for path, name in names.items():
        seen[name] += 1
        number = f"-{seen[name]}" if seen[name] > 1 else ""
        distinct[path] = name[: MAX_ID_LENGTH - len(number)] + number
    return distinct


def _of_site(surveys: Sequence[Survey], site: Site) -> dict[Path, str]:
    ids = [probe.id for probe in site.probes]
    if len(ids) == 1 and overlapping(surveys) is None:
        return {survey.path: ids[0] for survey in surveys}
    return {survey.path: _fitting(survey.path, ids) for survey in surveys}


def _fitting(path: Path, ids: Sequence[str]) -> str:
    for name in (slug(path.stem), slug(path.resolve().parent.name)):
        if name in ids:
            return name
    raise ConfigError(
        "which probe of the site heard it?",
        where=str(path),
        next_step=f"say so with --probe ID=FILE, ID one of: {', '.join(ids) or 'none is in the site file'}",
    )


def _check_known(names: Mapping[Path, str], site: Site) -> None:
    ids = [probe.id for probe in site.probes]
    for path, name in names.items():
        if name not in ids:
            raise ConfigError(
                f"the site has no probe {name!r}",
                where=str(path),
                next_step=f"use one of: {', '.join(ids) or 'none is in the site file, add it there'}",
            )
