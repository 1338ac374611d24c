"""What commands over many boards print: a live line a board on a terminal, plain lines elsewhere, or a JSON object."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hostkit.cli import text
from hostkit.errors import ExitCode
from hostkit.install.fleet import Board, Outcome, Progress, Watch
from hostkit.install.journal import State

_BAR = 20  # cells
_STYLES = {State.DONE: "green", State.FAILED: "red", State.STOPPED: "yellow", State.WAITING: "dim", State.RUNNING: ""}


@contextmanager
def watched(boards: Sequence[Board]) -> Iterator[Watch]:
    """Give what the fleet tells its progress to; it draws to standard error while the block runs."""
    if not sys.stderr.isatty():
        yield _plain
        return
    last = {board.probe: Progress(board=board, step="", state=State.WAITING) for board in boards}
    with Live(console=Console(stderr=True), auto_refresh=False) as live:

        def draw(progress: Progress) -> None:
            last[progress.board.probe] = progress
            live.update(_grid(list(last.values())), refresh=True)

        live.update(_grid(list(last.values())), refresh=True)
        yield draw


def finish(outcomes: Sequence[Outcome], journal: Path | None, *, as_json: bool, again: str) -> ExitCode:
    """Print what became of every board, and give the exit code: of the failure if all failed alike, else PEER.

    `again` is the next step of the person where some are not done.
    """
    failed = [outcome for outcome in outcomes if not outcome.done]
    if as_json:
        text.emit(json.dumps(_object(outcomes, journal)) + "\n")
    else:
        for outcome in failed:
            text.emit(f"{outcome.board.probe}: {outcome.stopped_at}: {outcome.trouble or 'not done'}\n")
        text.emit(f"{len(outcomes) - len(failed)} of {len(outcomes)} boards done\n")
    if not failed:
        return ExitCode.OK
    if journal and not as_json:
        text.emit(f"Next: put right what is said above, then {again}; it does only what is missing ({journal})\n")
    codes = {outcome.trouble.exit_code for outcome in failed if outcome.trouble}
    return ExitCode(codes.pop()) if len(codes) == 1 else ExitCode.PEER


def _object(outcomes: Sequence[Outcome], journal: Path | None) -> dict[str, object]:
    done = sum(outcome.done for outcome in outcomes)
    return {
        "done": done,
        "failed": len(outcomes) - done,
        "journal": str(journal) if journal else None,
        "boards": [
            {
                "probe": outcome.board.probe,
                "port": outcome.board.port,
                "done": outcome.done,
                "steps": [
                    {**asdict(entry), "seconds": round(entry.seconds, 2), "now": entry.step in outcome.fresh}
                    for entry in outcome.entries
                ],
            }
            for outcome in outcomes
        ],
    }


def _plain(progress: Progress) -> None:
    """A line a change; how much of a step is done is for terminals."""
    if progress.share is not None:
        return
    what = progress.text or str(progress.trouble or progress.state)
    text.remark(f"{progress.board.probe}: {progress.step}: {what}{' before' if progress.before else ''}")


def _grid(lines: Sequence[Progress]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for line in lines:
        what = line.text or ("" if line.trouble else str(line.state) + (" before" if line.before else ""))
        told = line.trouble.what if line.trouble else what  # the next step stands below, once all are done
        cells = (line.board.probe, line.board.port, line.step, _bar(line.share), told)
        grid.add_row(*(Text(cell, style=_STYLES[line.state], no_wrap=True, overflow="ellipsis") for cell in cells))
    return grid


def _bar(share: float | None) -> str:
    if share is None:
        return ""
    full = round(_BAR * min(max(share, 0.0), 1.0))
    return "█" * full + "░" * (_BAR - full) + f" {share:4.0%}"
