"""Somebody stands here and there and is listened to: orders from terminal and phone page in, one state for both out."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import Empty, Queue

import numpy as np

from hostkit.errors import HostkitError
from hostkit.field.chart import Chart
from hostkit.field.courses import Course, Taken
from hostkit.field.diary import Diary
from hostkit.field.hearing import Hearing
from hostkit.field.trial import Need, Note, Trial
from hostkit.field.words import Language, figure, say, say_need, say_note

Order = int | str  # a stand's number, or one of:
NEXT, UNDO, END = "next", "undo", "end"
MAX_ORDERS = 4  # waiting; more is somebody leaning on a button
LOOK_S = 0.5
SILENT_STANDS = 4  # at which one probe alone heard nothing
SILENT_TIMES = 2  # stands in a row at which nothing was heard, after some where it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What there is to see now. `until_s` (Unix seconds): when listening ends; `lines` newest last.

    Of each stand that was taken: its number, how many probes `heard` it, its residual.
    """

    listening: int | None = None
    until_s: float = 0.0
    done: tuple[int, ...] = ()
    heard: tuple[int, ...] = ()
    residuals: tuple[float, ...] = ()
    needs: tuple[Need, ...] = ()
    weak: tuple[Note, ...] = ()
    chart: Chart | None = None
    line: Note | None = None
    over: bool = False


class Session:
    """One calibration on its way. `run` belongs to one thread; `give` and `shown` to any."""

    def __init__(
        self, course: Course, hearing: Hearing, language: Language, tell: Callable[[str], None], diary: Diary
    ) -> None:
        self.course, self.language = course, language
        self._hearing, self._tell, self._diary = hearing, tell, diary
        self._orders: Queue[Order] = Queue(MAX_ORDERS)
        self._taken = list(diary.taken)
        self._residuals = [course.residual(one) for one in diary.taken]
        self._judgement = self._judged()
        self._silent = 0
        self._shown = Shown()
        self._lock = threading.Lock()
        self._show()

    @property
    def shown(self) -> Shown:
        """Give what there is to see now."""
        with self._lock:
            return self._shown

    @property
    def next(self) -> int | None:
        """Give the first stand that was not taken yet."""
        taken = {one.stand for one in self._taken}
        return next((at for at in range(len(self.course.stands)) if at not in taken), None)

    def give(self, order: Order) -> bool:
        """Take an order; False while enough are waiting, or for a stand that is not there."""
        if isinstance(order, int) and not 0 <= order < len(self.course.stands):
            return False
        if self._orders.full() and order != END:
            return False
        self._orders.put(order)
        return True

    def run(self) -> Trial | None:
        """Do orders until the end; give what was heard, None if nothing was."""
        while (order := self._awaited()) != END:
            try:
                self._do(order)
            except HostkitError as error:
                self._say(Note(word="said", values=(str(error),)))
        return self.course.trial(self._taken) if self._taken else None

    def over(self) -> None:
        """Show that it has ended."""
        with self._lock:
            self._shown = replace(self._shown, listening=None, needs=(), weak=(), line=None, over=True)

    def _awaited(self) -> Order:
        """Wait for an order, so that Ctrl-C is heard meanwhile on every system."""
        while True:
            try:
                return self._orders.get(timeout=LOOK_S)
            except Empty:
                continue

    def _do(self, order: Order) -> None:
        if order == UNDO:
            if self._taken:
                last = self._taken.pop().stand
                self._residuals.pop()
                self._judgement = self._judged()
                self._diary.undo()
                self._say(Note(word="undone", values=(self.course.stands[last].label,)))
            return
        number = self.next if order == NEXT else order
        if isinstance(number, int):
            self._listen(number)
        else:
            self._say(Note(word="all_taken"))

    def _listen(self, number: int) -> None:
        stand = self.course.stands[number]
        levels = []
        for part in range(self.course.parts):
            left_s = (self.course.parts - part) * self._hearing.seconds
            self._show(listening=number, until_s=time.time() + left_s)
            levels.append(self._hearing.hear(stand.probes))
        self._take(Taken(stand=number, levels=tuple(levels)))

    def _take(self, taken: Taken) -> None:
        label = self.course.stands[taken.stand].label
        if taken.silent:
            self._silent += 1
            lost = self._taken and self._silent >= SILENT_TIMES
            self._say(Note(word="fell_silent" if lost else "silent", values=(label,)))
            return
        self._silent = 0
        self._taken.append(taken)
        self._residuals.append(self.course.residual(taken))
        self._judgement = self._judged()
        self._diary.take(taken)
        probes = self.course.stands[taken.stand].probes
        trouble = [(name, one.trouble) for name, one in zip(probes, taken.levels[-1], strict=True) if one.trouble]
        if trouble:
            self._tell(say("probe_trouble", self.language, *trouble[0]))
        residual = self._residuals[-1]
        off = "–" if np.isnan(residual) else figure(residual, self.course.unit)
        self._say(Note(word=f"took_{self.course.kind}", values=(label, str(taken.heard), off)))

    def _say(self, line: Note) -> None:
        self._show(line=line)
        needs = [say_need(need, self.language) for need in self.shown.needs]
        self._tell("; ".join((say_note(line, self.language), *needs)))

    def _show(self, *, listening: int | None = None, until_s: float = 0.0, line: Note | None = None) -> None:
        needs, weak, chart = self._judgement
        with self._lock:
            self._shown = Shown(
                listening=listening,
                until_s=until_s,
                done=tuple(one.stand for one in self._taken),
                heard=tuple(one.heard for one in self._taken),
                residuals=tuple(self._residuals),
                needs=needs,
                weak=weak,
                chart=chart,
                line=self._shown.line if line is None else line,
            )

    def _judged(self) -> tuple[tuple[Need, ...], tuple[Note, ...], Chart | None]:
        """What is missing yet, what is weak so far, and how it looks."""
        if not self._taken:
            return (), (), None
        try:
            trial = self.course.trial(self._taken)
        except HostkitError as error:
            return (), (Note(word="said", values=(str(error),)),), self.course.chart(self._taken, ())
        weak = (*self._silent_probes(), *trial.weak)
        needs = tuple(need for need in trial.needs if not need.met)[:4]
        return needs, weak[:4], self.course.chart(self._taken, trial.rows)

    def _silent_probes(self) -> tuple[Note, ...]:
        """Probes that heard nothing at several stands, where others did."""
        listened: Counter[str] = Counter()
        heard: set[str] = set()
        for one in self._taken:
            frames = one.frames().sum(axis=0).tolist()
            for name, count in zip(self.course.stands[one.stand].probes, frames, strict=True):
                listened[name] += 1
                heard |= {name} if count else set()
        silent = [name for name, count in listened.items() if count >= SILENT_STANDS and name not in heard]
        return tuple(Note(word="probe_silent", values=(name, str(listened[name]))) for name in silent)
