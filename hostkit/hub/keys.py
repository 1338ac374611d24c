"""The site key's life: made here, given to keyless probes, asked back from them after a restart, wiped. RAM only.

Writes nothing and sends nothing: it says which command a probe should get. Time and randomness are arguments. A key is
in the locked memory of its `HeldKey` and nowhere else: messages are made with BLANK keys and filled in by `written`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from hostkit.contract.commands import Command, Response
from hostkit.contract.messages import AskKeys, GiveKeys, KeySpan
from hostkit.core.calendar import key_end_us
from hostkit.core.pseudonym import KEY_BYTES
from hostkit.io.memory import CACHED_BYTES, Fill, Secret, scrub
from hostkit.model import Site

GRACE_S = 1.0  # retained `info` of all probes has arrived within it
RECOVER_S = 10.0  # how long keyed probes may take to answer; then the key counts as lost
REPEAT_S = 1.0  # commands go at QoS 0: again until the probe shows that it has the key
CLOCK_S = 60.0  # a probe's clock may be wrong by so much when it changes keys
BLANK = "0" * 2 * KEY_BYTES
_LONGEST_DAY_S = 25 * 3600
Named: TypeAlias = Callable[[int, memoryview], NDArray[np.uint64]]
_FIELD = b'"key":"'
_DIGITS = b"0123456789abcdef"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldKey:
    """A site key in RAM and when it rules."""

    key_id: int
    from_s: int
    until_s: int
    secret: Secret = field(repr=False)

    @property
    def blank(self) -> KeySpan:
        """Give it as a message holds it before `written`."""
        return KeySpan(key_id=self.key_id, key=BLANK, from_s=self.from_s, until_s=self.until_s)


@dataclass(slots=True)
class _Probe:
    key_id: int | None = None
    online: bool = True
    confirmed: bool = False
    told_s: float = float("-inf")


class KeyFlow:
    """Keys of one site. `random` fills a view; `expected` is the key id to recover, if any.

    `named` gives the device keys of the registered tags under a key (its id and itself): they go with it.

    Times: `now_s` monotonic, for waiting; `at_s` Unix time by the service's clock, for validity.
    """

    def __init__(self, site: Site, random: Fill, expected: int | None, *, named: Named | None = None) -> None:
        self._site = site
        self._named = named
        self._random = random
        self._probes: dict[str, _Probe] = {}
        self._asked: set[str] = set()
        self._asked_s: float | None = None
        self._up_s: float | None = None
        self.expected = expected
        self.keys: tuple[HeldKey, ...] = ()  # running and next, none until there is a key
        self.recovered = False
        self._before: tuple[int, float] | None = None  # id and end of the key before; the key itself is wiped

    @property
    def running(self) -> HeldKey | None:
        """Give the key in force."""
        return self.keys[0] if self.keys else None

    def connected(self, now_s: float) -> None:
        """The site broker is there; what is retained comes now."""
        self._up_s = now_s if self._up_s is None else self._up_s
        for probe in self._probes.values():
            probe.told_s = float("-inf")

    def seen(self, probe: str, *, online: bool) -> None:
        """A probe came or went."""
        self._probes.setdefault(probe, _Probe()).online = online

    def informed(self, probe: str, key_id: int | None) -> None:
        """A probe said which key it has."""
        state = self._probes.setdefault(probe, _Probe())
        state.key_id, state.online = key_id, True
        state.confirmed = key_id is not None and any(key.key_id == key_id for key in self.keys)

    def stale(self, probe: str) -> None:
        """A probe used a key that does not rule: it is to be told again, whatever it said."""
        self._probes.setdefault(probe, _Probe()).confirmed = False

    def give_again(self) -> None:
        """Give every probe the keys anew: they, or the tags they name, are others."""
        for probe in self._probes.values():
            probe.confirmed = False
            probe.told_s = float("-inf")

    def answered(self, response: Response, at_s: float) -> bool:
        """Take the answer to a question of ours; True if it brought the key. The text of its keys is scrubbed.

        A key that would outlive the next rotation is no answer, whoever gave it.
        """
        asked = response.id in self._asked and not self.keys
        wanted = next((span for span in response.keys if self._rules(span, at_s)), None) if asked else None
        if wanted is not None:
            self.keys = (_held(wanted),)
            self.keys += tuple(_held(span) for span in response.keys if self._follows(span, wanted))[:1]
            self.recovered = True
            self._complete()
        for span in response.keys:
            scrub(span.key)
        return wanted is not None

    def decide(self, now_s: float, at_s: float | None) -> bool:
        """Make a new key if one is needed and none can be recovered; True if it did."""
        if self.keys or at_s is None or self._up_s is None or not self._probes:
            return False
        since_s, patience_s = self._up_s, GRACE_S if self.expected is None else RECOVER_S
        if any(probe.online and probe.key_id is not None for probe in self._probes.values()):
            since_s, patience_s = max(self._asked_s or now_s, since_s), RECOVER_S
        if now_s < since_s + patience_s:
            return False
        self.keys = (self._new(self._day_began_s(int(at_s)), int(at_s)),)
        self._complete()
        return True

    def of(self, key_id: int) -> memoryview | None:
        """Give the key of this id; None once it is wiped."""
        return next((key.secret.raw for key in self.keys if key.key_id == key_id), None)

    def fits(self, key_id: int, at_s: float) -> bool:
        """Tell whether what was heard at `at_s` may carry this key: yesterday's names nothing that is of today."""
        if self._before is not None and key_id == self._before[0]:
            return at_s < self._before[1] + CLOCK_S
        held = next((key for key in self.keys if key.key_id == key_id), None)
        return held is not None and held.from_s - CLOCK_S <= at_s < held.until_s + CLOCK_S

    def rotate(self, at_s: float) -> bool:
        """Move on to the next key once its time has come; the one before is wiped."""
        if len(self.keys) < 2 or at_s < self.keys[1].from_s:
            return False
        over, *rest = self.keys
        self._before = over.key_id, over.until_s
        over.secret.wipe()
        self.keys = tuple(rest)
        self._complete()
        return True

    def rotate_soon(self, at_s: int) -> int:
        """Let the running key end at `at_s`, or at its hour if that comes first; give when."""
        running, following = self.keys
        until_s = min(at_s, running.until_s)
        following = replace(following, from_s=until_s, until_s=self._rotation_s(until_s))
        self.keys = (replace(running, until_s=until_s), following)
        self._complete()
        return until_s

    def wipe(self) -> None:
        """End: forget every key."""
        for key in self.keys:
            key.secret.wipe()
        self.keys = ()

    def commands(self, now_s: float, new_id: Callable[[], str]) -> list[tuple[str, Command]]:
        """Give what to send now: keys, blank, to probes that do not show them; without any, the question to keyed ones.

        A probe that left is not told: nothing may wait for it.
        """
        due: list[tuple[str, Command]] = []
        for name, probe in self._probes.items():
            if not probe.online or probe.confirmed or now_s < probe.told_s + REPEAT_S:
                continue
            if self.keys:
                due.append((name, GiveKeys(id=new_id(), keys=tuple(map(self._given, self.keys)))))
            elif probe.key_id is not None:
                due.append((name, AskKeys(id=new_id())))
                self._asked.add(due[-1][1].id)
                self._asked_s = now_s if self._asked_s is None else self._asked_s
            else:
                continue
            probe.told_s = now_s
        return due

    def _rules(self, span: KeySpan, at_s: float) -> bool:
        in_time = at_s < span.until_s <= self._rotation_s(int(at_s)) and span.from_s < span.until_s
        return in_time and self.expected in (None, span.key_id)

    def _follows(self, span: KeySpan, running: KeySpan) -> bool:
        return span.from_s == running.until_s and span.until_s == self._rotation_s(running.until_s)

    def _complete(self) -> None:
        """See that there is a next key, and that every probe gets both."""
        running = self.keys[0]
        if len(self.keys) == 1:
            self.keys = (running, self._new(running.until_s, running.until_s))
        self.give_again()

    def _given(self, key: HeldKey) -> KeySpan:
        """Give it as a message holds it before `written`, with the tags it names."""
        named = () if self._named is None else self._named(key.key_id, key.secret.raw).tolist()
        return msgspec.structs.replace(key.blank, registered=tuple(f"{one:016x}" for one in named))

    def _rotation_s(self, after_s: int) -> int:
        return key_end_us(after_s * 1_000_000, self._site) // 1_000_000

    def _day_began_s(self, at_s: int) -> int:
        """The last rotation: a probe whose clock is behind must find the key in force."""
        began_s = self._rotation_s(max(at_s - 2 * _LONGEST_DAY_S, 0))
        while (next_s := self._rotation_s(began_s)) <= at_s:
            began_s = next_s
        return began_s

    def _new(self, from_s: int, at_s: int) -> HeldKey:
        number = bytearray(4)
        self._random(memoryview(number))
        return HeldKey(
            key_id=int.from_bytes(number, "little") or 1,
            from_s=from_s,
            until_s=self._rotation_s(at_s),
            secret=Secret(KEY_BYTES, self._random),
        )


def written(payload: bytes, keys: Sequence[HeldKey]) -> bytearray:
    """Write keys into a message made with as many BLANK ones. Wipe the result once it is sent.

    Blanks at its end make it so long that every copy of it is overwritten when it is freed (see `guard_process`).
    """
    message = bytearray(payload.ljust(CACHED_BYTES + 1))
    at = 0
    for key in keys:
        at = message.index(_FIELD + BLANK.encode(), at) + len(_FIELD)
        for number, byte in enumerate(key.secret.raw):
            message[at + 2 * number], message[at + 2 * number + 1] = _DIGITS[byte >> 4], _DIGITS[byte & 15]
    return message


def _held(span: KeySpan) -> HeldKey:
    return HeldKey(
        key_id=span.key_id,
        from_s=span.from_s,
        until_s=span.until_s,
        secret=Secret(KEY_BYTES, lambda into: _unhex(span.key, into)),
    )


def _unhex(digits: str, into: memoryview) -> None:
    for number in range(len(into)):
        into[number] = int(digits[2 * number], 16) << 4 | int(digits[2 * number + 1], 16)
