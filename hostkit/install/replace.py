"""A board in place of another: the steps that an installation has not. The new board is provisioned as any other.

A code that is used takes back, at the authority, what its identity held before: no moment has two boards let in.
"""

import time
from pathlib import Path

from hostkit.errors import HostkitError
from hostkit.install.backup import take_backup, write_backups
from hostkit.install.fleet import Job, Outcome, Step
from hostkit.install.journal import Journal
from hostkit.install.steps import Plan

FOLDER = "replacing"


def open_replacement(journal: Path) -> Path:
    """Give the journal of a replacement under way: the one of the installation says that all is done."""
    return journal / FOLDER


def close_replacement(done: Journal, journal: Journal, outcome: Outcome) -> None:
    """Take a whole replacement over into the journal of the installation; the next replacement begins anew."""
    probe = outcome.board.probe
    journal.put(probe, *outcome.entries)
    path = done.path(probe)
    if path:
        path.unlink(missing_ok=True)


def backup_step(plan: Plan, site_path: Path, folder: Path) -> Step:
    """Give the step `backup`: the old board's place, before anything is done to it. Facts: its file."""

    def run(job: Job) -> dict[str, str]:
        probe, row = plan.probe(job.board), None
        if plan.hub is not None:
            try:
                row = plan.hub.latest().row(probe.id)
            except HostkitError as error:  # an old board that is dead, and a hub that has heard none
                job.say(f"without the hub's word: {error.what}")
        (path,) = write_backups(folder / "backup", [take_backup(site_path, plan.site, probe, row, time.time())])
        return {"file": str(path)}

    return Step(name="backup", run=run)
