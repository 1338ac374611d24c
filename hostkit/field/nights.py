"""The newest night in which probes heard each other, fitted and taken into site.toml without anybody there."""

from pathlib import Path

from hostkit.errors import InputError
from hostkit.field.anchors import anchors_trial, newest
from hostkit.field.book import save
from hostkit.field.ground import ground_of
from hostkit.hub.adjust import Saved
from hostkit.io.anchorlinks import read_links, reference_file
from hostkit.model import Site


def apply_newest(site_path: Path, site: Site, floor: str | None, at_s: float) -> Saved:
    """Fit and apply it. InputError, and nothing written, where it is too little or held-out links get no better."""
    ground = ground_of(site, floor)
    links, night = newest(ground, read_links(site_path))
    trial = anchors_trial(site, ground, links)
    if trial.enough and trial.held is not None and not trial.improves:
        what = f"held-out links are {trial.held.after:.1f} dB off as fitted, {trial.held.before:.1f} dB as it is"
        step = "nothing to do; if probes were moved, correct their position_m first"
        raise InputError(what, where=links.source, next_step=step)
    return save(site_path, site, trial, at_s, dict([reference_file(site_path, night)]))
