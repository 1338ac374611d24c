"""The site key's day: made here, given to keyless probes, asked back from them after a restart. RAM only.

Writes nothing and sends nothing: it says which command a probe should get. Time and randomness are arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hostkit.contract.messages import AskKeys, Command, GiveKeys, KeySpan, Response
from hostkit.core.calendar import next_rotation_us
from hostkit.core.pseudonym import KEY_BYTES, SiteKey
from hostkit.model import Site

GRACE_S = 1.0  # retained `info` of all probes has arrived within it
RECOVER_S = 10.0  # how long keyed probes may take to answer; then the key counts as lost
_LONGEST_DAY_S = 25 * 3600
REPEAT_S = 1.0  # commands go at QoS 0: again until the probe shows that it has the key


@dataclass(slots=True)
class _Probe:
    key_id: int | None = None
    online: bool = True
    confirmed: bool = False
    told_s: float = float("-inf")


class KeyFlow:
    """Keys of one site. `random` gives so many random bytes; `expected` is the key id to recover, if any.

    Times: `now_s` monotonic, for waiting; `at_s` Unix time by the service's clock, for validity.
    """

    def __init__(self, site: Site, random: Callable[[int], bytes], expected: int | None) -> None:
        self._site = site
        self._random = random
        self._probes: dict[str, _Probe] = {}
        self._asked: set[str] = set()
        self._asked_s: float | None = None
        self._up_s: float | None = None
        self.expected = expected
        self.keys: tuple[KeySpan, ...] = ()  # running and next, none until there is a key
        self.recovered = False
        self._before: int | None = None

    @property
    def running(self) -> KeySpan | None:
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

    def answered(self, response: Response, at_s: float) -> bool:
        """Take the answer to a question of ours; True if it brought the key."""
        if response.id not in self._asked or self.keys:
            return False
        wanted = [key for key in response.keys if key.until_s > at_s and self.expected in (None, key.key_id)]
        if not wanted:
            return False
        ordered = sorted(response.keys, key=lambda key: key.from_s)
        self.keys = tuple(key for key in ordered if key.until_s > at_s)[:2]
        self.recovered = True
        self._complete()
        return True

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

    @property
    def ids(self) -> set[int]:
        """Give the ids a batch may carry: of the key before, the running and the next."""
        return {key.key_id for key in self.keys} | ({self._before} if self._before else set())

    def rotate(self, at_s: float) -> bool:
        """Move on to the next key once its time has come."""
        if len(self.keys) < 2 or at_s < self.keys[1].from_s:
            return False
        self._before = self.keys[0].key_id
        self.keys = self.keys[1:]
        self._complete()
        return True

    def commands(self, now_s: float, new_id: Callable[[], str]) -> list[tuple[str, Command]]:
        """Give what to send now: keys to probes that do not show them; without any, the question to keyed ones."""
        due: list[tuple[str, Command]] = []
        for name, probe in self._probes.items():
            if not probe.online or probe.confirmed or now_s < probe.told_s + REPEAT_S:
                continue
            if self.keys:
                due.append((name, GiveKeys(id=new_id(), keys=self.keys)))
            elif probe.key_id is not None:
                due.append((name, AskKeys(id=new_id())))
                self._asked.add(due[-1][1].id)
                self._asked_s = now_s if self._asked_s is None else self._asked_s
            else:
                continue
            probe.told_s = now_s
        return due

    def _complete(self) -> None:
        """See that there is a next key, and that every probe gets both."""
        running = self.keys[0]
        if len(self.keys) == 1:
            self.keys = (running, self._new(running.until_s, running.until_s))
        for probe in self._probes.values():
            probe.confirmed = False
            probe.told_s = float("-inf")

    def _rotation_s(self, after_s: int) -> int:
        hour = self._site.privacy.rotation_hour
        return next_rotation_us(after_s * 1_000_000, self._site.time_zone, hour) // 1_000_000

    def _day_began_s(self, at_s: int) -> int:
        """The last rotation: a probe whose clock is behind must find the key in force."""
        began_s = self._rotation_s(max(at_s - 2 * _LONGEST_DAY_S, 0))
        while (next_s := self._rotation_s(began_s)) <= at_s:
            began_s = next_s
        return began_s

    def _new(self, from_s: int, at_s: int) -> KeySpan:
        number = int.from_bytes(self._random(4), "little") or 1
        key = self._random(KEY_BYTES).hex()
        return KeySpan(key_id=number, key=key, from_s=from_s, until_s=self._rotation_s(at_s))


def site_key(span: KeySpan) -> SiteKey:
    """Give the key itself."""
    return SiteKey(raw=bytes.fromhex(span.key))
