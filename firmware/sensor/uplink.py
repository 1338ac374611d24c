"""What goes to the hub and what comes from it, whatever the link: batches until acked, keys, time, commands.

Answers wait in a short queue; the spool is the only thing that keeps. Knows topics' streams, no transport.
"""

import asyncio
import time

from micropython import const

from .messages import MessageError
from .pipe import STEP_MS
from .wire import boot_of

_TYPES = const(0)  # true for mypy alone (firmware/mypy.ini), and gone when compiled
if _TYPES:
    from collections.abc import Callable

    from .capture import Capture
    from .commands import Commands
    from .counts import Counts
    from .keys import Keys
    from .link import MqttLink
    from .messages import Voice
    from .serial import SerialLink
    from .spool import Spool
    from .state import State
    from .timesync import HubTime

MOST_WAITING = const(6)
TICK_MS = const(500)
LATE_MS = const(1500)  # well before the hub gives a gap up for lost
LINES, LINE = 12, 80  # kept for read-log
KEYS_BYTES = const(1033)  # so long that the hub's copies of keys are overwritten when freed (hostkit.io.memory)


class Uplink:
    """`capture` and `commands` are set by the app. `link` has `publish` and `resend_ms`."""

    def __init__(
        self, voice: Voice, spool: Spool, keys: Keys, hub_time: HubTime, state: State, counts: Counts, now_us
    ) -> None:
        self._voice = voice
        self._spool = spool
        self._keys = keys
        self._hub_time = hub_time
        self._state = state
        self._counts = counts
        self._now_us = now_us
        self._waiting: list[tuple[str, bytes, int, bool]] = []
        self._wake = asyncio.Event()
        self.wake = self._wake.set  # there is something to send
        self._progress_ms = 0
        self._said_last = False
        self._info_due = True
        self._said_key: int | None = None
        self.capture: Capture = None  # type: ignore[assignment]  # set before anything runs
        self.commands: Commands = None  # type: ignore[assignment]  # set before anything runs
        self.link: MqttLink | SerialLink | None = None
        self.info: Callable[[], dict] = dict
        self.forget = lambda: None  # called when somebody beside us wants the board blank
        self.answered = lambda: None  # called when the hub proved that it hears us
        self.beat_ms = 0
        self.trouble = ""  # why there is no link
        self.log: list[str] = []

    def tell(self) -> None:
        """Say again who we are."""
        self._info_due = True
        self.wake()

    def up(self, link) -> None:
        """`link` connected: everything unacknowledged goes again, and who we are."""
        self.link, self.trouble = link, ""
        self._counts.did("connections")
        self._again()
        self._info_due = True
        self.wake()

    def down(self) -> None:
        """The link is gone."""
        self.link = None

    def note(self, what: str) -> None:
        """Keep a line for whoever reads the log."""
        self.log.append(what[:LINE])
        if len(self.log) > LINES:
            self.log.pop(0)

    @property
    def settled(self) -> bool:
        """Tell whether the key is there and nothing is left to send or to be acknowledged."""
        told = self._said_key is not None and self._said_key == self.capture.key_id and not self._info_due
        return told and not len(self._spool) and not self._waiting

    def answer(self, number: str, answer: dict[str, object]) -> None:
        """Answer the command `number`."""
        answer["id"] = number
        self.say("rsp/" + number, "rsp", answer, 1)

    def say(self, stream: str, kind: str, data, qos: int, *, retain: bool = False, least: int = 0) -> None:
        """Queue a message of at least `least` bytes; if too many wait it is dropped and counted."""
        if len(self._waiting) >= MOST_WAITING:
            self._counts.drop("messages_unsent")
            return
        message = self._voice.compose(kind, data, self._hub_time.utc_us(self._now_us()))
        self._waiting.append((stream, message + b" " * (least - len(message)), qos, retain))
        self.wake()

    def heard(self, stream: str, payload) -> None:
        """Take a message; what is none for us is counted."""
        try:
            if stream == "ack":
                self._ack(self._read(payload, "ack"))
            elif stream in ("who", "show", "cmd/forget") and self.link is not None and self.link.beside_us:
                self.asked_beside_us(stream, payload)
            elif stream.startswith("cmd/"):
                self._command(self._read(payload, "cmd"))
            elif stream == "config":
                self.commands.config(self._read(payload, "config"))
            elif stream == "hub/state" and _is_online(payload):
                self._again()
        except (MessageError, ValueError, KeyError, TypeError):
            self._counts.drop("messages_refused")

    def asked_beside_us(self, stream: str, data) -> None:
        """Do what whoever has the board's cable wants; ValueError, KeyError, TypeError for nonsense."""
        if stream == "who":
            self.tell()
        elif stream == "show":
            self.commands.show(data)
        elif stream == "cmd/forget" and data["probe"] == self._voice.probe:
            self.forget()

    async def run(self) -> None:
        """Send what is due, for ever."""
        asyncio.create_task(self._tick())
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self.link is not None:
                    went = self._send()
                    if went is None:
                        await asyncio.sleep_ms(STEP_MS)
                    elif not went:
                        break
            except OSError:
                self.down()  # whoever runs the link sees it too

    def _send(self) -> bool | None:
        """Send one thing; None if the link is busy, False if nothing is due."""
        if self._info_due:
            self._info_due = False
            self._say_info()
        if self._waiting:
            return self._send_message()
        spool = self._spool
        batch = spool.next()
        if batch is None:
            return False
        if not self._said_last and boot_of(batch) == self._state.boot:
            if spool.older(self._state.boot):
                return False  # the hub takes a boot for over once it has heard of its end
            self._said_last = self._info_due = True
            return True
        if not self.link.publish("obs", batch, 1):  # type: ignore[union-attr]  # run looked
            return None
        if not spool.outstanding:
            self._progress_ms = time.ticks_ms()
        spool.sent()
        self._counts.passed["sent"] += 1
        return True

    def _send_message(self) -> bool | None:
        stream, message, qos, retain = self._waiting[0]
        went = self.link.publish(stream, message, qos, retain)  # type: ignore[union-attr]  # run looked
        if went is None:
            return None
        self._waiting.pop(0)
        if not went:
            self._counts.drop("messages_unsent")
        return True

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep_ms(TICK_MS)
            self.beat_ms = time.ticks_ms()
            if self.capture.key_id != self._said_key:
                self._info_due = True
                self.wake()
            if self.link is not None and self._spool.outstanding:
                if time.ticks_diff(self.beat_ms, self._progress_ms) > self.link.resend_ms:
                    self._again()

    def _again(self) -> None:
        self._spool.send_again()
        self._progress_ms = time.ticks_ms()
        self.wake()

    def _say_info(self) -> None:
        data = self.info()
        self._said_key = data["key_id"]
        if self._said_last or not self._spool.older(self._state.boot):
            self._said_last = True
            if self._state.last_boot:
                data["last"] = {"boot": str(self._state.last_boot), "upto": self._state.last_seq}
        self._waiting = [row for row in self._waiting if row[0] != "info"]
        self.say("info", "info", data, 1, retain=True)

    def _read(self, payload, kind: str) -> dict[str, object]:
        data, utc_us = self._voice.read(payload, kind)
        before = self._hub_time.steps
        self._hub_time.told(utc_us, self._now_us())
        self._counts.passed["clock_steps"] += self._hub_time.steps - before
        return data

    def _ack(self, data: dict[str, object]) -> None:
        boot, upto = data["boot"], data["upto"]
        if not isinstance(boot, str) or not boot.isdigit() or not isinstance(upto, int):
            raise MessageError("ack")
        if int(boot) == self._state.boot and upto > self.capture.seq:
            raise MessageError("ack of what was never sent")
        count = self._spool.acknowledge(int(boot), upto)
        self._counts.passed["acknowledged"] += count
        if count:
            self._progress_ms = time.ticks_ms()
            self.wake()
        elif self._spool.outstanding and time.ticks_diff(time.ticks_ms(), self._progress_ms) > LATE_MS:
            self._again()  # the hub hears us, and waits for one that did not come, or came damaged
        self.answered()

    def _command(self, data: dict[str, object]) -> None:
        verb, number = data.get("verb"), data.get("id")
        if not isinstance(verb, str) or not isinstance(number, str) or not 0 < len(number) <= 32:
            raise MessageError("cmd")
        self._counts.did("commands")
        self.answered()
        if verb == "key":
            self._keys.take(data.get("keys"), self._hub_time.utc_us(self._now_us()) // 1_000_000)
            self.capture.turn()
            self._info_due = True
            self.wake()
        elif verb == "ask-key":
            # Travels as a key does: at QoS 0, never queued, never retained.
            self.say("rsp/" + number, "rsp", {"id": number, "keys": self._keys.messages()}, 0, least=KEYS_BYTES)
        else:
            answer = self.commands.do(verb, data, self._hub_time.utc_us(self._now_us()) // 1_000_000)
            if answer is not None:
                self.answer(number, answer)


def _is_online(payload) -> bool:
    return payload == "online" if isinstance(payload, str) else bytes(payload) == b"online"
