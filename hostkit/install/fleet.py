"""Many boards through the same steps, side by side, each with its own journal. Knows none of the steps.

A step that is done, with the same inputs, is not done again; from the first that is missing on, all are. A step is in
the journal as running before it begins, so that one cut off is seen and done again.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field, replace
from pathlib import Path

from hostkit.errors import HostkitError, InputError, UsageError
from hostkit.install.journal import Entry, Journal, State, Trouble
from hostkit.io.csvtable import read_table
from hostkit.model import ID_PATTERN

AT_ONCE = 8  # boards; a USB hub and a laptop's disk carry about this many at full speed
MAX_BOARDS = 1000
_POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The probe a board is to be, the port it hangs on, and the other cells of its line."""

    probe: str
    port: str
    cells: Mapping[str, str] = field(default_factory=dict)


class StoppedError(Exception):
    """The person said stop; the step left the board as it was and may be done again."""


class Job:
    """What a step is given: its board, the facts of the steps before it, and a place to say how far it is.

    `tried`: an earlier run began this very step with the same inputs and was cut off.
    """

    def __init__(
        self,
        board: Board,
        facts: Mapping[str, str],
        say: Callable[[str, float | None], None],
        stop: threading.Event,
        *,
        tried: bool = False,
    ) -> None:
        self.board = board
        self.facts = facts
        self.tried = tried
        self._say = say
        self._stop = stop

    def say(self, text: str, share: float | None = None) -> None:
        """Show what is being done, and how much of it is; raises StoppedError once the person said stop."""
        self.check()
        self._say(text, share)

    def check(self) -> None:
        """Raise StoppedError once the person said stop; ask at least every second."""
        if self._stop.is_set():
            raise StoppedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`run` does it and gives facts (no secrets); it raises a HostkitError that says cause and next step.

    `inputs` names what the result depends on (an image's digest, a mode) and does not fail: where it changed, the step
    is done again.
    """

    name: str
    run: Callable[[Job], Mapping[str, str]]
    inputs: Callable[[Board], str] = lambda board: ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One change of one board. `share` in [0, 1] or None; `before`: done in an earlier run."""

    board: Board
    step: str
    state: State
    text: str = ""
    share: float | None = None
    before: bool = False
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Every step of one board, in order, with those it did not come to."""

    board: Board
    entries: tuple[Entry, ...]
    fresh: frozenset[str]  # steps of this run

    @property
    def done(self) -> bool:
        """Tell whether all is done."""
        return all(entry.state is State.DONE for entry in self.entries)

    @property
    def trouble(self) -> Trouble | None:
        """Give what stopped it."""
        return next((entry.trouble for entry in self.entries if entry.trouble), None)

    @property
    def stopped_at(self) -> str | None:
        """Name the first step that is not done."""
        return next((entry.step for entry in self.entries if entry.state is not State.DONE), None)


Watch = Callable[[Progress], None]
Clock = Callable[[], float]


def read_boards(
    path: Path, required: Sequence[str] = ("probe", "port"), optional: Sequence[str] = ()
) -> tuple[Board, ...]:
    """Read one board a line. InputError names the line: no id, two probes with one id, two boards on one port."""
    names = [*dict.fromkeys(("probe", "port", *required, *optional))]
    maybe = [name for name in names if name not in required]
    table = read_table(path, dict.fromkeys(required, str), dict.fromkeys(maybe, str))
    columns = {name: [str(cell) for cell in table.names(name)] for name in names if name in table}
    rest = [name for name in columns if name not in {"probe", "port"}]
    boards = [
        Board(
            probe=columns["probe"][row],
            port=columns["port"][row] if "port" in columns else "auto",
            cells={name: columns[name][row] for name in rest},
        )
        for row in range(len(table))
    ]
    if not 1 <= len(boards) <= MAX_BOARDS:
        raise InputError(
            f"has {len(boards)} boards",
            where=str(path),
            next_step=f"give 1 to {MAX_BOARDS}, one a line below the header",
        )
    check_boards(boards, table.where)
    return tuple(boards)


def check_boards(boards: Sequence[Board], where: Callable[[int], str]) -> None:
    """Raise InputError where two boards share an id or a port, or an id is none."""
    probes: dict[str, int] = {}
    ports: dict[str, int] = {}
    for row, board in enumerate(boards):
        if not re.fullmatch(ID_PATTERN, board.probe):
            raise InputError(
                f"probe is {board.probe[:40]!r}", where=where(row), next_step="use 1 to 32 of a-z, 0-9 and -"
            )
        same = probes.setdefault(board.probe, row)
        if same != row:
            what = f"probe {board.probe} is also in {where(same).rpartition(': ')[2]}"
            raise InputError(what, where=where(row), next_step="give every board its own id")
        same = ports.setdefault(board.port, row) if board.port != "auto" else row
        if same != row:
            what = f"port {board.port} is also in {where(same).rpartition(': ')[2]}"
            raise InputError(what, where=where(row), next_step="give every board its own port")


def run(
    boards: Sequence[Board],
    steps: Sequence[Step],
    *,
    journal: Journal,
    watch: Watch = lambda progress: None,
    again: bool = False,
    at_once: int = AT_ONCE,
    now_s: Clock = time.time,
) -> tuple[Outcome, ...]:
    """Take every board through the steps, `at_once` side by side; `again` also does what was done before.

    One board's failure stops no other. Ctrl-C stops all of them in good order, writes the journal and comes through.
    A journal that cannot be read, or has one of the boards in another run, raises before anything is done.
    """
    if len({step.name for step in steps}) < len(steps) or at_once < 1:
        raise UsageError("steps share a name, or no board may run", where="fleet", next_step="name each once")
    stop, lock = threading.Event(), threading.Lock()

    def tell(progress: Progress) -> None:
        with lock:
            watch(progress)

    with journal.locked([board.probe for board in boards]):
        for board in boards:
            journal.forget(board.probe) if again else journal.entries(board.probe)
        lines = [_Line(board, steps, journal, tell=tell, stop=stop, now_s=now_s) for board in boards]
        with ThreadPoolExecutor(min(at_once, len(boards) or 1), thread_name_prefix="board") as pool:
            go = threading.Event()  # a Ctrl-C within submit() leaves a thread that nobody waits for: none has begun
            try:
                futures = [pool.submit(_begin, line, go) for line in lines]
                go.set()
                _wait(futures)
            except KeyboardInterrupt:
                stop.set()
                raise
            finally:
                go.set()
    return tuple(future.result() for future in futures)


def _begin(line: "_Line", go: threading.Event) -> Outcome:
    go.wait()
    return line.run()


def _wait(futures: Sequence[Future[Outcome]]) -> None:
    """Wait in short turns: on Windows, Ctrl-C does not come through a long one."""
    left = set(futures)
    while left:
        left = wait_for(left, _POLL_S)[1]


class _Line:
    """One board on its way."""

    def __init__(
        self, board: Board, steps: Sequence[Step], journal: Journal, *, tell: Watch, stop: threading.Event, now_s: Clock
    ) -> None:
        self._board, self._steps, self._journal = board, steps, journal
        self._tell, self._stop, self._now_s = tell, stop, now_s
        self._fresh: set[str] = set()

    def run(self) -> Outcome:
        """Do what is missing, up to the first step that fails."""
        facts: dict[str, str] = {}
        known = dict(self._journal.entries(self._board.probe))
        first = next((at for at, step in enumerate(self._steps) if not self._holds(step, known)), len(self._steps))
        for step in self._steps[:first]:
            facts |= known[step.name].facts
            self._tell(Progress(board=self._board, step=step.name, state=State.DONE, before=True))
        known = {step.name: known[step.name] for step in self._steps[:first]}  # what came after no longer holds
        for at, step in enumerate(self._steps[first:], first):
            if self._stop.is_set():
                break
            known[step.name] = entry = self._do(step, facts, self._steps[at + 1 :])
            if entry.state is not State.DONE:
                break
            facts |= entry.facts
        entries = tuple(known.get(step.name, Entry(step=step.name, state=State.WAITING)) for step in self._steps)
        return Outcome(board=self._board, entries=entries, fresh=frozenset(self._fresh))

    def _holds(self, step: Step, known: Mapping[str, Entry]) -> bool:
        entry = known.get(step.name)
        return entry is not None and entry.state is State.DONE and entry.inputs == step.inputs(self._board)

    def _do(self, step: Step, facts: Mapping[str, str], later: Sequence[Step]) -> Entry:
        began = time.monotonic()
        tried = self._was_cut_off(step)
        entry = Entry(step=step.name, state=State.RUNNING, at_s=self._now_s(), inputs=step.inputs(self._board))
        self._fresh.add(step.name)
        self._tell(Progress(board=self._board, step=step.name, state=State.RUNNING))
        try:
            waiting = [Entry(step=one.name, state=State.WAITING) for one in later]
            self._journal.put(self._board.probe, entry, *waiting)
            found = step.run(Job(self._board, facts, self._sayer(step.name), self._stop, tried=tried))
            entry = replace(entry, state=State.DONE, facts=dict(found))
        except HostkitError as error:
            entry = replace(entry, state=State.FAILED, trouble=Trouble.of(error))
        except StoppedError:
            entry = replace(entry, state=State.STOPPED)
        entry = self._keep(replace(entry, seconds=time.monotonic() - began))
        self._tell(Progress(board=self._board, step=step.name, state=entry.state, trouble=entry.trouble))
        return entry

    def _was_cut_off(self, step: Step) -> bool:
        entry = self._journal.entries(self._board.probe).get(step.name)
        cut = entry is not None and entry.state in {State.RUNNING, State.STOPPED}
        return cut and entry is not None and entry.inputs == step.inputs(self._board)

    def _keep(self, entry: Entry) -> Entry:
        """Write the entry; a disk that does not take it is the board's trouble unless it has another."""
        try:
            self._journal.put(self._board.probe, entry)
        except HostkitError as error:
            return replace(entry, state=State.FAILED, trouble=entry.trouble or Trouble.of(error))
        return entry

    def _sayer(self, step: str) -> Callable[[str, float | None], None]:
        return lambda text, share: self._tell(
            Progress(board=self._board, step=step, state=State.RUNNING, text=text, share=share)
        )
