"""The hub's desk for commands: whom it may do what for, once and in time. Does nothing itself; `do` is given.

Each command gets `accepted` and then `done` or `refused`, or `refused` at once, on `rsp/<id>`. What has no readable id
cannot be answered and is only counted. Nothing here raises for what came from outside; a refusing outbox ends the hub.
What waits for a probe waits over a restart of the hub too (`resume`), and is refused when its time is over.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from hostkit.contract.check import unknown_key
from hostkit.contract.codec import CMD, decode
from hostkit.contract.commands import Asked, Command, Fault, Order, Response, SetProbe, SetZones, Status
from hostkit.contract.messages import Id, Source
from hostkit.contract.rights import Caller, may, verb_of
from hostkit.contract.topics import Address
from hostkit.errors import HostkitError, PeerError, StorageError
from hostkit.io.mqtt import Arrived
from hostkit.io.outbox import Outbox

MAX_COMMAND_BYTES = 256 << 10  # a thousand zones of a dozen corners
LONGEST_S = 3600
SKEW_S = 60  # by which the sender's clock may differ
PER_S, BURST = 1.0, 20.0
ANSWERS_PER_S, ANSWERS_BURST = 10.0, 100.0  # refusals told; beyond, only counted
MAX_IDS = 4096  # more than an hour of commands at PER_S
MAX_OPEN = 64  # commands that wait for a probe
MAX_ANSWERS = 256  # that wait for their link
_WORD = "commands"


class Refused(StrEnum):
    """Why a command was refused; each counts in health."""

    MALFORMED = "command_malformed"
    RIGHT = "command_without_right"
    EXPIRED = "command_expired"
    AHEAD = "command_ahead"
    REPLAYED = "command_replayed"
    RATE = "command_rate"
    RETAINED = "command_retained"
    UNABLE = "command_unable"  # understood and allowed; it could not be done
    UNANSWERED = "command_unanswered"  # answers nobody could be told


class _Body(msgspec.Struct, frozen=True):
    id: Id


class _Head(msgspec.Struct, frozen=True):
    """As much of a command as an answer needs."""

    source: Source
    data: _Body


_head = msgspec.json.Decoder(_Head)


class Waits(msgspec.Struct, frozen=True):
    """A command whose answer `probe` gives: its own, or `response` once it shows its new configuration."""

    probe: str
    response: Response | None = None


Do = Callable[[Asked], Response | Waits]  # after Waits, `finish` follows
Roles = Callable[[Arrived, str], Caller | None]  # of a message that says it is from this node


class Desk:
    """Takes commands from above. Times: `wall_s` Unix time of the machine, `now_s` monotonic.

    `answers` are to be published after the outbox's next commit, which makes "once" hold over a SIGKILL.
    """

    def __init__(self, outbox: Outbox, roles: Roles, do: Do) -> None:
        self._outbox, self._roles, self._do = outbox, roles, do
        self._ids = _Ids(outbox)
        self._open: dict[str, tuple[str, float]] = {}  # id → its link, and when it is given up (monotonic)
        self._rate = _Bucket(PER_S, BURST)
        self._told = _Bucket(ANSWERS_PER_S, ANSWERS_BURST)
        self.answers: list[tuple[str, Response]] = []  # with the link each goes to
        self.refused = dict.fromkeys(Refused, 0)
        self.done = 0

    def take(self, message: Arrived, address: Address, wall_s: float, now_s: float) -> None:
        """Judge one message and do what it asks."""
        try:
            command = self._judged(message, address, wall_s, now_s)
        except _NoError as refusal:
            self._refuse(message, refusal, now_s)
            return
        if command is None:
            return
        self._ids.take(command.id, command.expires, wall_s)
        self._say(message.link, Response(id=command.id, status=Status.ACCEPTED))
        self._open[command.id] = message.link, now_s + max(command.expires - wall_s, 0.0)
        try:
            response = self._do(command)
        except HostkitError as error:
            if isinstance(error, StorageError) and error.where == self._outbox.where:
                raise  # the hub must not go on
            response = refusal_of(command.id, error)
        if isinstance(response, Waits):
            self._ids.wait(command.id, message.link, response)
        else:
            self.finish(response)

    def resume(self, wall_s: float, now_s: float) -> dict[str, Waits]:
        """Take up what still waited when the hub ended; give it by id."""
        left: dict[str, Waits] = {}
        for id_, link, expires, waits in self._ids.waiting():
            self._open[id_] = link, now_s + max(expires - wall_s, 0.0)
            left[id_] = waits
        return left

    def finish(self, response: Response) -> None:
        """Give the final answer of a command that was accepted."""
        if (opened := self._open.pop(response.id, None)) is None:
            return
        status = response.outcome
        self.done += status is Status.DONE
        self.refused[Refused.UNABLE] += status is Status.REFUSED
        self._ids.finish(response.id, status)
        self._say(opened[0], msgspec.structs.replace(response, status=status))

    def overdue(self, now_s: float) -> tuple[str, ...]:
        """Give the ids of commands that nobody answered in their time; the caller must `finish` them."""
        return tuple(id_ for id_, (_, until_s) in self._open.items() if now_s >= until_s)

    def _judged(self, message: Arrived, address: Address, wall_s: float, now_s: float) -> Asked | None:
        """Give the command if it may be done now; None if the broker brought it a second time."""
        command, source = _decoded(message)
        caller = self._roles(message, source.rpartition("/")[2])
        verb = verb_of(command)
        if caller is None or not may(caller, command):
            who = "its sender has no such right" if caller is None else f"a {caller} may not"
            raise _NoError(Refused.RIGHT, who, "ask with an identity that may: footfall hub issue NAME --role operator")
        if verb != address.last:
            raise _NoError(Refused.MALFORMED, f"is {verb} on the topic of {address.last}", "send it to its own topic")
        assert isinstance(command, Order)
        _in_time(command, wall_s)
        if (before := self._ids.outcome(command)) is not None:
            if message.duplicate and before is not Status.REFUSED:  # the broker's doing: the answer was lost
                self._say(message.link, Response(id=command.id, status=before))
                return None
            raise _NoError(Refused.REPLAYED, f"this id came before; it was {before}", "give every command its own id")
        if len(self._open) >= MAX_OPEN or self._ids.full or not self._rate.take(now_s):
            raise _NoError(Refused.RATE, "too many commands at once", f"send {PER_S:g} a second at most")
        return command  # type: ignore[return-value]

    def _refuse(self, message: Arrived, refusal: "_NoError", now_s: float) -> None:
        self.refused[refusal.why] += 1
        id_ = _id_of(message.payload)
        if id_ is None or not self._told.take(now_s):
            self.refused[Refused.UNANSWERED] += 1
            return
        fault = Fault(what=refusal.what[:500], next_step=refusal.next_step)
        self._say(message.link, Response(id=id_, status=Status.REFUSED, error=fault))

    def _say(self, link: str, response: Response) -> None:
        self.answers.append((link, response))
        if len(self.answers) > MAX_ANSWERS:
            self.refused[Refused.UNANSWERED] += 1
            del self.answers[0]


class _NoError(Exception):
    def __init__(self, why: Refused, what: str, next_step: str) -> None:
        super().__init__(what)
        self.why, self.what, self.next_step = why, what, next_step


class _Bucket:
    """A rate: so many a second, so many at once."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._level, self._at_s = burst, 0.0

    def take(self, now_s: float) -> bool:
        self._level = min(self._burst, self._level + max(now_s - self._at_s, 0.0) * self._per_s)
        self._at_s = now_s
        if self._level < 1:
            return False
        self._level -= 1
        return True


class _Seen(msgspec.Struct):
    expires: int
    status: Status
    link: str = ""  # of who waits for the answer
    waits: Waits | None = None


class _Kept(msgspec.Struct):
    horizon: int
    ids: dict[str, _Seen]


class _Ids:
    """Ids of commands, kept past their expiry and over restarts.

    Whatever expires at or before `horizon` may have been forgotten and counts as done before: a clock that goes back
    brings nothing to life.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        try:
            self._kept = msgspec.json.decode(outbox.word(_WORD) or "", type=_Kept)
        except msgspec.DecodeError:
            self._kept = _Kept(0, {})

    @property
    def full(self) -> bool:
        return len(self._kept.ids) >= MAX_IDS

    def outcome(self, command: Order) -> Status | None:
        seen = self._kept.ids.get(command.id)
        if seen is None:
            return Status.DONE if command.expires <= self._kept.horizon else None
        return seen.status

    def take(self, id_: str, expires: int, wall_s: float) -> None:
        if len(self._kept.ids) > MAX_IDS // 2:
            self._forget(wall_s)
        self._kept.ids[id_] = _Seen(expires, Status.ACCEPTED)
        self._store()

    def wait(self, id_: str, link: str, waits: Waits) -> None:
        seen = self._kept.ids[id_]
        seen.link, seen.waits = link, waits
        self._store()

    def waiting(self) -> list[tuple[str, str, int, Waits]]:
        """Give id, link, expiry and what it waits for of each command that is not answered."""
        ids = self._kept.ids.items()
        return [(id_, seen.link, seen.expires, seen.waits) for id_, seen in ids if seen.waits is not None]

    def finish(self, id_: str, status: Status) -> None:
        if id_ in self._kept.ids:
            seen = self._kept.ids[id_]
            seen.status, seen.waits = status, None
            self._store()

    def _forget(self, wall_s: float) -> None:
        """Make room: what expired goes, and the horizon moves there."""
        over = [id_ for id_, seen in self._kept.ids.items() if seen.expires < wall_s - SKEW_S]
        self._kept.horizon = max([self._kept.horizon, *(self._kept.ids[id_].expires for id_ in over)])
        for id_ in over:
            del self._kept.ids[id_]

    def _store(self) -> None:
        self._outbox.set_word(_WORD, msgspec.json.encode(self._kept).decode())


def refusal_of(id_: str, error: HostkitError) -> Response:
    """Say of a command what an error says."""
    fault = Fault(what=f"{error.where}: {error.what}"[:500], next_step=error.next_step[:500])
    return Response(id=id_, status=Status.REFUSED, error=fault)


def _decoded(message: Arrived) -> tuple[Command, str]:
    if message.retained:
        raise _NoError(Refused.RETAINED, "a command must not be retained", "publish it without the retain flag")
    if len(message.payload) > MAX_COMMAND_BYTES:
        what = f"has {len(message.payload)} bytes, at most {MAX_COMMAND_BYTES}"
        raise _NoError(Refused.MALFORMED, what, "send less at once")
    try:
        decoded = decode(CMD, message.payload, message.topic)
    except PeerError as error:
        path = error.where.removeprefix(message.topic).removeprefix(": ")
        what = f"{path}: {error.what}" if path else error.what
        raise _NoError(Refused.MALFORMED, what, "see: footfall contract show cmd") from error
    _known_keys(decoded.data, message.payload)
    return decoded.data, decoded.source


def _known_keys(command: Command, payload: bytes) -> None:
    """Refuse keys inside zones and probes that nobody knows: their types let them pass."""
    if isinstance(command, SetZones | SetProbe):
        name = "zones" if isinstance(command, SetZones) else "probe"
        try:
            tree = msgspec.json.decode(payload)["data"][name]
        except (msgspec.DecodeError, ValueError, RecursionError) as error:  # in what no type looked at
            raise _NoError(Refused.MALFORMED, str(error)[:200], "see: footfall contract show cmd") from error
        if (unknown := unknown_key(tree, msgspec.to_builtins(getattr(command, name)), name)) is not None:
            raise _NoError(Refused.MALFORMED, f"{unknown}: unknown key", "see: footfall contract show cmd")


def _in_time(command: Order, wall_s: float) -> None:
    if command.expires < wall_s - SKEW_S:
        late = f"expired {wall_s - command.expires:.0f} s ago by the hub's clock"
        raise _NoError(Refused.EXPIRED, late, "send it anew; if it is new, set the sender's clock")
    if command.expires > wall_s + LONGEST_S + SKEW_S:
        ahead = f"expires in {command.expires - wall_s:.0f} s, at most {LONGEST_S}"
        raise _NoError(Refused.AHEAD, ahead, "let it expire sooner; if it does, set the sender's clock")


def _id_of(payload: bytes) -> str | None:
    """Give the id of a command that cannot be taken, if it has one."""
    try:
        return _head.decode(payload).data.id
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
